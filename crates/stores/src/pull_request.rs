//! What a client's request to pull means: where from, with whose login, within which limits.

use std::path::PathBuf;

use banger_api::{ErrorBody, ImagePull, RegistryLogin};
use banger_image::{Pull, PullOptions};
use banger_model::{Describe, Description, ErrorCode, body};
use banger_oci::{Login, Platform, PullSource, RegistryOptions};
use banger_settings::Config;

/// A name that breaks the rule of its kind.
#[derive(Debug, thiserror::Error)]
#[error("invalid name in the request")]
pub(crate) struct BadName(#[source] pub(crate) banger_model::InvalidName);

impl Describe for BadName {
    fn describe(&self) -> Description {
        ErrorCode::InvalidRequest.into()
    }
}

pub(super) fn limits(config: &Config) -> PullOptions {
    PullOptions {
        most_bytes: config.pull.max_size.as_bytes(),
        most_entries: config.pull.max_entries,
        most_ratio: config.pull.max_ratio,
        most_window: config.pull.max_window.as_bytes(),
        ..PullOptions::default()
    }
}

/// What the request asks for, with what the configuration says of the registry.
pub(crate) fn understand(
    request: ImagePull,
    source: Option<PullSource>,
    config: &Config,
) -> Result<Pull, ErrorBody> {
    let refused = |error: banger_oci::Error| body(&error);
    // The daemon's own directory is no client's.
    let absolute = |path: PathBuf| {
        let path = match &request.directory {
            Some(directory) => directory.join(path),
            None => path,
        };
        match path.is_absolute() {
            true => Ok(path),
            false => Err(body(&banger_store::Error::Relative(path))),
        }
    };
    let source = source.map_or_else(|| request.reference.parse().map_err(refused), Ok)?;
    let source = source.try_map_path(absolute)?;
    let name = match request.name {
        Some(name) => name,
        None => source
            .suggested_name()
            .parse()
            .map_err(|error| body(&BadName(error)))?,
    };
    let platform = match request.platform {
        Some(platform) => platform.parse().map_err(refused)?,
        None => Platform::default(),
    };
    let known = match &source {
        PullSource::Registry(reference) => config.registry.get(reference.registry()).cloned(),
        _ => None,
    }
    .unwrap_or_default();
    let ca_cert = request.ca_cert.clone().map(absolute).transpose()?;
    let logins = request.logins.into_iter().map(login).collect();
    let ca_certs = known.ca_cert.into_iter().chain(ca_cert);
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
                logins,
                limits: config.fetch.limits(),
            },
            ..limits(config)
        },
    })
}

/// A login as it was sent. Half a login is nobody's.
fn login(sent: RegistryLogin) -> (String, Login) {
    let login = match (sent.identity_token, sent.username, sent.password) {
        (Some(token), ..) => Login::Token(token),
        (None, Some(name), Some(password)) => Login::Password { name, password },
        _ => Login::None,
    };
    (sent.registry, login)
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
            understand(request, None, &Config::default())
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
