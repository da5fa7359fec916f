//! Sessions, as the agent serves them.

use banger_guest_api::{STDIO_MUX, Session, SessionSignal, SessionStart, SessionStop, SessionStream, routes};
use http::Method;

use crate::agent::Agent;
use crate::client::{bare, json};
use crate::error::Error;
use crate::stream::AgentStream;

impl Agent {
    /// Every session.
    ///
    /// # Errors
    /// When the agent is not reached, or cannot.
    pub async fn sessions(&self) -> Result<Vec<Session>, Error> {
        let request = bare(Method::GET, routes::SESSIONS);
        self.client.answer("list its sessions", request).await
    }

    /// Starts a session.
    ///
    /// # Errors
    /// When the agent is not reached, or cannot.
    pub async fn start_session(&self, start: &SessionStart) -> Result<Session, Error> {
        let request = json(Method::POST, routes::SESSIONS, start);
        self.client.answer("start a session", request).await
    }

    /// One session.
    ///
    /// # Errors
    /// When the agent is not reached, has no such session, or cannot.
    pub async fn session(&self, name: &str) -> Result<Session, Error> {
        let request = bare(Method::GET, &path(name, ""));
        self.client.answer("show a session", request).await
    }

    /// One session, when it has ended.
    ///
    /// # Errors
    /// When the agent is not reached, has no such session, or cannot.
    pub async fn wait_for_session(&self, name: &str) -> Result<Session, Error> {
        let request = bare(Method::GET, &path(name, "/wait"));
        self.client.answer("wait for a session", request).await
    }

    /// Delivers a signal.
    ///
    /// # Errors
    /// When the agent is not reached, has no such session, or cannot.
    pub async fn signal_session(&self, name: &str, signal: &SessionSignal) -> Result<Session, Error> {
        let request = json(Method::POST, &path(name, "/signal"), signal);
        self.client.answer("signal a session", request).await
    }

    /// Asks a session to end.
    ///
    /// # Errors
    /// When the agent is not reached, has no such session, or cannot.
    pub async fn stop_session(&self, name: &str, stop: &SessionStop) -> Result<Session, Error> {
        let request = json(Method::POST, &path(name, "/stop"), stop);
        self.client.answer("stop a session", request).await
    }

    /// Forgets a session that has ended.
    ///
    /// # Errors
    /// When the agent is not reached, has no such session, or cannot.
    pub async fn remove_session(&self, name: &str) -> Result<Session, Error> {
        let request = bare(Method::DELETE, &path(name, ""));
        self.client.answer("remove a session", request).await
    }

    /// Joins a session; what comes back carries its frames.
    ///
    /// # Errors
    /// When the agent is not reached, has no such session, or cannot.
    pub async fn join_session(&self, name: &str, stream: &SessionStream) -> Result<AgentStream, Error> {
        let request = json(Method::POST, &path(name, "/stream"), stream);
        self.client.stream("join a session", request, STDIO_MUX).await
    }
}

/// A name is none of a path: a slash in it would lead elsewhere, and is encoded.
fn path(name: &str, rest: &str) -> String {
    format!("{}/{}{rest}", routes::SESSIONS, percent(name))
}

/// Percent-encodes all but unreserved characters (RFC 3986, section 2.3).
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
