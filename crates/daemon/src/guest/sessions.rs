//! Sessions, as the agent serves them.

use banger_guest_api::{STDIO_MUX, Session, SessionSignal, SessionStart, SessionStop, SessionStream, routes};
use http::{Method, Request};

use super::{AgentStream, Error, Guest, empty, json, percent};

impl Guest {
    /// Every session.
    pub(crate) async fn sessions(&self) -> Result<Vec<Session>, Error> {
        let request = bare(Method::GET, routes::SESSIONS);
        self.answer("list its sessions", request).await
    }

    /// Starts a session.
    pub(crate) async fn start_session(&self, start: &SessionStart) -> Result<Session, Error> {
        let request = json(Method::POST, routes::SESSIONS, start);
        self.answer("start a session", request).await
    }

    /// One session.
    pub(crate) async fn session(&self, name: &str) -> Result<Session, Error> {
        let request = bare(Method::GET, &path(name, ""));
        self.answer("show a session", request).await
    }

    /// One session, when it has ended.
    pub(crate) async fn wait_for_session(&self, name: &str) -> Result<Session, Error> {
        let request = bare(Method::GET, &path(name, "/wait"));
        self.answer("wait for a session", request).await
    }

    /// Delivers a signal.
    pub(crate) async fn signal_session(&self, name: &str, signal: &SessionSignal) -> Result<Session, Error> {
        let request = json(Method::POST, &path(name, "/signal"), signal);
        self.answer("signal a session", request).await
    }

    /// Asks a session to end.
    pub(crate) async fn stop_session(&self, name: &str, stop: &SessionStop) -> Result<Session, Error> {
        let request = json(Method::POST, &path(name, "/stop"), stop);
        self.answer("stop a session", request).await
    }

    /// Forgets a session that has ended.
    pub(crate) async fn remove_session(&self, name: &str) -> Result<Session, Error> {
        let request = bare(Method::DELETE, &path(name, ""));
        self.answer("remove a session", request).await
    }

    /// Joins a session; what comes back carries its frames.
    pub(crate) async fn join_session(
        &self,
        name: &str,
        stream: &SessionStream,
    ) -> Result<AgentStream, Error> {
        let request = json(Method::POST, &path(name, "/stream"), stream);
        self.stream("join a session", request, STDIO_MUX).await
    }
}

fn bare(method: Method, path: &str) -> Request<super::RequestBody> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(empty())
        .expect("an encoded path")
}

/// A name is none of a path: a slash in it would lead elsewhere.
fn path(name: &str, rest: &str) -> String {
    format!("{}/{}{rest}", routes::SESSIONS, percent(name).replace('/', "%2F"))
}
