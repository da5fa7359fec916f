//! Secrets that go into a guest's memory.

use banger_api::routes::PutVmSecret;
use banger_guest_api::{PutSecret, SecretName};

use crate::call::At;
use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// Puts a secret into a VM that runs.
    ///
    /// # Errors
    /// [`ClientError`]; with [`ClientError::Api`] when the daemon or the guest refuses.
    pub async fn put_secret(
        &self,
        vm: &str,
        name: &SecretName,
        put: &PutSecret,
        value: Vec<u8>,
    ) -> Result<(), ClientError> {
        let call = PutVmSecret.at([vm, name.as_str()]).query(put).bytes(value);
        self.open(call).await.map(drop)
    }
}
