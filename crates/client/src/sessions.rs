//! Sessions as methods.

use banger_guest_api::{SessionSignal, SessionStart, SessionStop, SessionStream};

use crate::call::At;
use crate::client::Client;
use crate::error::ClientError;
use crate::stream::Session;
use banger_api::VmSession;
use banger_api::routes::{
    GetSession, JoinSession, ListSessions, RemoveSession, SignalSession, StartSession, StopSession,
    WaitForSession,
};

type Result<T> = std::result::Result<T, ClientError>;

/// Every method fails with [`ClientError`]; with [`ClientError::Api`] when the daemon or the guest refuses.
#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them, told once above"
)]
impl Client {
    /// The sessions of a VM.
    pub async fn sessions(&self, vm: &str) -> Result<Vec<VmSession>> {
        self.value(ListSessions.at([vm])).await
    }

    /// Starts a session.
    pub async fn start_session(&self, vm: &str, start: &SessionStart) -> Result<VmSession> {
        self.value(StartSession.at([vm]).json(start)).await
    }

    /// One session.
    pub async fn session(&self, vm: &str, name: &str) -> Result<VmSession> {
        self.value(GetSession.at([vm, name])).await
    }

    /// One session, when it has ended.
    pub async fn wait_for_session(&self, vm: &str, name: &str) -> Result<VmSession> {
        self.value(WaitForSession.at([vm, name])).await
    }

    /// Delivers a signal to a session's processes.
    pub async fn signal_session(&self, vm: &str, name: &str, signal: &SessionSignal) -> Result<VmSession> {
        self.value(SignalSession.at([vm, name]).json(signal)).await
    }

    /// Asks a session to end; it is killed when it has not within its time.
    pub async fn stop_session(&self, vm: &str, name: &str, stop: &SessionStop) -> Result<VmSession> {
        self.value(StopSession.at([vm, name]).json(stop)).await
    }

    /// Forgets a session that has ended.
    pub async fn remove_session(&self, vm: &str, name: &str) -> Result<VmSession> {
        self.value(RemoveSession.at([vm, name])).await
    }

    /// Joins a session's streams.
    pub async fn join_session(&self, vm: &str, name: &str, stream: &SessionStream) -> Result<Session> {
        self.session_on(JoinSession.at([vm, name]).json(stream)).await
    }
}
