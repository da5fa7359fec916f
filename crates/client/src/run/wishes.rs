//! What a repository asks of its VM, before it is granted and when it is not.

use banger_api::{Image, VmCreate, WishedImage, Wishes};
use banger_model::ImageName;
use banger_model::network::NetMode;

use crate::client::Client;
use crate::error::ClientError;

/// How much of the network a VM will reach, if the repository gets what it asks for.
pub fn reach(wishes: &Wishes, request: &VmCreate) -> NetMode {
    let usual = match request.allow.is_empty() {
        true => wishes.net.unwrap_or(wishes.default_net),
        false => wishes.default_net,
    };
    request.net.unwrap_or(usual)
}

/// What is left of a repository's wishes that are not granted: which tools there would be, and which secrets.
pub fn without(wishes: Wishes) -> Wishes {
    Wishes {
        source: wishes.source,
        root: wishes.root,
        digest: wishes.digest,
        tools: wishes.tools,
        secrets: wishes.secrets,
        default_net: wishes.default_net,
        ..Wishes::default()
    }
}

/// Which image here a repository means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
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

/// The image here that is meant.
///
/// # Errors
/// When the daemon does not list its images.
pub async fn meant(client: &Client, wished: &WishedImage) -> Result<Meant, ClientError> {
    Ok(among(&client.images().await?, wished))
}

fn among(images: &[Image], wished: &WishedImage) -> Meant {
    let of_origin = images.iter().find(|image| {
        let origin = image.origin.as_ref();
        origin.is_some_and(|origin| origin.reference == wished.reference)
    });
    let by_name = images.iter().find(|image| image.name == wished.name);
    match (of_origin, by_name) {
        (Some(image), _) => Meant::Here(image.name.clone()),
        // A bare name means what has that name here.
        (None, Some(image)) if image.name.as_str() == wished.text => Meant::Here(image.name.clone()),
        (None, Some(image)) => Meant::Another {
            image: image.name.clone(),
            free: free_name(&wished.name, images),
        },
        (None, None) => Meant::Absent,
    }
}

/// A name like this one that no image has.
fn free_name(name: &ImageName, images: &[Image]) -> String {
    let names = (2..).map(|number| format!("{name}-{number}"));
    let is_free = |name: &String| !images.iter().any(|image| image.name.as_str() == name);
    names.into_iter().find(is_free).unwrap_or_default()
}
