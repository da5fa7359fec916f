//! Sessions as methods.

use banger_guest_api::{STDIO_MUX, SessionSignal, SessionStart, SessionStop, SessionStream};
use hyper::{Method, StatusCode, header};

use super::{Client, ClientError, Session, request, segment};
use crate::VmSession;

type Result<T> = std::result::Result<T, ClientError>;

/// Every method fails with [`ClientError`]; with [`ClientError::Api`] when the daemon or the guest refuses.
#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them, told once above"
)]
impl Client {
    /// The sessions of a VM.
    pub async fn sessions(&self, vm: &str) -> Result<Vec<VmSession>> {
        self.get(&of(vm)).await
    }

    /// Starts a session.
    pub async fn start_session(&self, vm: &str, start: &SessionStart) -> Result<VmSession> {
        self.call(Method::POST, &of(vm), Some(start)).await
    }

    /// One session.
    pub async fn session(&self, vm: &str, name: &str) -> Result<VmSession> {
        self.get(&one(vm, name, "")).await
    }

    /// One session, when it has ended.
    pub async fn wait_for_session(&self, vm: &str, name: &str) -> Result<VmSession> {
        self.get(&one(vm, name, "/wait")).await
    }

    /// Delivers a signal to a session's processes.
    pub async fn signal_session(&self, vm: &str, name: &str, signal: &SessionSignal) -> Result<VmSession> {
        self.call(Method::POST, &one(vm, name, "/signal"), Some(signal))
            .await
    }

    /// Asks a session to end; it is killed when it has not within its time.
    pub async fn stop_session(&self, vm: &str, name: &str, stop: &SessionStop) -> Result<VmSession> {
        self.call(Method::POST, &one(vm, name, "/stop"), Some(stop)).await
    }

    /// Forgets a session that has ended.
    pub async fn remove_session(&self, vm: &str, name: &str) -> Result<VmSession> {
        self.call::<(), _>(Method::DELETE, &one(vm, name, ""), None).await
    }

    /// Joins a session's streams.
    pub async fn join_session(&self, vm: &str, name: &str, stream: &SessionStream) -> Result<Session> {
        let mut request = request(Method::POST, &one(vm, name, "/stream"), Some(stream));
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static(STDIO_MUX));
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientError::Status(response.status().as_u16()));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(ClientError::Http)?;
        Ok(Session::new(upgraded))
    }
}

fn of(vm: &str) -> String {
    format!("/v1/vms/{}/sessions", segment(vm))
}

fn one(vm: &str, name: &str, rest: &str) -> String {
    format!("{}/{}{rest}", of(vm), segment(name))
}
