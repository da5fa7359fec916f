//! Secrets of a VM: a value goes through to the guest's memory. It is kept, logged and printed nowhere here; names are.

use banger_api::ErrorBody;
use banger_guest_api::secret::{MAX, PutSecret, SecretName};
use banger_model::{Describe, Described, Description, ErrorCode, body};
use bytes::Bytes;

use super::of_guest;
use crate::trust;
use crate::vm::{self, Carried, Handle, Vms};

/// A secret that a VM does not get.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// More than a secret holds.
    #[error("secret {0} is larger than {max} KiB", max = MAX >> 10)]
    TooLong(SecretName),
    /// The repository that shaped the VM is trusted no more.
    #[error("{0}")]
    Apart(String),
}

impl Describe for Refused {
    fn describe(&self) -> Description {
        ErrorCode::InvalidRequest.into()
    }
}

impl Vms {
    /// Gives a secret to the guest of a VM that runs.
    pub async fn put_secret(
        &self,
        name: &str,
        secret: SecretName,
        put: PutSecret,
        value: Bytes,
    ) -> Result<(), ErrorBody> {
        self.give_secret(&self.find(name).described()?, secret, put, value)
            .await
    }

    /// The same, to this very VM.
    pub(crate) async fn give_secret(
        &self,
        handle: &Handle,
        secret: SecretName,
        mut put: PutSecret,
        value: Bytes,
    ) -> Result<(), ErrorBody> {
        let guest = handle.live().described()?.guest();
        if value.len() > MAX {
            return Err(body(&Refused::TooLong(secret)));
        }
        let (context, state) = (self.context(), handle.state());
        if let Some(why) = trust::keeps_apart(&context.database, &state.spec) {
            return Err(body(&Refused::Apart(why)));
        }
        // Who the VM's commands run as when nobody says it is to read it.
        let user = Some(state.image.config.user).filter(|user| !user.is_empty());
        put.user = put.user.or(user);
        let noted = Carried::of(context.files(state.spec.id).dir()).add_secret(&secret);
        let unnoted = |source| vm::Error::File {
            what: "record the name of a secret for VM",
            path: state.spec.name.as_str().into(),
            source,
        };
        noted.map_err(unnoted).described()?;
        guest
            .put_secret(&secret, &put, value)
            .await
            .map_err(of_guest(handle))
    }
}
