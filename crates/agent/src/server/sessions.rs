//! The routes of sessions.

use std::sync::Arc;

use banger_guest_api::{Failure, STDIO_MUX, SessionSignal, SessionStart, SessionStop, SessionStream, routes};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde::Serialize;

use super::{Guest, Server};
use crate::answer::{Answer, body, json, stream, switching};
use crate::failure::{During, refused};
use crate::session::{Refusal, Sessions};

impl<G: Guest> Server<G> {
    /// Answers a request below [`routes::SESSIONS`].
    pub(super) async fn sessions(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Failure> {
        let surroundings = self.serving()?.surroundings;
        let dir = self.guest.sessions().during("open the directory of sessions")?;
        let sessions = Sessions::new(dir, self.guest.sessions_end_with_us());
        let path = request.uri().path().to_owned();
        let rest = path.strip_prefix(routes::SESSIONS).unwrap_or_default();
        let (name, verb) = rest
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((rest.trim_start_matches('/'), ""));
        let answered = match (request.method(), name, verb) {
            (&Method::GET, "", "") => sessions.list().await.map(ok),
            (&Method::POST, "", "") => {
                let start: SessionStart = body(request).await?;
                sessions.start(start, surroundings).await.map(ok)
            }
            (&Method::GET, name, "") => sessions.show(name).await.map(ok),
            (&Method::DELETE, name, "") => sessions.remove(name).await.map(ok),
            (&Method::GET, name, "wait") => sessions.wait(name).await.map(ok),
            (&Method::POST, name, "signal") => {
                let SessionSignal { signal } = body(request).await?;
                sessions.signal(name, signal).await.map(ok)
            }
            (&Method::POST, name, "stop") => {
                let SessionStop { grace_ms } = body(request).await?;
                sessions.stop(name, grace_ms).await.map(ok)
            }
            (&Method::POST, name, "stream") => join(sessions, name.to_owned(), request).await,
            (method, ..) => {
                let failure = refused(format!("this agent has no {method} {path}"));
                return Ok(json(StatusCode::NOT_FOUND, &failure));
            }
        };
        answered.or_else(|refusal| match refusal {
            Refusal::Unknown(failure) => Ok(json(StatusCode::GONE, &failure)),
            Refusal::Conflict(failure) => Ok(json(StatusCode::CONFLICT, &failure)),
            Refusal::Other(failure) => Err(failure),
        })
    }
}

/// Joins a client to a session, once it has switched protocols.
async fn join(sessions: Sessions, name: String, mut request: Request<Incoming>) -> Result<Answer, Refusal> {
    let upgrade = hyper::upgrade::on(&mut request);
    let wanted: SessionStream = body(request).await?;
    sessions.can_be_joined(&name).await?;
    tokio::spawn(async move {
        // A client that asked for a stream and left needs none.
        let Some((socket, sent)) = stream(upgrade).await else {
            return;
        };
        let joined = match socket.into_blocking() {
            Ok(socket) => sessions.join(&name, socket, wanted, sent.to_vec()).await,
            Err(error) => Err(error).during("hand a client over").map_err(Refusal::from),
        };
        if let Err(refusal) = joined {
            eprintln!("banger: failed to join a client to session {name}: {refusal:?}");
        }
    });
    Ok(switching(STDIO_MUX))
}

fn ok<T: Serialize>(value: T) -> Answer {
    json(StatusCode::OK, &value)
}
