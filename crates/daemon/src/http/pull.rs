//! Pulling images over HTTP.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use banger_api::{ErrorBody, ImagePull, ImagePulled, Progress};
use banger_image::{Pull, PullOptions, PullSource, Pulled, RegistryOptions};
use tokio_util::sync::CancellationToken;

use super::answer::{BadRequest, Body, blocking};
use super::images::{sweep, viewed};
use super::{App, events};
use crate::config::Config;
use crate::error::body;
use crate::vm::{Reporter, Vms};

pub(crate) async fn pull(State(app): State<App>, Body(request): Body<ImagePull>) -> Response {
    events::respond(|say| async move { work(&app.vms, request, say).await })
}

async fn work(vms: &Arc<Vms>, request: ImagePull, say: Reporter) -> Result<ImagePulled, ErrorBody> {
    let config = vms.context().config().map_err(|error| body(&error))?;
    let pull = understand(request, &config)?;
    // Whoever pulls the same at once gets what the first one pulled, which has not changed since.
    let turn = vms.context().pulls.turn(&pull.name);
    let _turn = match turn.try_lock() {
        Ok(turn) => turn,
        Err(_) => {
            say.note(format!(
                "image {} is being pulled already; this waits for it",
                pull.name
            ));
            turn.lock().await
        }
    };
    let left = CancellationToken::new();
    // Goes with the request, and then the pull ends.
    let _leaving = left.clone().drop_guard();
    let on_thread = Arc::clone(vms);
    let pulled = blocking("pulling an image", move || {
        let progress = |layer: &str, done, total| {
            say.say(Progress::Bytes {
                what: layer.to_owned(),
                done,
                total: Some(total),
            });
        };
        on_thread.context().images.pull(&pull, &progress, &left)
    })
    .await
    .map_err(|refused| refused.0)?;
    // An image that this one replaced may be used by no VM. Nobody has to wait for that.
    let sweeping = Arc::clone(vms);
    tokio::task::spawn_blocking(move || sweep(&sweeping));
    let (record, unchanged) = match pulled {
        Pulled::Unchanged(record) => (record, true),
        Pulled::New(record) => (record, false),
    };
    Ok(ImagePulled {
        image: viewed(vms, record),
        unchanged,
    })
}

/// What the request asks for, with what the configuration says of the registry.
fn understand(request: ImagePull, config: &Config) -> Result<Pull, ErrorBody> {
    let refused = |error: banger_image::PullError| body(&banger_image::Error::from(error));
    // The daemon's own directory is no client's.
    let absolute = |path: PathBuf| {
        let path = match &request.directory {
            Some(directory) => directory.join(path),
            None => path,
        };
        match path.is_absolute() {
            true => Ok(path),
            false => Err(body(&banger_image::Error::Relative(path))),
        }
    };
    let source: PullSource = request.reference.parse().map_err(refused)?;
    let source = source.try_map_path(absolute)?;
    let name = match request.name {
        Some(name) => name,
        None => source
            .suggested_name()
            .parse()
            .map_err(|error| body(&BadRequest::Name(error)))?,
    };
    let platform = match request.platform {
        Some(platform) => platform.parse().map_err(refused)?,
        None => banger_image::Platform::default(),
    };
    let known = match &source {
        PullSource::Registry(reference) => config.registry.get(reference.registry()).cloned(),
        _ => None,
    }
    .unwrap_or_default();
    let ca_cert = request.ca_cert.clone().map(absolute).transpose()?;
    let ca_certs = known.ca_cert.into_iter().chain(ca_cert);
    let limits = &config.pull;
    Ok(Pull {
        name,
        source,
        kernel: request.kernel,
        force: request.force,
        options: PullOptions {
            platform,
            registry: RegistryOptions {
                insecure: request.insecure || known.insecure,
                ca_certs: ca_certs.collect(),
                mirrors: known.mirrors,
                limits: config.fetch.limits(),
            },
            most_bytes: limits.max_size.as_bytes(),
            most_entries: limits.max_entries,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_begins_at_the_clients_directory_or_is_refused() {
        let asked = |reference: &str, ca_cert: Option<&str>, directory: Option<&str>| {
            let request = ImagePull {
                reference: reference.to_owned(),
                ca_cert: ca_cert.map(PathBuf::from),
                directory: directory.map(PathBuf::from),
                ..ImagePull::default()
            };
            understand(request, &Config::default())
        };
        for (reference, ca_cert) in [
            ("oci:image", None),
            ("docker-archive:./saved.tar", None),
            ("registry.example/x", Some("ca.pem")),
        ] {
            for directory in [None, Some("here")] {
                let refused = asked(reference, ca_cert, directory).unwrap_err();
                assert!(refused.message.contains("is not an absolute path"), "{refused:?}");
                assert_eq!(refused.code, banger_model::ErrorCode::InvalidRequest);
                assert!(refused.hints[0].contains("directory"), "{refused:?}");
            }
        }
        let pull = asked("oci:image", None, Some("/home/me")).unwrap();
        assert_eq!(pull.source, PullSource::Layout("/home/me/image".into(), None));
        assert!(asked("oci:/image", Some("/ca.pem"), None).is_ok());
    }
}
