//! The agent's HTTP server: routes to what does the work.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use banger_guest_api::workspace::{Look, Protect, PutWorkspace};
use banger_guest_api::{
    CLOCK_HEADER, Clock, Configure, Event, Exec, Failure, Health, InitState, PROTOCOL, Ready, SSH, STDIO_MUX,
    Shutdown, Ssh, TUNNEL, routes,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use crate::answer::{Answer, body, json, stream, switching};
use crate::exec::{Shims, Surroundings, account};
use crate::failure::{During, refused};
use crate::forward::{self, Waiting};
use crate::freeze::{Frozen, Hold};
use crate::socket::{Listener, Socket};
use crate::{events, files, ports, secrets, ssh, workspace};

/// What kind of guest the server serves.
pub trait Guest: Send + Sync + 'static {
    /// Becomes the VM that the host describes. Called at most once at a time.
    fn configure(
        &self,
        configure: Configure,
    ) -> Pin<Box<dyn Future<Output = Result<Configured, Failure>> + Send + '_>>;

    /// Powers the guest off, after the request was answered.
    fn shutdown(&self, shutdown: Shutdown);

    /// Is told what the host's clock is now.
    fn keep_clock(&self, clock: Clock);

    /// The root directory of the VM's own disk.
    ///
    /// # Errors
    /// When there is none, or not yet.
    fn disk(&self) -> Result<OwnedFd, Failure>;

    /// The directory that sessions are kept in.
    ///
    /// # Errors
    /// When it cannot be had, or not yet.
    fn sessions(&self) -> io::Result<OwnedFd>;

    /// Whether sessions end with the server, as those of a fake guest do.
    fn sessions_end_with_us(&self) -> bool {
        false
    }
}

/// A guest that is ready.
#[derive(Debug)]
pub struct Configured {
    /// What the host is told.
    pub ready: Ready,
    /// What commands get from now on.
    pub surroundings: Surroundings,
    /// How far the guest's init has come.
    pub init: watch::Receiver<InitState>,
}

/// The server.
#[derive(Debug)]
pub struct Server<G> {
    guest: G,
    shims: Arc<Shims>,
    waiting: Arc<Waiting>,
    /// Absent until the guest is configured.
    serving: RwLock<Option<Serving>>,
}

#[derive(Debug, Clone)]
struct Serving {
    surroundings: Surroundings,
    init: watch::Receiver<InitState>,
}

mod sessions;

impl<G: Guest> Server<G> {
    /// A server of a guest that is to be configured.
    pub fn new(guest: G, shims: Shims) -> Self {
        Self {
            guest,
            shims: Arc::new(shims),
            waiting: Arc::default(),
            serving: RwLock::new(None),
        }
    }

    /// A server of a guest that has been configured.
    pub fn configured(
        guest: G,
        shims: Shims,
        surroundings: Surroundings,
        init: watch::Receiver<InitState>,
    ) -> Self {
        Self {
            guest,
            shims: Arc::new(shims),
            waiting: Arc::default(),
            serving: RwLock::new(Some(Serving { surroundings, init })),
        }
    }

    /// Serves every connection of `listener`, for ever.
    ///
    /// # Errors
    /// When the listener is broken.
    pub async fn serve(self: Arc<Self>, listener: &Listener) -> io::Result<()> {
        loop {
            let socket = listener.accept().await?;
            let server = Arc::clone(&self);
            // A connection that breaks is its client's business.
            tokio::spawn(async move { server.serve_one(socket).await });
        }
    }

    /// Serves one connection to its end.
    ///
    /// # Errors
    /// When the connection broke, or what came was not HTTP.
    pub async fn serve_one(self: Arc<Self>, socket: Socket) -> hyper::Result<()> {
        let service = service_fn(move |request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        // One request a connection: PID 1 has to know when its answer has been taken.
        let connection = http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(socket), service);
        connection.with_upgrades().await
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if let Some(clock) = host_clock(&request) {
            self.guest.keep_clock(clock);
        }
        let route = (request.method().clone(), request.uri().path().to_owned());
        let answered = match (route.0, route.1.as_str()) {
            (Method::GET, routes::HEALTH) => Ok(json(StatusCode::OK, &self.health())),
            (Method::POST, routes::CONFIGURE) => self.configure(request).await,
            (Method::POST, routes::EXEC) => self.exec(request).await,
            (_, path) if path.starts_with(routes::FILES) => self.files(request).await,
            (Method::POST, routes::WORKSPACE_LOOK) => self.workspace_look(request).await,
            (Method::PUT, routes::WORKSPACE) => self.workspace(request).await,
            (Method::POST, routes::WORKSPACE_PROTECT) => self.workspace_protect(request).await,
            (Method::PUT, path) if path.starts_with(routes::SECRETS) => self.secret(request).await,
            (Method::POST, routes::FREEZE) => self.freeze().await,
            (Method::POST, routes::SHUTDOWN) => self.shutdown(request).await,
            (Method::GET, routes::EVENTS) => self.events(),
            (Method::GET, routes::PORTS) => self.ports(request).await,
            (Method::POST, routes::CONNECT) => self.connect(request).await,
            (Method::POST, routes::LISTEN) => self.listen(request).await,
            (Method::POST, routes::TAKE) => self.take(request).await,
            (_, path) if path.starts_with(routes::SESSIONS) => self.sessions(request).await,
            (Method::POST, routes::SSH) => self.ssh(request).await,
            (method, path) => {
                return json(
                    StatusCode::NOT_FOUND,
                    &refused(format!("this agent has no {method} {path}")),
                );
            }
        };
        answered.unwrap_or_else(|failure| json(StatusCode::BAD_REQUEST, &failure))
    }

    fn health(&self) -> Health {
        Health {
            protocol: PROTOCOL,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: crate::clock::uptime_ms(),
            running: self.shims.running(),
        }
    }

    async fn configure(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let configure: Configure = body(request).await?;
        if configure.protocol != PROTOCOL {
            let theirs = configure.protocol;
            return Err(refused(format!(
                "the host uses protocol {theirs}, but this agent uses {PROTOCOL}"
            )));
        }
        if self
            .serving
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
        {
            return Err(refused("this guest is already configured"));
        }
        let Configured {
            ready,
            surroundings,
            init,
        } = self.guest.configure(configure).await?;
        *self.serving.write().unwrap_or_else(PoisonError::into_inner) = Some(Serving { surroundings, init });
        Ok(json(StatusCode::OK, &ready))
    }

    fn serving(&self) -> Result<Serving, Failure> {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        serving
            .clone()
            .ok_or_else(|| refused("this guest is not configured yet"))
    }

    async fn exec(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Answer, Failure> {
        let upgrade = hyper::upgrade::on(&mut request);
        let surroundings = self.serving()?.surroundings;
        let exec: Exec = body(request).await?;
        tokio::spawn(async move {
            // A client that asked for a stream and left needs none.
            let Some((socket, sent)) = stream(upgrade).await else {
                return;
            };
            let handed = match socket.into_blocking() {
                Ok(socket) => {
                    let hand_over = self.shims.hand_over(socket, exec, surroundings, sent.to_vec());
                    hand_over.await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = handed {
                eprintln!("banger: failed to start a command: {error}");
            }
        });
        Ok(switching(STDIO_MUX))
    }

    async fn ports(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let query = ports::query(request.uri().query().unwrap_or_default())?;
        let root = self.serving()?.surroundings.root;
        Ok(json(StatusCode::OK, &ports::listening(root, query).await?))
    }

    async fn connect(&self, mut request: Request<Incoming>) -> Result<Answer, Failure> {
        let upgrade = hyper::upgrade::on(&mut request);
        let connected = forward::connect(body(request).await?).await?;
        tokio::spawn(async move {
            if let Some((tunnel, sent)) = stream(upgrade).await {
                connected.relay(tunnel, sent).await;
            }
        });
        Ok(switching(TUNNEL))
    }

    async fn listen(&self, mut request: Request<Incoming>) -> Result<Answer, Failure> {
        let upgrade = hyper::upgrade::on(&mut request);
        let upgraded = async move { stream(upgrade).await.map(|(socket, _)| socket) };
        self.waiting.listen(body(request).await?, upgraded).await?;
        Ok(switching(TUNNEL))
    }

    async fn take(&self, mut request: Request<Incoming>) -> Result<Answer, Failure> {
        let upgrade = hyper::upgrade::on(&mut request);
        let connected = self.waiting.take(body(request).await?)?;
        tokio::spawn(async move {
            if let Some((tunnel, sent)) = stream(upgrade).await {
                connected.relay(tunnel, sent).await;
            }
        });
        Ok(switching(TUNNEL))
    }

    async fn ssh(&self, mut request: Request<Incoming>) -> Result<Answer, Failure> {
        let upgrade = hyper::upgrade::on(&mut request);
        let surroundings = self.serving()?.surroundings;
        let order: Ssh = body(request).await?;
        let shims = Arc::clone(&self.shims);
        tokio::spawn(async move {
            let Some((socket, sent)) = stream(upgrade).await else {
                return;
            };
            let served = match socket.into_blocking() {
                Ok(socket) => ssh::serve(shims, socket, order, surroundings, sent.to_vec()).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                eprintln!("banger: failed to serve SSH: {error}");
            }
        });
        Ok(switching(SSH))
    }

    async fn files(&self, mut request: Request<Incoming>) -> Result<Answer, Failure> {
        let surroundings = self.serving()?.surroundings;
        if request.uri().path() == routes::FILES_REMOVE {
            return files::removed(request, &surroundings).await;
        }
        let copy = files::Copy::asked(&request, &surroundings)?;
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Some((socket, sent)) = stream(upgrade).await {
                copy.through(socket, sent);
            }
        });
        Ok(switching(STDIO_MUX))
    }

    async fn workspace_look(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let asked: Look = body(request).await?;
        let base = self
            .serving()?
            .surroundings
            .path(workspace::checked(&asked.path)?);
        Ok(json(StatusCode::OK, &workspace::look(base, asked).await?))
    }

    async fn workspace(&self, mut request: Request<Incoming>) -> Result<Answer, Failure> {
        let query = request.uri().query().unwrap_or_default();
        let put = PutWorkspace::parse(query).during("parse the workspace request")?;
        let surroundings = self.serving()?.surroundings;
        let base = surroundings.path(workspace::checked(&put.path)?);
        let owner = account::of(put.owner.as_deref(), &surroundings)?;
        let owner = surroundings.is_real().then_some(owner);
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Some((socket, sent)) = stream(upgrade).await {
                files::serve(socket, sent, move |entries, _| {
                    workspace::apply_as(owner.as_ref(), entries, &base)
                });
            }
        });
        Ok(switching(STDIO_MUX))
    }

    async fn workspace_protect(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let asked: Protect = body(request).await?;
        let surroundings = self.serving()?.surroundings;
        let base = surroundings.path(workspace::checked(&asked.path)?);
        if surroundings.is_real() {
            workspace::protect(base, asked.readonly)?;
        } else if asked.readonly {
            return Err(workspace::without_mounts());
        }
        Ok(json(StatusCode::OK, &serde_json::json!({})))
    }

    async fn secret(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        secrets::put(request, self.serving()?.surroundings).await
    }

    async fn freeze(&self) -> Result<Answer, Failure> {
        let disk = self.guest.disk()?;
        let freezing = tokio::task::spawn_blocking(move || Frozen::new(disk)).await;
        let frozen = freezing
            .map_err(|_| refused("freezing the disk panicked"))?
            .during("freeze the VM's disk")?;
        Ok(Response::new(BodyExt::boxed(Hold::new(frozen))))
    }

    async fn shutdown(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let shutdown: Shutdown = body(request).await?;
        self.guest.shutdown(shutdown);
        Ok(json(StatusCode::ACCEPTED, &serde_json::json!({})))
    }

    fn events(&self) -> Result<Answer, Failure> {
        let init = self.serving()?.init;
        let lines = events::lines(init.clone(), |state| line(&Event::Init { state }));
        Ok(Response::new(BodyExt::boxed(lines)))
    }
}

/// What time it was at the host when it asked.
fn host_clock(request: &Request<Incoming>) -> Option<Clock> {
    request.headers().get(CLOCK_HEADER)?.to_str().ok()?.parse().ok()
}

fn line(event: &Event) -> Bytes {
    let mut line = serde_json::to_vec(event).expect("events have only string keys");
    line.push(b'\n');
    line.into()
}
