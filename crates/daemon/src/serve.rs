//! The daemon's own life: one per user, from taking its socket to leaving it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_api::{ErrorBody, Paths, PathsError, Version};
use banger_image::{ImageStore, KernelStore};
use banger_model::ErrorCode;
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::backends::Backends;
use crate::clock;
use crate::config::{self, Config};
use crate::database::{self, Database};
use crate::error::{Describe, body};
use crate::http::{self, App, OwnersOnly};
use crate::network::Network;
use crate::pulls::Pulls;
use crate::ssh::Keys;
use crate::vm::{Context, Vms};

/// The daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody knows where to keep things.
    #[error("find banger's directories")]
    Paths(#[source] PathsError),
    /// The configuration is wrong.
    #[error("start the daemon")]
    Config(#[source] config::Error),
    /// A directory, lock or socket.
    #[error("{what} {}", .path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another daemon serves this user.
    #[error("another bangerd runs already")]
    Running,
    /// The database.
    #[error("start the daemon")]
    Database(#[source] database::Error),
    /// The image or kernel store.
    #[error("start the daemon")]
    Store(#[source] banger_image::Error),
    /// A machine's console broke.
    #[error("keep the console")]
    Console(#[source] io::Error),
    /// Threads, signals or the ready descriptor.
    #[error("{0}")]
    System(&'static str, #[source] io::Error),
}

/// Serves until it is told to stop. `background` is for a caller that waits for a line on our standard output.
pub(crate) fn run(background: bool) -> Result<(), ErrorBody> {
    // Whatever is made from here on is the user's alone, sockets included, from the instant it exists.
    rustix::process::umask(Mode::from_bits_truncate(0o077));
    if background {
        // It fails for the leader of a process group, who has left its session already.
        let _ = rustix::process::setsid();
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BANGER_LOG").unwrap_or_else(|_| "info".into()),
        )
        .with_writer(|| crate::log::Escaped(io::stderr()))
        .with_ansi(false)
        .init();
    take_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| body(&Error::System("start threads", source)))?;
    let served = runtime.block_on(serve(background));
    // Blocking imports notice at their next step; they leave nothing.
    runtime.shutdown_background();
    served.map_err(|error| body(&error))
}

async fn serve(background: bool) -> Result<(), Error> {
    let paths = Paths::from_env().map_err(Error::Paths)?;
    for dir in [&paths.state, &paths.data, &paths.cache, &paths.runtime] {
        make_private(dir)?;
    }
    let Some(_lock) = lock(&paths)? else {
        return Err(Error::Running);
    };
    crate::workspace::clear_scratch(&paths);
    let build = Version::build_of(Path::new("/proc/self/exe"))
        .map_err(|source| Error::System("identify this build", source))?;
    Config::load(&paths).map_err(Error::Config)?;
    let context = Context {
        database: Arc::new(Database::open(&paths.state.join("banger.db")).map_err(Error::Database)?),
        images: ImageStore::open(&paths.data).map_err(Error::Store)?,
        kernels: KernelStore::open(&paths.data, &paths.cache).map_err(Error::Store)?,
        backends: Backends::default(),
        pulls: Pulls::default(),
        forwards: Arc::default(),
        network: Network::of_env(&paths),
        ssh: Keys::new(&paths),
        paths,
    };
    let socket = context.paths.socket();
    let vms = Vms::recover(Arc::new(context)).await.map_err(Error::Database)?;
    let context = vms.context();
    context.network.listen(&context.database);
    let listener = bind(&socket)?;
    let (stop, mut stopped) = watch::channel(false);
    let (forwards, ours) = (Arc::clone(&vms.context().forwards), Arc::clone(&vms));
    let app = App {
        vms,
        stop,
        build: build.into(),
    };
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|source| Error::System("take signals", source))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|source| Error::System("take signals", source))?;
    if background {
        tell_ready()?;
    }
    tracing::info!(socket = %socket.display(), version = env!("CARGO_PKG_VERSION"), "serving");
    let clock = tokio::spawn(clock::keep(Arc::clone(&ours)));
    let server = axum::serve(OwnersOnly(listener), http::router(app));
    tokio::select! {
        result = async { server.await } => result.map_err(|source| Error::System("serve", source))?,
        _ = stopped.wait_for(|stop| *stop) => linger().await,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    clock.abort();
    // The next daemon wants the ports.
    forwards.close().await;
    if ours.machines() == 0 {
        ours.context().network.leave();
    }
    // The next daemon's socket must not be removed by us, so it goes before the lock does.
    let _ = std::fs::remove_file(&socket);
    tracing::info!("stopped; machines run on");
    Ok(())
}

/// As many descriptors as the system grants: a forwarded connection takes two. What this starts inherits that, which does
/// it no harm.
fn take_descriptors() {
    let granted = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: granted.maximum,
        ..granted
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        tracing::warn!(%error, "could not take all descriptors there are");
    }
}

/// The answer to the request that stops the daemon is still being written.
async fn linger() {
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
}

fn make_private(dir: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| Error::File {
            what: "make the directory",
            path: dir.to_owned(),
            source,
        })
}

/// The lock that makes this the user's only daemon; nothing when another has it.
fn lock(paths: &Paths) -> Result<Option<File>, Error> {
    let path = paths.runtime.join("bangerd.lock");
    let file_error = |what, source| Error::File {
        what,
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|source| file_error("open the lock", source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(file_error("take the lock", error.into())),
    }
}

/// Binds the socket. Whoever holds the lock may take the place of a socket that a killed daemon left.
fn bind(path: &Path) -> Result<UnixListener, Error> {
    let file_error = |what, source| Error::File {
        what,
        path: path.to_owned(),
        source,
    };
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(file_error("remove the old socket", source));
        }
        _ => {}
    }
    UnixListener::bind(path).map_err(|source| file_error("listen at", source))
}

/// Tells whoever started us that requests are taken, and lets go of their pipe.
fn tell_ready() -> Result<(), Error> {
    let failed = |source: rustix::io::Errno| Error::System("tell that the daemon is ready", source.into());
    rustix::io::write(rustix::stdio::stdout(), b"ready\n").map_err(failed)?;
    let nowhere = File::open("/dev/null").map_err(|source| Error::System("open /dev/null", source))?;
    rustix::stdio::dup2_stdout(nowhere).map_err(failed)
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Config(source) => source.code(),
            Self::Database(source) => source.code(),
            Self::Store(source) => source.kind(),
            Self::Running => ErrorCode::AlreadyExists,
            Self::Paths(_) | Self::File { .. } | Self::Console(_) | Self::System(..) => ErrorCode::Host,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Config(source) => source.hints(),
            Self::Database(source) => source.hints(),
            Self::Store(source) => source.hints(),
            Self::Running => vec!["`banger daemon status` tells about it".to_owned()],
            Self::Paths(_) | Self::File { .. } | Self::Console(_) | Self::System(..) => Vec::new(),
        }
    }

    fn log(&self) -> Option<String> {
        None
    }
}
