//! What is to be decided about a repository before a VM is made by it: whether its user has to be asked, and which image it means.

use banger_api::{WishedImage, Wishes, WishesQuery};
use banger_image::ImageRecord;
use banger_model::ImageName;
use banger_model::network::NetMode;

use super::Error;

/// Whether the user of a repository has to be asked before anything of it is applied to the VM of this query: it is not trusted, and it
/// asks for more than the VM would have without it.
pub(super) fn needs_trust(wishes: &Wishes, query: &WishesQuery) -> bool {
    // Tools are fetched over a network; without one there are none to ask about.
    let installs = !query.no_bootstrap && !wishes.tools.is_empty() && reach(wishes, query) != NetMode::Off;
    !wishes.trusted && wishes.digest.is_some() && (wishes.shapes() || installs)
}

/// How much of the network the VM will reach, if the repository gets what it asks for.
fn reach(wishes: &Wishes, query: &WishesQuery) -> NetMode {
    let usual = match query.allow.is_empty() {
        true => wishes.net.unwrap_or(wishes.default_net),
        false => wishes.default_net,
    };
    query.net.unwrap_or(usual)
}

/// Which image here a repository means.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    /// This one.
    Here(ImageName),
    /// None, but its name is another image's.
    Another {
        /// The other image's name.
        image: ImageName,
        /// A name like it that no image has.
        free: String,
    },
    /// None.
    Absent,
}

/// An image here: its name, and the reference that it was pulled by.
type Known<'a> = (&'a ImageName, Option<&'a str>);

fn known(images: &[ImageRecord]) -> Vec<Known<'_>> {
    let known = images.iter().map(|image| {
        let origin = image.origin.as_ref();
        (&image.name, origin.map(|origin| origin.reference.as_str()))
    });
    known.collect()
}

fn meant(images: &[Known<'_>], wished: &WishedImage) -> Meant {
    let of_origin = images
        .iter()
        .find(|(_, origin)| *origin == Some(&wished.reference));
    let by_name = images.iter().find(|(name, _)| **name == wished.name);
    match (of_origin, by_name) {
        (Some((name, _)), _) => Meant::Here((*name).clone()),
        // A bare name means what has that name here.
        (None, Some((name, _))) if name.as_str() == wished.text => Meant::Here((*name).clone()),
        (None, Some((name, _))) => Meant::Another {
            image: (*name).clone(),
            free: free_name(&wished.name, images),
        },
        (None, None) => Meant::Absent,
    }
}

/// A name like this one that no image has.
fn free_name(name: &ImageName, images: &[Known<'_>]) -> String {
    let mut names = (2_u32..).map(|number| format!("{name}-{number}"));
    let is_free = |name: &String| !images.iter().any(|(image, _)| image.as_str() == name);
    names.find(is_free).unwrap_or_default()
}

/// Fills in which image here is meant.
pub(super) fn look_up(images: &[ImageRecord], wished: &mut WishedImage) {
    match meant(&known(images), wished) {
        Meant::Here(name) => wished.here = Some(name),
        Meant::Another { .. } => wished.taken = true,
        Meant::Absent => {}
    }
}

/// The image here for a VM that is made by a repository and names none itself.
pub(crate) fn image(images: &[ImageRecord], wished: &WishedImage) -> Result<ImageName, Error> {
    match meant(&known(images), wished) {
        Meant::Here(name) => Ok(name),
        Meant::Another { image, free } => Err(Error::OtherImage {
            reference: wished.reference.clone(),
            image,
            free,
        }),
        Meant::Absent => Err(Error::NoImage {
            text: wished.text.clone(),
            name: wished.name.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Wishes {
        Wishes {
            tools: vec![".nvmrc".to_owned()],
            digest: Some("d".to_owned()),
            default_net: NetMode::Nat,
            ..Wishes::default()
        }
    }

    #[test]
    fn a_repository_that_shapes_the_vm_is_asked_about_until_it_is_trusted() {
        let wishes = Wishes {
            vcpus: Some(2),
            digest: Some("d".to_owned()),
            ..Wishes::default()
        };
        let query = WishesQuery {
            net: Some(NetMode::Off),
            no_bootstrap: true,
            ..WishesQuery::default()
        };
        assert!(needs_trust(&wishes, &query));
        let trusted = Wishes {
            trusted: true,
            ..wishes.clone()
        };
        assert!(!needs_trust(&trusted, &query));
        let nothing = Wishes {
            vcpus: None,
            ..wishes
        };
        assert!(!needs_trust(&nothing, &WishesQuery::default()));
    }

    #[test]
    fn tools_are_asked_about_only_where_they_would_be_installed() {
        let asked = |wishes: &Wishes, query: WishesQuery| needs_trust(wishes, &query);
        assert!(asked(&tools(), WishesQuery::default()));
        let without = WishesQuery {
            no_bootstrap: true,
            ..WishesQuery::default()
        };
        assert!(!asked(&tools(), without));
        let off = WishesQuery {
            net: Some(NetMode::Off),
            ..WishesQuery::default()
        };
        assert!(!asked(&tools(), off));
        // Who allows destinations decides the mode, too: the usual one.
        let closed = Wishes {
            default_net: NetMode::Off,
            ..tools()
        };
        assert!(!asked(&closed, WishesQuery::default()));
        let on = WishesQuery {
            net: Some(NetMode::Nat),
            ..WishesQuery::default()
        };
        assert!(asked(&closed, on));
    }

    #[test]
    fn an_image_is_known_by_where_it_came_from_and_not_by_its_name_alone() {
        let name = |name: &str| name.parse::<ImageName>().unwrap();
        let wished = |text: &str| WishedImage {
            text: text.to_owned(),
            reference: "registry.example/team/tools:1".to_owned(),
            name: name("tools"),
            here: None,
            taken: false,
        };
        let (tools, mine, second) = (name("tools"), name("mine"), name("tools-2"));
        let reference = "registry.example/team/tools:1";
        let pulled: [Known<'_>; 2] = [(&tools, None), (&mine, Some(reference))];
        assert_eq!(meant(&pulled, &wished(reference)), Meant::Here(mine.clone()));
        let other: [Known<'_>; 2] = [(&tools, Some("registry.example/else:1")), (&second, None)];
        let another = Meant::Another {
            image: tools.clone(),
            free: "tools-3".to_owned(),
        };
        assert_eq!(meant(&other, &wished(reference)), another);
        assert_eq!(meant(&other, &wished("tools")), Meant::Here(tools.clone()));
        assert_eq!(meant(&[(&mine, None)], &wished("tools")), Meant::Absent);
    }
}
