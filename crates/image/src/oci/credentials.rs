//! Who we are to a registry: Docker's and Podman's configuration.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError as Fault, DockerCredential};

use super::Error;

/// Docker Hub's key in these files.
const HUB: &str = "https://index.docker.io/v1/";

/// Who we are to a registry.
#[derive(Clone)]
pub(super) enum Credentials {
    /// Nobody.
    None,
    /// Somebody with a password.
    Password {
        /// Who.
        name: String,
        /// The password.
        password: String,
    },
    /// Somebody with a token.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Password { .. } => "a password",
            Self::Token(_) => "a token",
        })
    }
}

/// The credentials for a registry, of the first file that has any; helpers that a file names are asked.
pub(super) fn find(registry: &str) -> Result<Credentials, Error> {
    let keys: &[&str] = match registry {
        "docker.io" => &[HUB, "docker.io", "index.docker.io"],
        _ => &[registry],
    };
    for file in files().iter().filter(|path| path.exists()) {
        for key in keys {
            let found = File::open(file)
                .map_err(|_| Fault::ConfigReadError)
                .and_then(|file| docker_credential::get_credential_from_reader(BufReader::new(file), key));
            match found {
                Ok(credential) => return Ok(auth(credential)),
                Err(fault) if is_absence(&fault) => {}
                Err(source) => {
                    return Err(Error::Credentials {
                        registry: registry.to_owned(),
                        file: file.clone(),
                        source,
                    });
                }
            }
        }
    }
    Ok(Credentials::None)
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

fn auth(credential: DockerCredential) -> Credentials {
    match credential {
        DockerCredential::IdentityToken(token) => Credentials::Token(token),
        DockerCredential::UsernamePassword(name, password) => Credentials::Password { name, password },
    }
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
