//! Who we are to a registry: Docker's and Podman's configuration.

use std::env;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError as Fault, DockerCredential};
use oci_client::secrets::RegistryAuth;

use super::Error;

/// Docker Hub's key in these files.
const HUB: &str = "https://index.docker.io/v1/";

/// The credentials for a registry, of the first file that has any; helpers that a file names are asked.
pub(super) fn find(registry: &str) -> Result<RegistryAuth, Error> {
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
    Ok(RegistryAuth::Anonymous)
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

fn auth(credential: DockerCredential) -> RegistryAuth {
    match credential {
        DockerCredential::IdentityToken(token) => RegistryAuth::Bearer(token),
        DockerCredential::UsernamePassword(name, password) => RegistryAuth::Basic(name, password),
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
