//! Handing secrets to a guest.

use banger_guest_api::{PutSecret, SecretName, routes};
use banger_wire::whole;
use bytes::Bytes;
use http::Request;

use crate::agent::Agent;
use crate::error::Error;

impl Agent {
    /// Puts a secret into the guest's memory.
    ///
    /// # Errors
    /// When the agent is not reached, or cannot keep it.
    pub async fn put_secret(&self, name: &SecretName, put: &PutSecret, value: Bytes) -> Result<(), Error> {
        let request =
            Request::put(format!("{}{name}?{}", routes::SECRETS, put.to_query())).body(whole(value));
        let request = request.expect("a name and a query that need no encoding");
        self.client.send("store a secret", request).await.map(drop)
    }
}
