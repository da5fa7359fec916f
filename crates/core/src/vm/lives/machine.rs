//! A VMM whose machines are tasks of the test, and whose steps fail or stand still as a test says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use banger_guest_api::{HELLO_PORT, Hello, PROTOCOL, routes};
use banger_model::VmmKind;
use banger_vmm::{Backend, Capabilities, Ended, Error, LaunchSpec, Machine, MachineRecord, ProcessId};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::fs::{FlockOperation, flock};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::guest;

/// What a machine and its guest do for the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The VMM starts.
    Launch,
    /// The guest says hello.
    Hello,
    /// The guest configures itself.
    Configure,
    /// The guest keeps a secret.
    Secret,
    /// The guest tells what it has of a workspace.
    Look,
    /// The guest writes a workspace.
    Write,
    /// The guest begins a session.
    Session,
    /// The session that prepares a checkout ends. A fault here means that the guest has no such session.
    Prepare,
    /// The guest powers itself off.
    Shutdown,
    /// The VMM ends when it is asked.
    End,
    /// The VMM is killed.
    Kill,
    /// The companions of a VMM that has ended are ended.
    Clear,
    /// The VMM lets its halted guest go on.
    Resume,
}

/// What a step does in place of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It fails.
    Fails,
    /// It takes until the trouble is over.
    Stands,
    /// It says that it was done, and nothing comes of it.
    Lies,
}

/// What steps do, and which one stands still.
#[derive(Debug, Default)]
struct Script {
    troubles: watch::Sender<BTreeMap<Step, Trouble>>,
    stands: watch::Sender<Option<Step>>,
    /// Whether machines stand still because a write met no space.
    stalled: watch::Sender<bool>,
    /// The steps that were begun, in their order.
    begun: Mutex<Vec<Step>>,
}

/// The VMM.
#[derive(Debug)]
pub(super) struct Vmm {
    script: Arc<Script>,
    machines: Mutex<BTreeMap<PathBuf, Arc<Inner>>>,
    /// Where machines run: they outlive daemons.
    world: Handle,
}

#[derive(Debug)]
struct Inner {
    record: MachineRecord,
    exited: watch::Sender<Option<Ended>>,
    locks: Mutex<Vec<Arc<OwnedFd>>>,
    script: Arc<Script>,
    world: Handle,
}

impl Vmm {
    pub(super) fn new(world: Handle) -> Arc<Self> {
        Arc::new(Self {
            script: Arc::default(),
            machines: Mutex::default(),
            world,
        })
    }

    /// What a step does from now on.
    pub(super) fn set(&self, step: Step, trouble: Option<Trouble>) {
        let script = &self.script;
        script.troubles.send_modify(|troubles| {
            match trouble {
                Some(trouble) => troubles.insert(step, trouble),
                None => troubles.remove(&step),
            };
        });
        script.stands.send_replace(None);
    }

    /// The steps that were begun since this was asked last.
    pub(super) fn begun(&self) -> Vec<Step> {
        std::mem::take(&mut *self.script.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when a step stands still.
    pub(super) async fn stands(&self) {
        let mut stands = self.script.stands.subscribe();
        let stood = stands.wait_for(Option::is_some).await;
        stood.expect("the script outlives this");
    }

    /// Its machines meet a full disk, as QEMU's do, and halt their guests.
    pub(super) fn stall(&self) {
        self.script.stalled.send_replace(true);
    }

    /// All machines die.
    pub(super) fn end_all(&self) {
        self.end_all_by(&Ended::Killed);
    }

    /// All machines end like this.
    pub(super) fn end_all_by(&self, how: &Ended) {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.values().for_each(|machine| machine.end(how.clone()));
    }

    /// How many machines run.
    pub(super) fn running(&self) -> usize {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.values().filter(|machine| machine.runs()).count()
    }
}

impl Script {
    /// Takes a step. Whether something comes of it.
    async fn take(&self, step: Step) -> Result<bool, Error> {
        self.begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(step);
        let trouble = self.troubles.borrow().get(&step).copied();
        match trouble {
            None => Ok(true),
            Some(Trouble::Lies) => {
                self.stands.send_replace(Some(step));
                Ok(false)
            }
            Some(Trouble::Fails) => Err(Error::Refused {
                vmm: "the test",
                what: format!("{step:?}"),
                words: "it is to fail".to_owned(),
            }),
            Some(Trouble::Stands) => {
                self.stands.send_replace(Some(step));
                let mut troubles = self.troubles.subscribe();
                let goes_on = troubles.wait_for(|troubles| troubles.get(&step) != Some(&Trouble::Stands));
                goes_on.await.expect("the script outlives this");
                Ok(true)
            }
        }
    }
}

impl Inner {
    fn runs(&self) -> bool {
        self.exited.borrow().is_none()
    }

    fn end(&self, how: Ended) {
        // A process gives them back when it ends; this one does not.
        for lock in self
            .locks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            let _ = flock(lock, FlockOperation::Unlock);
        }
        self.exited.send_if_modified(|ended| {
            let runs = ended.is_none();
            if runs {
                *ended = Some(how);
            }
            runs
        });
    }

    /// The guest: its hello, then nothing until it is dialled.
    async fn boot(self: Arc<Self>) {
        let hello = Hello {
            protocol: PROTOCOL,
            agent: "test".to_owned(),
            uptime_ms: 1,
        };
        if self.script.take(Step::Hello).await.is_err() {
            return self.end(Ended::Panicked("it is to fail".to_owned()));
        }
        let line = serde_json::to_string(&hello).expect("plain data") + "\n";
        let socket = self.record.dir.join(format!("vsock.sock_{HELLO_PORT}"));
        if let Ok(mut host) = UnixStream::connect(socket).await {
            // The daemon may have died.
            let _ = host.write_all(line.as_bytes()).await;
        }
    }

    /// Takes a step, and answers with what comes of it.
    async fn take(
        &self,
        step: Step,
        status: StatusCode,
        body: impl FnOnce() -> String,
    ) -> (StatusCode, String) {
        match self.script.take(step).await {
            Ok(_) => (status, body()),
            Err(_) => guest::failure(),
        }
    }

    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        if path == routes::WORKSPACE && self.script.take(Step::Write).await.is_ok() {
            return Ok(guest::workspace(&mut request));
        }
        let (status, body) = match path.as_str() {
            routes::CONFIGURE => self.take(Step::Configure, StatusCode::OK, guest::ready).await,
            routes::SHUTDOWN => match self.script.take(Step::Shutdown).await {
                Ok(powers_off) => {
                    let machine = Arc::clone(&self);
                    if powers_off {
                        tokio::spawn(async move { machine.end(Ended::Clean) });
                    }
                    (StatusCode::ACCEPTED, String::new())
                }
                Err(_) => guest::failure(),
            },
            routes::EVENTS => (
                StatusCode::OK,
                "{\"event\":\"init\",\"state\":{\"is\":\"up\"}}\n".to_owned(),
            ),
            routes::WORKSPACE => guest::failure(),
            routes::WORKSPACE_LOOK => self.take(Step::Look, StatusCode::OK, guest::absent).await,
            routes::SESSIONS => self.take(Step::Session, StatusCode::OK, guest::session).await,
            session if session.starts_with(routes::SESSIONS) => match self.script.take(Step::Prepare).await {
                Ok(true) => (StatusCode::OK, guest::ended_session()),
                Ok(false) => guest::no_session(),
                Err(_) => guest::failure(),
            },
            secret if secret.starts_with(routes::SECRETS) => {
                self.take(Step::Secret, StatusCode::NO_CONTENT, String::new).await
            }
            _ => (StatusCode::NOT_FOUND, r#"{"message":"no such route"}"#.to_owned()),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        Ok(response)
    }
}

#[async_trait]
impl Backend for Vmm {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            vmm: VmmKind::Fake,
            acceleration: "none",
            max_vcpus: 32,
            pause: false,
            snapshot: false,
            guest_init: true,
            network: false,
        }
    }

    async fn launch(&self, spec: &LaunchSpec) -> Result<Box<dyn Machine>, Error> {
        self.script.take(Step::Launch).await?;
        Ok(Box::new(One(self.start(spec))))
    }

    async fn adopt(&self, record: &MachineRecord) -> Result<Option<Box<dyn Machine>>, Error> {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = machines.get(&record.dir).filter(|machine| machine.runs());
        Ok(machine.map(|machine| Box::new(One(Arc::clone(machine))) as Box<dyn Machine>))
    }
}

impl Vmm {
    fn start(&self, spec: &LaunchSpec) -> Arc<Inner> {
        let us = i32::try_from(std::process::id()).expect("a process id");
        let machine = Arc::new(Inner {
            record: MachineRecord {
                vmm: VmmKind::Fake,
                acceleration: "none".to_owned(),
                dir: spec.dir.clone(),
                process: ProcessId::of(us).expect("this process"),
                companions: Vec::new(),
            },
            exited: watch::Sender::new(None),
            locks: Mutex::new(spec.locks.clone()),
            script: Arc::clone(&self.script),
            world: self.world.clone(),
        });
        let before = self
            .machines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(spec.dir.clone(), Arc::clone(&machine));
        assert!(
            before.is_none_or(|before| !before.runs()),
            "two machines of one VM"
        );
        self.script.stalled.send_replace(false);
        self.world.spawn(Arc::clone(&machine).boot());
        machine
    }
}

/// A machine as the daemon has it.
#[derive(Debug)]
struct One(Arc<Inner>);

#[async_trait]
impl Machine for One {
    fn record(&self) -> &MachineRecord {
        &self.0.record
    }

    async fn dial(&self, _port: u32) -> Result<UnixStream, Error> {
        let broken = |source| Error::File {
            what: "dial",
            path: self.0.record.dir.clone(),
            source,
        };
        if !self.0.runs() {
            return Err(broken(std::io::ErrorKind::ConnectionRefused.into()));
        }
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(broken)?;
        ours.set_nonblocking(true).map_err(broken)?;
        theirs.set_nonblocking(true).map_err(broken)?;
        let machine = Arc::clone(&self.0);
        self.0.world.spawn(async move {
            let stream = UnixStream::from_std(theirs).expect("a socket");
            let mut exited = machine.exited.subscribe();
            let service = service_fn(move |request| Arc::clone(&machine).answer(request));
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::select! {
                _ = serving => {}
                _ = exited.wait_for(Option::is_some) => {}
            }
        });
        UnixStream::from_std(ours).map_err(broken)
    }

    async fn pause(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn resume(&self) -> Result<(), Error> {
        if self.0.script.take(Step::Resume).await? {
            self.0.script.stalled.send_replace(false);
        }
        Ok(())
    }

    async fn snapshot(&self, _dir: &Path) -> Result<(), Error> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), Error> {
        if self.0.script.take(Step::End).await? {
            self.0.end(Ended::Clean);
        }
        Ok(())
    }

    async fn kill(&self) -> Result<(), Error> {
        let step = match self.0.runs() {
            true => Step::Kill,
            false => Step::Clear,
        };
        self.0.script.take(step).await?;
        self.0.end(Ended::Killed);
        Ok(())
    }

    fn stalled(&self) -> Option<watch::Receiver<bool>> {
        Some(self.0.script.stalled.subscribe())
    }

    fn exited(&self) -> watch::Receiver<Option<Ended>> {
        self.0.exited.subscribe()
    }
}
