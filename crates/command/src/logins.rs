//! Registry credentials of the caller. Commands read them with their own environment and send them along, because the
//! daemon was started with another environment.

use banger_api::RegistryLogin;
use banger_logins::{Login, find, registry_of};

use crate::failure::Failure;

/// The login for the registry of a reference; empty if the reference names no registry.
///
/// # Errors
/// When credentials are configured but cannot be read.
pub fn for_reference(reference: &str) -> Result<Vec<RegistryLogin>, Failure> {
    let Some(registry) = registry_of(reference) else {
        return Ok(Vec::new());
    };
    let login = find(&registry).map_err(|error| Failure::of_host(&error))?;
    let mut sent = RegistryLogin {
        registry,
        ..RegistryLogin::default()
    };
    match login {
        Login::None => {}
        Login::Password { name, password } => {
            sent.username = Some(name);
            sent.password = Some(password);
        }
        Login::Token(token) => sent.identity_token = Some(token),
    }
    Ok(vec![sent])
}
