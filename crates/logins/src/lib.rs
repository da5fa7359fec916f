//! Credentials for registries: the configuration files of docker and podman, and the credential helpers that they name.
//!
//! Sources: Docker's `config.json` ("docker login", "Credential helpers"), and containers-auth.json(5). Whoever asks reads
//! with its own environment, so that `DOCKER_CONFIG` and `REGISTRY_AUTH_FILE` of a command count for that command.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError as Fault, DockerCredential};

/// Docker Hub's key in these files.
const HUB: &str = "https://index.docker.io/v1/";

/// Docker Hub's name in references.
const HUB_NAME: &str = "docker.io";

/// Who a user is to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Nobody.
    None,
    /// Somebody with a password.
    Password {
        /// Who.
        name: String,
        /// The password.
        password: String,
    },
    /// Somebody with an identity token, for which a registry's realm gives tokens of short life.
    Token(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Password { .. } => "a password",
            Self::Token(_) => "a token",
        })
    }
}

/// Credentials are configured, and cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("failed to get the credentials for the registry {registry} from {}", file.display())]
pub struct Error {
    /// The registry.
    pub registry: String,
    /// The file that has them, or names who has.
    pub file: PathBuf,
    /// Why.
    #[source]
    pub source: Fault,
}

/// The registry that a reference means, as `docker pull` reads it; `None` for what is no reference to a registry.
///
/// What comes before the first slash is a registry when it has a dot or a colon, or is `localhost`; else the registry is
/// Docker Hub (the distribution project's `reference` package, "Grammar").
pub fn registry_of(reference: &str) -> Option<String> {
    if ["oci:", "oci-archive:", "docker-archive:", "archive:"]
        .iter()
        .any(|scheme| reference.starts_with(scheme))
    {
        return None;
    }
    let registry = match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => HUB_NAME,
    };
    Some(match registry {
        "index.docker.io" | "registry-1.docker.io" => HUB_NAME.to_owned(),
        registry => registry.to_owned(),
    })
}

/// The login for a registry, `HOST[:PORT]`, of the first file that has any; helpers that a file names are asked.
///
/// # Errors
/// When a file cannot be read, or a helper fails.
pub fn find(registry: &str) -> Result<Login, Error> {
    let keys: &[&str] = match registry {
        HUB_NAME => &[HUB, HUB_NAME, "index.docker.io"],
        _ => &[registry],
    };
    for file in files().iter().filter(|path| path.exists()) {
        for key in keys {
            let found = File::open(file)
                .map_err(|_| Fault::ConfigReadError)
                .and_then(|file| docker_credential::get_credential_from_reader(BufReader::new(file), key));
            match found {
                Ok(DockerCredential::IdentityToken(token)) => return Ok(Login::Token(token)),
                Ok(DockerCredential::UsernamePassword(name, password)) => {
                    return Ok(Login::Password { name, password });
                }
                Err(fault) if is_absence(&fault) => {}
                Err(source) => {
                    return Err(Error {
                        registry: registry.to_owned(),
                        file: file.clone(),
                        source,
                    });
                }
            }
        }
    }
    Ok(Login::None)
}

/// Where credentials may be: Docker's configuration, and the places of containers-auth.json(5).
fn files() -> Vec<PathBuf> {
    let dir = |name: &str| env::var_os(name).map(PathBuf::from);
    let home = dir("HOME");
    let docker = dir("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let config = dir("XDG_CONFIG_HOME").or_else(|| home.map(|home| home.join(".config")));
    let containers = |dir: PathBuf| dir.join("containers/auth.json");
    [
        docker.map(|dir| dir.join("config.json")),
        dir("REGISTRY_AUTH_FILE"),
        dir("XDG_RUNTIME_DIR").map(containers),
        config.map(containers),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether there are just no credentials. Helpers say so in words of their own.
fn is_absence(fault: &Fault) -> bool {
    match fault {
        Fault::NoCredentialConfigured => true,
        Fault::HelperFailure { stdout, stderr, .. } => [stdout, stderr]
            .iter()
            .any(|words| words.contains("credentials not found")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_means_a_registry() {
        for (reference, registry) in [
            ("alpine", Some("docker.io")),
            ("alpine:3.20", Some("docker.io")),
            ("owner/image", Some("docker.io")),
            ("docker.io/library/alpine", Some("docker.io")),
            ("index.docker.io/library/alpine", Some("docker.io")),
            ("localhost/x", Some("localhost")),
            ("localhost:5000/x:v1", Some("localhost:5000")),
            ("registry.example/a/b@sha256:00", Some("registry.example")),
            ("[::1]:5000/x", Some("[::1]:5000")),
            ("oci:/images/x", None),
            ("docker-archive:x.tar", None),
        ] {
            assert_eq!(registry_of(reference).as_deref(), registry, "{reference}");
        }
    }
}
