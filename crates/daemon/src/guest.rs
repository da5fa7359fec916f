//! Speaking to the agent in a guest: HTTP/1.1 over a dialed vsock connection, one connection a request.

use std::sync::Arc;
use std::time::Duration;

use banger_guest_api::{
    AGENT_PORT, CLOCK_HEADER, Clock, Configure, Connect, Exec, Failure, FilesDone, Health, Listen, Ready,
    SSH, STDIO_MUX, Shutdown, Ssh, TUNNEL, Take, routes,
};
use banger_hostsys::clock::now;
use banger_model::{Describe, ErrorCode};
use banger_vmm::Machine;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::budget::{Budget, Unfit};
use self::metered::Metered;
pub(crate) use self::stream::AgentStream;

pub(crate) mod budget;
mod events;
mod files;
mod metered;
mod secrets;
mod sessions;
mod stream;

pub(crate) use self::events::Events;

/// The body of a request to the agent.
pub(crate) type RequestBody = BoxBody<Bytes, std::io::Error>;

/// The agent of a running machine.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    machine: Arc<dyn Machine>,
    user: Option<Arc<str>>,
}

/// The agent could not be asked, or refused. `asked` says for what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No connection to the agent.
    #[error("reach the guest's agent to {asked}")]
    Dial {
        asked: &'static str,
        #[source]
        source: banger_vmm::Error,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("ask the guest's agent to {asked}")]
    Http {
        asked: &'static str,
        #[source]
        source: hyper::Error,
    },
    /// The agent refused or failed, in its own words.
    #[error("the guest could not {asked}")]
    Refused {
        asked: &'static str,
        status: StatusCode,
        #[source]
        source: Box<Refusal>,
    },
    /// The agent's answer is not of this protocol.
    #[error("understand the guest's answer when asked to {asked}")]
    Answer {
        asked: &'static str,
        #[source]
        source: Unfit,
    },
    /// The agent's answer has more bytes than any that is right.
    #[error("the guest's answer is longer than {most} bytes when asked to {asked}")]
    TooLong { asked: &'static str, most: usize },
    /// The agent said nothing.
    #[error("the guest's agent ended without an answer when asked to {asked}")]
    Ended { asked: &'static str },
    /// The agent does not know what it is asked.
    #[error("the guest's agent is too old to {asked}")]
    TooOld { asked: &'static str },
    /// The agent did not switch to frames.
    #[error("the guest's agent did not open a stream to {asked}: it answered {status}")]
    NoUpgrade { asked: &'static str, status: StatusCode },
}

/// The agent's own words for why it did not do something.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(crate) struct Refusal(Failure, #[source] Option<Cause>);

/// A deeper cause that the agent named.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Cause {
    text: String,
    #[source]
    deeper: Option<Box<Cause>>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let failure = budget::failure(failure);
        let mut cause = None;
        for text in failure.causes.iter().rev() {
            let deeper = cause.take().map(Box::new);
            cause = Some(Cause {
                text: text.clone(),
                deeper,
            });
        }
        Self(failure, cause)
    }
}

/// A VM's disk at rest; it goes on when this is dropped.
#[derive(Debug)]
pub(crate) struct Frozen(Incoming);

impl Frozen {
    /// Whether it has been frozen all the time.
    pub(crate) async fn held(mut self) -> bool {
        // The guest says nothing more until it gives up.
        tokio::time::timeout(Duration::ZERO, self.0.frame())
            .await
            .is_err()
    }
}

impl Guest {
    /// The agent of `machine`, which has knocked.
    pub(crate) fn new(machine: Arc<dyn Machine>) -> Self {
        Self { machine, user: None }
    }

    /// The same, whose workspaces belong to `user`: the image's, who runs the VM's commands.
    pub(crate) fn of_user(self, user: &str) -> Self {
        let user = (!user.is_empty()).then(|| user.into());
        Self { user, ..self }
    }

    /// Whose its workspaces are; root's when nobody says.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Sends the one configuration of a boot, and waits until the guest is ready.
    pub(crate) async fn configure(&self, configure: &Configure) -> Result<Ready, Error> {
        let asked = "configure itself";
        let request = json(Method::POST, routes::CONFIGURE, configure);
        self.answer(asked, request).await.map(budget::ready)
    }

    /// Asks whether the agent lives; like every request, it says what time it is.
    pub(crate) async fn health(&self) -> Result<Health, Error> {
        let request = Request::get(routes::HEALTH)
            .body(empty())
            .expect("a constant request");
        self.answer("say that it lives", request).await
    }

    /// Freezes the VM's disk until what is given is dropped, or for a minute.
    pub(crate) async fn freeze(&self) -> Result<Frozen, Error> {
        let asked = "freeze its disk";
        let request = Request::post(routes::FREEZE)
            .body(empty())
            .expect("a constant request");
        let mut body = self.send(asked, request).await?.into_body();
        // The line that says that it is frozen.
        match body.frame().await {
            Some(Ok(_)) => Ok(Frozen(body)),
            Some(Err(source)) => Err(Error::Http { asked, source }),
            None => Err(Error::Ended { asked }),
        }
    }

    /// Asks for a clean power-off; returns once the agent has taken the request.
    pub(crate) async fn shutdown(&self, grace_ms: u64) -> Result<(), Error> {
        let request = json(Method::POST, routes::SHUTDOWN, &Shutdown { grace_ms });
        self.send("power off", request).await.map(drop)
    }

    /// What listens in the guest; `http` asks each TCP port whether it speaks HTTP.
    pub(crate) async fn ports(&self, http: bool) -> Result<Vec<banger_guest_api::Listener>, Error> {
        let query = if http { "?http=true" } else { "" };
        let request = Request::get(format!("{}{query}", routes::PORTS))
            .body(empty())
            .expect("a constant request");
        self.answer("list its listening ports", request).await
    }

    /// Removes files in the guest.
    pub(crate) async fn remove_files(&self, query: &str, names: RequestBody) -> Result<FilesDone, Error> {
        let request = Request::post(format!("{}?{query}", routes::FILES_REMOVE)).body(names);
        self.answer("remove files", request.expect("a query that was one already"))
            .await
    }

    /// Asks for files, or to take some; what comes back carries their frames.
    pub(crate) async fn files(
        &self,
        asked: &'static str,
        method: Method,
        route: &'static str,
        query: &str,
    ) -> Result<AgentStream, Error> {
        let request = Request::builder().method(method).uri(format!("{route}?{query}"));
        let request = request.body(empty()).expect("a query that was one already");
        self.stream(asked, request, STDIO_MUX).await
    }

    /// Starts a command; what comes back carries its frames.
    pub(crate) async fn exec(&self, exec: &Exec) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::EXEC, exec);
        self.stream("run a command", request, STDIO_MUX).await
    }

    /// Connects to a port of the guest.
    pub(crate) async fn connect(&self, connect: &Connect) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::CONNECT, connect);
        self.tunnel("connect to a port", request).await
    }

    /// Lets the guest listen at a port as long as the tunnel is kept, which brings a token for each connection.
    pub(crate) async fn listen(&self, listen: &Listen) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::LISTEN, listen);
        self.tunnel("listen at a port", request).await
    }

    /// Takes a connection that such a port got.
    pub(crate) async fn take(&self, take: &Take) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::TAKE, take);
        self.tunnel("hand over a connection", request).await
    }

    /// Starts an SSH server; what comes back carries SSH.
    pub(crate) async fn ssh(&self, ssh: &Ssh) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::SSH, ssh);
        self.stream("serve SSH", request, SSH).await
    }

    async fn tunnel(&self, asked: &'static str, request: Request<RequestBody>) -> Result<AgentStream, Error> {
        self.stream(asked, request, TUNNEL).await
    }

    /// The connection that a request asks for, which speaks `protocol`.
    async fn stream(
        &self,
        asked: &'static str,
        request: Request<RequestBody>,
        protocol: &'static str,
    ) -> Result<AgentStream, Error> {
        let upgraded = self.upgraded(asked, request, protocol).await?;
        stream_of(asked, upgraded)
    }

    async fn upgraded(
        &self,
        asked: &'static str,
        mut request: Request<RequestBody>,
        protocol: &'static str,
    ) -> Result<Upgraded, Error> {
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static(protocol));
        let response = self.send(asked, request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            return Err(Error::NoUpgrade { asked, status });
        }
        hyper::upgrade::on(response)
            .await
            .map_err(|source| Error::Http { asked, source })
    }

    /// What happens in the guest, from its current state on.
    pub(crate) async fn events(&self) -> Result<Events, Error> {
        let request = Request::get(routes::EVENTS)
            .body(empty())
            .expect("a constant request");
        let response = self.send("tell its events", request).await?;
        Ok(Events::of(response.into_body()))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        asked: &'static str,
        request: Request<RequestBody>,
    ) -> Result<T, Error> {
        Ok(self.long_answer(asked, request, Budget::USUAL).await?.0)
    }

    /// An answer within a budget, and how many bytes it has.
    pub(crate) async fn long_answer<T: DeserializeOwned>(
        &self,
        asked: &'static str,
        request: Request<RequestBody>,
        budget: Budget,
    ) -> Result<(T, usize), Error> {
        let response = self.send(asked, request).await?;
        let body = collect(asked, response, budget.bytes).await?;
        let answer = budget::decode(&body, budget).map_err(|source| Error::Answer { asked, source })?;
        Ok((answer, body.len()))
    }

    /// Sends a request and gives the response, unless it is a refusal.
    async fn send(
        &self,
        asked: &'static str,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Error> {
        let stream = self
            .machine
            .dial(AGENT_PORT)
            .await
            .map_err(|source| Error::Dial { asked, source })?;
        let http = |source| Error::Http { asked, source };
        let (stream, responded) = Metered::new(stream);
        let mut client = http1::Builder::new();
        client.max_buf_size(MOST_BUFFERED).max_headers(MOST_HEADERS);
        let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(http)?;
        // The connection lives as long as its request, response and upgrade do; its errors come out of those.
        tokio::spawn(connection.with_upgrades());
        let headers = request.headers_mut();
        headers.insert(header::HOST, header::HeaderValue::from_static("guest"));
        let clock = header::HeaderValue::try_from(Clock::since_epoch(now()).to_string());
        headers.insert(CLOCK_HEADER, clock.expect("digits and a dot"));
        let response = sender.send_request(request).await.map_err(http)?;
        responded.store(true, std::sync::atomic::Ordering::Relaxed);
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(response);
        }
        if status == StatusCode::NOT_FOUND {
            return Err(Error::TooOld { asked });
        }
        // Of one that is too long, the status counts.
        let body = collect(asked, response, Budget::SMALL.bytes)
            .await
            .unwrap_or_default();
        let failure = budget::decode::<Failure>(&body, Budget::SMALL).unwrap_or_else(|_| {
            let answer = String::from_utf8_lossy(&body[..body.len().min(512)]);
            Failure::new(format!("{status}: {answer}"))
        });
        Err(Error::Refused {
            asked,
            status,
            source: Box::new(failure.into()),
        })
    }
}

/// The connection itself.
fn stream_of(asked: &'static str, upgraded: Upgraded) -> Result<AgentStream, Error> {
    let parts = upgraded.downcast::<TokioIo<Metered>>();
    let parts = parts.map_err(|_| Error::Ended { asked })?;
    Ok(AgentStream {
        stream: parts.io.into_inner().into_inner(),
        sent: parts.read_buf,
    })
}

/// The most of a response that is read ahead, its head included, and the most headers.
const MOST_BUFFERED: usize = 64 << 10;
const MOST_HEADERS: usize = 32;

/// The whole of an answer, which has at most so many bytes: a guest does not decide how much memory the daemon takes.
async fn collect(asked: &'static str, response: Response<Incoming>, most: usize) -> Result<Vec<u8>, Error> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| Error::Http { asked, source })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > most - bytes.len() {
            return Err(Error::TooLong { asked, most });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// A request with a JSON body.
pub(crate) fn json<T: Serialize>(method: Method, path: &str, body: &T) -> Request<RequestBody> {
    let bytes = serde_json::to_vec(body).expect("messages have only string keys");
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(
            Full::new(Bytes::from(bytes))
                .map_err(|never| match never {})
                .boxed(),
        )
        .expect("a constant request")
}

fn empty() -> RequestBody {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed()
}

/// Percent-encodes all but unreserved characters (RFC 3986, section 2.3).
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Error {
    /// The status with which the agent refused.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl Error {
    /// What the user of this VM can do.
    pub(crate) fn hints_for(&self, vm: &str) -> Vec<String> {
        match self {
            Self::Refused { .. } => Vec::new(),
            _ if self.is_of_another_version() => vec![format!(
                "the guest runs an agent of another version: `banger vm restart {vm}` gives it this one"
            )],
            _ => vec![format!("look at the guest's console with `banger vm logs {vm}`")],
        }
    }

    fn is_of_another_version(&self) -> bool {
        match self {
            Self::Answer { source, .. } => !matches!(source, Unfit::TooMuch { .. }),
            Self::NoUpgrade { .. } | Self::TooOld { .. } => true,
            _ => false,
        }
    }
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Refused {
                status: StatusCode::GONE,
                ..
            } => ErrorCode::NotFound,
            Self::Refused {
                status: StatusCode::CONFLICT,
                ..
            } => ErrorCode::InUse,
            Self::Dial { .. }
            | Self::Http { .. }
            | Self::Ended { .. }
            | Self::TooLong { .. }
            | Self::Answer {
                source: Unfit::TooMuch { .. },
                ..
            }
            | Self::Refused { .. } => ErrorCode::Guest,
            Self::Answer { .. } | Self::NoUpgrade { .. } | Self::TooOld { .. } => ErrorCode::VersionMismatch,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            _ if self.is_of_another_version() => {
                vec!["the guest runs an agent of another version: restart the VM".to_owned()]
            }
            Self::Refused { .. } => Vec::new(),
            _ => vec!["`banger vm list` shows whether the VM runs; its console may say more".to_owned()],
        }
    }
}
