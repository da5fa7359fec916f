//! What a repository may not ask for: that is its user's to give.

use std::path::Path;

use banger_api::{WishedImage, Wishes};
use banger_model::network::{Allow, is_refused};
use banger_oci::PullSource;

use super::error::Error;
use super::stated::Stated;

/// The wishes of the file `name` at `path`, if a repository may have them.
pub(super) fn within(path: &Path, name: &str, stated: Stated) -> Result<Wishes, Error> {
    let Stated { image, wishes } = stated;
    few(path, &wishes)?;
    for rule in &wishes.allow {
        // A preset is a user's own, and may say anything.
        let is_its = !rule.starts_with('@') && is_public(&parsed(path, rule)?);
        if !is_its {
            return Err(Error::Rule {
                path: path.to_owned(),
                rule: rule.clone(),
            });
        }
    }
    if let Some(open) = wishes
        .ports
        .iter()
        .find(|port| port.address.is_some_and(|address| !address.is_loopback()))
    {
        return Err(Error::Open {
            path: path.to_owned(),
            port: open.to_string(),
        });
    }
    Ok(Wishes {
        source: Some(name.to_owned()),
        image: image.map(|text| of_registry(path, text)).transpose()?,
        ..wishes
    })
}

/// How many there may be of what has no size. A file of one MiB could ask for a hundred thousand of them.
fn few(path: &Path, wishes: &Wishes) -> Result<(), Error> {
    let bytes = wishes
        .env
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let counted = [
        ("published ports", wishes.ports.len(), 16),
        ("variables", wishes.env.len(), 128),
        ("bytes of variables", bytes, 64 << 10),
        ("network rules", wishes.allow.len(), 64),
        ("commands", wishes.post_create.len(), 32),
        ("secrets", wishes.secrets.len(), 32),
        ("ignored keys", wishes.notes.len(), 256),
    ];
    match counted.into_iter().find(|(_, count, most)| count > most) {
        None => Ok(()),
        Some((what, count, most)) => Err(Error::TooMany {
            path: path.to_owned(),
            what,
            count,
            most,
        }),
    }
}

/// A registry's image, and no file of the host's.
fn of_registry(path: &Path, text: String) -> Result<WishedImage, Error> {
    let source = text.parse::<PullSource>().ok();
    let source = source.filter(|source| matches!(source, PullSource::Registry(_)));
    let name = source.as_ref().map(|source| source.suggested_name().parse());
    match (source, name) {
        (Some(source), Some(Ok(name))) => Ok(WishedImage {
            text,
            reference: source.to_string(),
            name,
            here: None,
            taken: false,
        }),
        _ => Err(Error::Image {
            path: path.to_owned(),
            text,
        }),
    }
}

fn parsed(path: &Path, rule: &str) -> Result<Allow, Error> {
    rule.parse().map_err(|source| Error::NoRule {
        path: path.to_owned(),
        source,
    })
}

/// Whether a rule is about the public Internet alone. A name never leads to a private address (see the helper's `answers`).
fn is_public(rule: &Allow) -> bool {
    match rule {
        Allow::Name { .. } | Allow::Under { .. } => true,
        Allow::Net { net, .. } => !is_refused(net.first()) && !is_refused(net.last()),
        Allow::Vm(_) | Allow::Host(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(rule: &str) -> Result<Wishes, Error> {
        let wishes = Wishes {
            allow: vec![rule.to_owned()],
            ..Wishes::default()
        };
        within(Path::new("/r/banger.toml"), "banger.toml", stated(wishes))
    }

    fn stated(wishes: Wishes) -> Stated {
        Stated { image: None, wishes }
    }

    #[test]
    fn there_are_only_so_many_of_each() {
        let texts = |count| vec!["x".to_owned(); count];
        let port: banger_model::Publish = ":80".parse().unwrap();
        let pairs =
            |count: usize, value: &str| (0..count).map(|n| (format!("V{n}"), value.to_owned())).collect();
        type Fill = Box<dyn Fn(&mut Wishes)>;
        let cases: [(&str, Fill); 6] = [
            ("ports", Box::new(move |wishes| wishes.ports = vec![port; 17])),
            ("variables", Box::new(move |wishes| wishes.env = pairs(129, ""))),
            (
                "bytes-of-variables",
                Box::new(move |wishes| wishes.env = pairs(1, &"x".repeat(65 << 10))),
            ),
            (
                "rules",
                Box::new(move |wishes| wishes.allow = vec!["example.com".to_owned(); 65]),
            ),
            (
                "commands",
                Box::new(move |wishes| wishes.post_create = vec![texts(1); 33]),
            ),
            ("secrets", Box::new(move |wishes| wishes.secrets = texts(33))),
        ];
        for (case, fill) in cases {
            let mut wishes = Wishes::default();
            fill(&mut wishes);
            let refused = within(Path::new("/r/banger.toml"), "banger.toml", stated(wishes));
            assert!(
                matches!(refused, Err(Error::TooMany { .. })),
                "{case}: {refused:?}"
            );
            banger_cases::refused("trust", &format!("many.{case}"));
        }
    }

    #[test]
    fn an_image_is_a_registrys() {
        let image = |text: &str| {
            let stated = Stated {
                image: Some(text.to_owned()),
                wishes: Wishes::default(),
            };
            within(Path::new("/r/banger.toml"), "banger.toml", stated).map(|wishes| wishes.image)
        };
        let debian = image("debian:bookworm").unwrap().unwrap();
        assert_eq!(debian.name.as_str(), "debian-bookworm");
        assert_eq!(debian.reference, "docker.io/library/debian:bookworm");
        for file in ["oci:/home", "docker-archive:x.tar", "archive:x.tar", ""] {
            assert!(matches!(image(file), Err(Error::Image { .. })), "{file}");
        }
    }

    #[test]
    fn a_repository_opens_the_internet_and_nothing_else() {
        for public in ["example.com", "*.example.com:443", "93.184.216.0/24:80"] {
            assert!(asks(public).is_ok(), "{public}");
        }
        for private in [
            "host:22",
            "vm:other",
            "10.0.0.0/8",
            "192.168.1.1:80",
            "169.254.169.254",
            "[fd00::1]:80",
            "@internal",
        ] {
            assert!(matches!(asks(private), Err(Error::Rule { .. })), "{private}");
        }
        assert!(matches!(asks("::::"), Err(Error::NoRule { .. })));
    }

    #[test]
    fn a_repository_publishes_at_loopback_alone() {
        let publish = |text: &str| {
            let wishes = Wishes {
                ports: vec![text.parse().unwrap()],
                ..Wishes::default()
            };
            within(Path::new("/r/banger.toml"), "banger.toml", stated(wishes))
        };
        assert!(publish("8080:80").is_ok() && publish("127.0.0.1:8080:80").is_ok());
        assert!(matches!(publish("0.0.0.0:8080:80"), Err(Error::Open { .. })));
    }
}
