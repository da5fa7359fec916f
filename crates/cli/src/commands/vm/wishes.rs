//! What a repository asks of its VM, granted and told.

use std::path::Path;

use banger_api::client::Client;
use banger_api::{ImagePull, VmCreate, WishedImage, Wishes, WishesQuery};
use banger_model::ImageName;
use banger_model::network::NetMode;

use crate::failure::Failure;
use crate::print;
use crate::progress::Display;
use crate::work::interruptible;

/// Fills what `request` leaves open by what the repository around `path` asks for, and says so. An image that is not here
/// is pulled.
pub(super) async fn grant(client: &Client, path: &Path, request: &mut VmCreate) -> Result<Wishes, Failure> {
    let query = WishesQuery {
        path: path.to_owned(),
    };
    let wishes = client.wishes(&query).await?;
    if let Some(source) = &wishes.source {
        let asked = told(&wishes);
        if !asked.is_empty() {
            print::say!("{source} asks for: {}", asked.join(", "));
        }
        for note in &wishes.notes {
            print::say!("note: {source}: {note}");
        }
    }
    wishes.fill(request);
    if let (None, Some(wished)) = (&request.image, &wishes.image) {
        request.image = Some(image(client, wished).await?);
    }
    Ok(wishes)
}

/// Says which secrets the repository names that are not given: it only ever asks.
pub(super) fn remind(wishes: &Wishes, given: &[String]) {
    let wanted = wishes.secrets.iter().filter(|name| !given.contains(name));
    let options: Vec<String> = wanted.map(|name| format!("--secret {name}")).collect();
    if let (Some(source), false) = (&wishes.source, options.is_empty()) {
        print::say!(
            "note: {source} would like secrets of yours, which stay here unless you say {}",
            options.join(" ")
        );
    }
}

/// What a VM gets by it, as short words.
fn told(wishes: &Wishes) -> Vec<String> {
    let mut told = Vec::new();
    told.extend(wishes.image.as_ref().map(|image| format!("image {}", image.text)));
    told.extend(wishes.kernel.as_ref().map(|kernel| format!("kernel {kernel}")));
    told.extend(wishes.vcpus.map(|vcpus| format!("{vcpus} vCPUs")));
    told.extend(wishes.memory.map(|memory| format!("{memory} memory")));
    told.extend(wishes.disk_size.map(|size| format!("{size} disk")));
    told.extend(wishes.net.map(|mode| match mode {
        NetMode::Nat | NetMode::Learn => format!("the public Internet (net {mode})"),
        NetMode::Off | NetMode::Allow => format!("net {mode}"),
    }));
    told.extend(wishes.allow.iter().map(|rule| format!("allow {rule}")));
    told.extend(wishes.ports.iter().map(|port| format!("port {port}")));
    let variables = wishes.env.keys().cloned().collect::<Vec<_>>();
    if !variables.is_empty() {
        told.push(format!("variables {}", variables.join(" ")));
    }
    told
}

/// The image here that is meant.
async fn image(client: &Client, wished: &WishedImage) -> Result<ImageName, Failure> {
    let images = client.images().await?;
    let of_origin = images.iter().find(|image| {
        let origin = image.origin.as_ref();
        origin.is_some_and(|origin| origin.reference == wished.reference)
    });
    let by_name = images.iter().find(|image| image.name == wished.name);
    match (of_origin, by_name) {
        (Some(image), _) => Ok(image.name.clone()),
        // A bare name means what has that name here.
        (None, Some(image)) if image.name.as_str() == wished.text => Ok(image.name.clone()),
        (None, Some(image)) => Err(Failure::new(
            format!(
                "the repository asks for {}, and image {} here is another one",
                wished.reference, image.name
            ),
            &[
                "`--image NAME` names the one to take",
                "`banger image pull REFERENCE --name NAME` gets the other one under another name",
            ],
        )),
        (None, None) => pull(client, wished).await,
    }
}

async fn pull(client: &Client, wished: &WishedImage) -> Result<ImageName, Failure> {
    print::say!("{} is not here; pulling {}", wished.name, wished.reference);
    let pull = ImagePull {
        reference: wished.text.clone(),
        name: Some(wished.name.clone()),
        logins: crate::logins::for_reference(&wished.text)?,
        ..ImagePull::default()
    };
    let mut display = Display::new("");
    let pulled = interruptible(async {
        Ok(client
            .pull_image(&pull, |progress| display.show(&progress))
            .await?)
    });
    Ok(pulled.await?.image.name)
}
