//! Secrets that go into a guest's memory.

use banger_guest_api::{PutSecret, SecretName};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Method;

use super::{Client, ClientError, build, segment};

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
        let path = format!("/v1/vms/{}/secrets/{name}?{}", segment(vm), put.to_query());
        let value = Full::new(Bytes::from(value)).map_err(|never| match never {});
        self.send(build(Method::PUT, &path, value.boxed()))
            .await
            .map(drop)
    }
}
