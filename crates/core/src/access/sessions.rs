//! Sessions: commands that outlive their clients. All that is known of them is in the guest.

use banger_api::stream::{Session, SessionSignal, SessionStart, SessionStop, SessionStream};
use banger_api::{BOOTSTRAP, ErrorBody, VmSession};
use banger_guest_link::{self as guest, AgentStream};
use banger_model::{Described, body};
use http::StatusCode;

use crate::vm::{self, Handle, Vms};

impl Vms {
    /// Every session of a VM.
    pub async fn sessions(&self, name: &str) -> Result<Vec<VmSession>, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        let sessions = guest.sessions().await.map_err(|error| failed(&handle, error))?;
        Ok(sessions.into_iter().map(VmSession::from).collect())
    }

    /// Starts a command in a session.
    pub async fn start_session(&self, name: &str, start: SessionStart) -> Result<VmSession, ErrorBody> {
        self.begin_session(&self.find(name).described()?, start).await
    }

    /// The same, in this very VM.
    pub(crate) async fn begin_session(
        &self,
        handle: &Handle,
        mut start: SessionStart,
    ) -> Result<VmSession, ErrorBody> {
        let guest = handle.live().described()?.guest();
        let state = handle.state();
        start.exec = self
            .context()
            .with_defaults(start.exec, &state.spec, &state.image);
        shown(handle, guest.start_session(&start).await)
    }

    /// One session.
    pub async fn session(&self, name: &str, session: &str) -> Result<VmSession, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        shown(&handle, guest.session(session).await)
    }

    /// A session, once its command has ended.
    pub async fn wait_for_session(&self, name: &str, session: &str) -> Result<VmSession, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        shown(&handle, guest.wait_for_session(session).await)
    }

    /// The session that prepares the checkout of a VM, once it has ended; nothing where nothing was to be prepared.
    pub(crate) async fn prepared(&self, handle: &Handle) -> Result<Option<VmSession>, ErrorBody> {
        let guest = handle.live().described()?.guest();
        match guest.wait_for_session(BOOTSTRAP).await {
            Err(error) if error.status() == Some(StatusCode::GONE) => Ok(None),
            ended => shown(handle, ended).map(Some),
        }
    }

    /// Sends a signal to the command of a session.
    pub async fn signal_session(
        &self,
        name: &str,
        session: &str,
        signal: &SessionSignal,
    ) -> Result<VmSession, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        shown(&handle, guest.signal_session(session, signal).await)
    }

    /// Ends the command of a session.
    pub async fn stop_session(
        &self,
        name: &str,
        session: &str,
        stop: &SessionStop,
    ) -> Result<VmSession, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        shown(&handle, guest.stop_session(session, stop).await)
    }

    /// Removes a session whose command has ended, with its output.
    pub async fn remove_session(&self, name: &str, session: &str) -> Result<VmSession, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        shown(&handle, guest.remove_session(session).await)
    }

    /// A connection to the keeper of a session, speaking `stdio_mux_v1`.
    pub async fn join_session(
        &self,
        name: &str,
        session: &str,
        stream: &SessionStream,
    ) -> Result<AgentStream, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        let joined = guest.join_session(session, stream).await;
        joined.map_err(|error| failed(&handle, error))
    }
}

fn shown(handle: &Handle, session: Result<Session, guest::Error>) -> Result<VmSession, ErrorBody> {
    let session = session.map_err(|error| failed(handle, error))?;
    Ok(session.into())
}

fn failed(handle: &Handle, source: guest::Error) -> ErrorBody {
    let name = handle.state().spec.name;
    let status = source.status();
    let mut body = body(&vm::AccessError::of_guest(&name)(source));
    if status.is_some() {
        // The guest's own words say it all; what was asked is what the client asked.
        let mut causes = std::mem::take(&mut body.causes).into_iter().skip(1);
        if let Some(words) = causes.next() {
            body.message = words;
        }
        body.causes = causes.collect();
    }
    if status == Some(StatusCode::GONE) {
        body.hints
            .push(format!("`banger vm session list {name}` lists the sessions"));
    }
    body
}
