//! The server: one socket, one thread a connection, one helper behind a lock.

use std::error::Error;
use std::fmt::Display;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use banger_model::network::{Room, Surroundings, Ula};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Gid, Uid};

use crate::confine::{ConfineError, Who, confine};
use crate::file::{failed, remove};
use crate::flows::FlowLog;
use crate::helper::{Addresses, Helper, Refusal, chain};
use crate::kernel::{HostError, Kernel, Watch, resolved::Resolved};
use crate::plan::Store;
use crate::user;
use crate::wire::{MAX_FRAME, Reply, Verb, frame, read_frame, write_frame};

/// How many connections there may be; all are the owner's or root's.
const MAX_CONNECTIONS: usize = 64;
/// How many of them the owner's programs may take: root must be able to ask all the same.
const MAX_OF_OWNER: usize = 60;
/// Who has the server beside connections: the listener and two threads.
const OWN: usize = 3;
/// How long a client may leave a reply unread.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after a verb the pool is filled and the records are synced, so that a burst of verbs does not wait for it.
const QUIET: Duration = Duration::from_millis(50);

/// How long a burst puts that off at most.
const BURST: Duration = Duration::from_secs(1);

/// Whom to serve, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// The user whose VMs these are.
    pub owner: u32,
    /// The directory of the socket `UID.sock`; made if there is none.
    pub socket_dir: PathBuf,
    /// The directory of the plan, root's alone; made if there is none.
    pub state_dir: PathBuf,
    /// Of which addresses the network may be; where it is apart, of any private ones.
    pub room: Room,
    /// The host's network, where this is in namespaces of the user's own: then there is no other user to become, and the host's
    /// resolver is told nothing.
    pub apart: Option<Arc<Watch>>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Not root.
    #[error("only root can do this: start it with sudo, or as a system service")]
    NotRoot,
    /// A directory, the lock, a record or the socket.
    #[error(transparent)]
    File(#[from] HostError),
    /// Another helper has this plan.
    #[error("another banger-root already serves {0}")]
    Running(PathBuf),
    /// The helper cannot give up what it does not need.
    #[error("failed to confine this process")]
    Confine(#[from] ConfineError),
    /// What is around the host is not told.
    #[error("failed to watch the host's network")]
    Around(#[source] io::Error),
    /// Something of a network stays.
    #[error("failed to remove the network")]
    Teardown(#[from] Refusal),
}

/// The path of an owner's socket.
pub fn socket_path(dir: &Path, owner: u32) -> PathBuf {
    dir.join(format!("{owner}.sock"))
}

/// Serves until the process is ended. What it made stays, for VMs that run and for the helper after it.
///
/// # Errors
/// Something that it cannot do without.
pub fn serve(config: &Config) -> Result<(), ServeError> {
    let (ground, _lock) = prepare(config)?;
    let manager = manager();
    let path = socket_path(&config.socket_dir, config.owner);
    let fresh = path.with_extension("new");
    remove(&fresh)?;
    // Who connects from now on waits until the host is as planned. Later, the helper may change nothing in that directory.
    let listener = listen(&fresh, config.owner).map_err(failed("create the socket", &fresh))?;
    fs::rename(&fresh, &path).map_err(failed("publish the socket", &path))?;
    let is_apart = config.apart.is_some();
    let resolved = (!is_apart).then(|| Resolved::start(config.owner));
    let store = ground.store.clone();
    let mut helper = open(config, ground)?;
    let resolved = noted("the host's resolver will not be configured", resolved.transpose());
    helper.resolved = resolved.flatten().unwrap_or_default();
    let host = config.apart.clone();
    let watch = host.map_or_else(|| Watch::open().map(Arc::new), Ok);
    let watch = watch.map_err(ServeError::Around)?;
    let seen = watch.look().map_err(ServeError::Around)?;
    let embedded = std::mem::take(&mut helper.plan.around.embedded);
    helper.plan.around = Surroundings { embedded, ..seen };
    let flows = noted("flows will not be reported", FlowLog::open(config.owner));
    helper.plan.log_group = flows.as_ref().map_or(0, FlowLog::group);
    // Where that fails, someone must be able to ask what is wrong, and to tear it down.
    noted("the host is not as planned", helper.alone(Helper::rebuild));
    log(format!("serving uid {} at {}", config.owner, path.display()));
    // For who started this and waits; it may have gone.
    let _ = io::Write::write_all(&mut io::stdout(), b"ready\n");
    // For the service manager, if one started this (sd_notify(3)); it waits for as long as it hears nothing.
    if let Some(manager) = manager {
        noted("failed to notify the service manager", manager.send(b"READY=1\n"));
    }
    let (done, verbs) = mpsc::channel();
    let server = Arc::new(Server {
        owner: config.owner,
        helper: Mutex::new(helper),
        flows: Mutex::new(flows),
    });
    // What waited when the last helper ended may be less than what should.
    let _ = done.send(());
    let watcher = Arc::clone(&server);
    std::thread::spawn(move || watcher.follow(&watch, is_apart));
    let keeper = Arc::clone(&server);
    std::thread::spawn(move || keeper.keep(&verbs, &store));
    for connection in listener.incoming() {
        if let Some(socket) = noted("a connection failed", connection) {
            Server::accept(&server, socket, done.clone());
        }
    }
    Ok(())
}

/// Removes all that was made for the owner, where none serves: what [`Verb::Teardown`] does, for who uninstalls this.
///
/// # Errors
/// Something stays, or a helper serves.
pub fn teardown(config: &Config) -> Result<(), ServeError> {
    let (ground, _lock) = prepare(config)?;
    Ok(open(config, ground)?.teardown()?)
}

/// Who started this, if they wait to be told. Connected while this is root: the way to them may be closed to others.
fn manager() -> Option<UnixDatagram> {
    let path = std::env::var_os("NOTIFY_SOCKET")?;
    let socket = UnixDatagram::unbound().ok()?;
    let address = match path.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name).ok()?,
        None => SocketAddr::from_pathname(&path).ok()?,
    };
    noted("no service manager to notify", socket.connect_addr(&address))?;
    Some(socket)
}

/// What is opened while this process is root.
struct Ground {
    store: Store,
    /// What all owners' helpers on this host take turns by.
    addresses: File,
    /// Who the helper becomes.
    user: (Uid, Gid),
}

/// That, and the right to be the one that works on this plan.
fn prepare(config: &Config) -> Result<(Ground, File), ServeError> {
    if !rustix::process::geteuid().is_root() {
        return Err(ServeError::NotRoot);
    }
    std::env::set_current_dir("/").map_err(failed("enter", Path::new("/")))?;
    directory(&config.state_dir, 0o700)?;
    directory(&config.socket_dir, 0o755)?;
    let user = user::helper();
    let (store, lock) = own(&config.state_dir, user, config.apart.is_some())?;
    let addresses = Store::open(&config.socket_dir)?.lock_file("addresses.lock")?;
    if config.apart.is_none() {
        user::may_make_taps(user.1)?;
    }
    let ground = Ground {
        store,
        addresses,
        user,
    };
    Ok((ground, lock))
}

/// The records, locked, and the user's that the helper becomes. Root may have no right to pass over the modes of files, so
/// the directory is root's meanwhile.
fn own(dir: &Path, (uid, gid): (Uid, Gid), apart: bool) -> Result<(Store, File), ServeError> {
    let before = fs::symlink_metadata(dir).map_err(failed("inspect", dir))?;
    let give = |uid, gid| lchown(dir, Some(uid), Some(gid)).map_err(failed("take ownership of", dir));
    give(0, 0)?;
    let store = Store::open(dir)?;
    store.give_file("lock", Uid::ROOT, Gid::ROOT)?;
    let lock = store.lock_file("lock")?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        store.give_file("lock", Uid::from_raw(before.uid()), Gid::from_raw(before.gid()))?;
        give(before.uid(), before.gid())?;
        return Err(ServeError::Running(dir.to_owned()));
    }
    if !apart {
        store.give(uid, gid)?;
    }
    Ok((store, lock))
}

/// The helper, confined.
fn open(config: &Config, ground: Ground) -> Result<Helper, ServeError> {
    let ula = ula(config.owner);
    let target = fs::canonicalize("/etc/resolv.conf").unwrap_or_default();
    let resolvers = target.parent().unwrap_or(Path::new("/etc"));
    let is_apart = config.apart.is_some();
    let who = match is_apart {
        true => Who::Apart,
        false => Who::Helper(ground.user.0, ground.user.1, resolvers),
    };
    let confinement = confine(who, &[ground.store.as_fd()])?;
    confinement.iter().for_each(log);
    let addresses = Addresses {
        room: (!is_apart).then(|| config.room.or_v6(ula)),
        ula: config.room.ula(ula),
        lock: Some(ground.addresses),
    };
    let host = Box::new(Kernel);
    let mut helper = Helper::open(config.owner, ground.store, addresses, host, confinement)?;
    helper.plan.apart = is_apart;
    Ok(helper)
}

/// The unique local addresses of an owner on this host.
fn ula(owner: u32) -> Ula {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    Ula::from_seed(format!("{} {owner}", machine.trim()).as_bytes())
}

struct Server {
    owner: u32,
    helper: Mutex<Helper>,
    /// The log of flows, unless a connection tells of them.
    flows: Mutex<Option<FlowLog>>,
}

impl Server {
    fn accept(server: &Arc<Self>, socket: UnixStream, done: Sender<()>) {
        let (uid, pid) = match socket_peercred(&socket) {
            Ok(peer) => (peer.uid.as_raw(), peer.pid.as_raw_nonzero()),
            Err(error) => return log(format!("a connection without credentials is closed: {error}")),
        };
        let peer = format!("uid {uid} pid {pid}");
        // The socket's mode says so already, unless someone changed it.
        if uid != server.owner && uid != 0 {
            return log(format!("{peer}: refused, only uid {} is served", server.owner));
        }
        // Each has the server.
        let most = if uid == 0 { MAX_CONNECTIONS } else { MAX_OF_OWNER };
        if Arc::strong_count(server) >= most + OWN {
            return log(format!("{peer}: refused, too many connections"));
        }
        let server = Arc::clone(server);
        std::thread::spawn(move || {
            let ended = server.converse(socket, &peer, &done);
            noted(&format!("{peer}: the connection ended"), ended);
        });
    }

    fn converse(&self, mut socket: UnixStream, peer: &str, done: &Sender<()>) -> io::Result<()> {
        socket.set_write_timeout(Some(PATIENCE))?;
        loop {
            let verb: Verb = match read_frame(&mut socket, MAX_FRAME) {
                Ok(Some(verb)) => verb,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let refusal = Refusal::NoVerb(error);
                    log(format!("{peer}: {}", chain(&refusal)));
                    return write_frame(&mut socket, &Reply::from(refusal));
                }
                Err(error) => return Err(error),
            };
            let (text, start) = (serde_json::to_string(&verb)?, Instant::now());
            let flows = verb == Verb::Flows;
            let reply = self.helper().handle(verb);
            let end = match &reply {
                Reply::Failed(failure) => format!("failed: {}", failure.message),
                _ => format!("done in {:.1} ms", start.elapsed().as_secs_f64() * 1e3),
            };
            // The slot comes first, and the rules, which may be many, last.
            log(format!("{peer}: {text:.80}: {end}"));
            match reply {
                Reply::Done if flows => return self.tell_flows(&mut socket),
                Reply::Sockets(_) => self.pass_sockets(&mut socket, &reply)?,
                reply => write_frame(&mut socket, &reply)?,
            }
            // The keeper lives as long as the server.
            let _ = done.send(());
        }
    }

    fn tell_flows(&self, socket: &mut UnixStream) -> io::Result<()> {
        let taken = self.flows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(log) = taken else {
            let busy = io::Error::from(io::ErrorKind::ResourceBusy);
            return write_frame(socket, &Reply::from(Refusal::Flows(busy)));
        };
        let told = write_frame(socket, &Reply::Done).and_then(|()| log.stream(socket));
        *self.flows.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
        told
    }

    fn pass_sockets(&self, socket: &mut UnixStream, reply: &Reply) -> io::Result<()> {
        let bytes = frame(reply)?;
        let mut helper = self.helper();
        let sockets = helper.dns().map_err(io::Error::other)?;
        let descriptors: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("too many sockets for one message"));
        }
        let parts = [IoSlice::new(&bytes)];
        let sent = sendmsg(&*socket, &parts, &mut control, SendFlags::NOSIGNAL)?;
        socket.write_all(&bytes[sent..])
    }

    /// Refuses what comes to be around the host, and keeps the network out of the way of what the host uses.
    fn follow(&self, watch: &Watch, is_apart: bool) {
        let ended = watch.follow(|around| {
            let refused = self.helper().look_around(around);
            noted("the networks around the host are not refused", refused);
            // Nobody else has addresses in a network of one's own.
            if !is_apart {
                noted(
                    "failed to check whether addresses are free",
                    self.helper().review(),
                );
            }
        });
        noted("the host's network is no longer watched", ended);
    }

    /// Between verbs: lets TAPs wait, and brings the records to the disk.
    fn keep(&self, verbs: &Receiver<()>, store: &Store) {
        while verbs.recv().is_ok() {
            let first = Instant::now();
            while first.elapsed() < BURST && verbs.recv_timeout(QUIET).is_ok() {}
            // Each TAP takes the lock for itself, so that verbs come between.
            while self.refill() {}
            noted("the records may not be on the disk", store.sync());
        }
    }

    /// One more TAP; says whether another is wanted.
    fn refill(&self) -> bool {
        noted("the pool of TAPs was not refilled", self.helper().refill()).unwrap_or(false)
    }

    fn helper(&self) -> MutexGuard<'_, Helper> {
        // A verb that panicked left a plan and a host that the next rebuild brings together again.
        self.helper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that was the owner's alone before it could be found.
fn listen(path: &Path, owner: u32) -> io::Result<UnixListener> {
    // One thread so far; the socket is made with these bits.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener?;
    lchown(path, Some(owner), None)?;
    Ok(listener)
}

fn directory(path: &Path, mode: u32) -> Result<(), HostError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    // Root without the right to change what is another user's has nothing to change in what a helper of before left.
    let kept = made.and_then(|()| match fs::metadata(path)?.permissions().mode() & 0o7777 {
        as_it_is if as_it_is == mode => Ok(()),
        _ => fs::set_permissions(path, Permissions::from_mode(mode)),
    });
    kept.map_err(failed("create the directory", path))
}

/// Goes on after a failure, which is only logged.
fn noted<T, E: Into<Box<dyn Error>>>(what: &str, result: Result<T, E>) -> Option<T> {
    let log = |error: E| log(format!("{what}: {}", chain(&*error.into())));
    result.map_err(log).ok()
}

fn log(line: impl Display) {
    // Without anyone to read it, there is nothing else to do.
    let _ = writeln!(io::stderr(), "banger-root: {line}");
}
