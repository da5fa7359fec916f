//! Handing secrets to a guest.

use banger_guest_api::{PutSecret, SecretName, routes};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};

use super::{Error, Guest};

impl Guest {
    /// Puts a secret into the guest's memory.
    pub(crate) async fn put_secret(
        &self,
        name: &SecretName,
        put: &PutSecret,
        value: Bytes,
    ) -> Result<(), Error> {
        let body = Full::new(value).map_err(|never| match never {}).boxed();
        let request = Request::put(format!("{}{name}?{}", routes::SECRETS, put.to_query())).body(body);
        let request = request.expect("a name and a query that need no encoding");
        self.send("keep a secret", request).await.map(drop)
    }
}
