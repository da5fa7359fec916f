//! The daemon's own life: one per user, from taking its socket to leaving it.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_api::{ErrorBody, Paths, PathsError, Version};
use banger_backends::Backends;
use banger_core::{Context, Pulls, Vms};
use banger_hostnet::Network;
use banger_keys::Keys;
use banger_model::{Describe, Description, ErrorCode, body, chain};
use banger_settings::Config;
use banger_state::Database;
use banger_worker::{Stores, Workers};
use rustix::fs::Mode;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::clock;
use crate::http::{self, App, OwnersOnly, Streams};
use crate::inherited::take_descriptors;
use crate::place::{self, Lock};

/// The daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody knows where to keep things.
    #[error("failed to find banger's directories")]
    Paths(#[source] PathsError),
    /// Its lock or a directory of it.
    #[error(transparent)]
    Place(#[from] place::Error),
    /// A directory or socket.
    #[error("failed to {what} {}", .path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The database.
    #[error("failed to start the daemon")]
    Database(#[source] banger_state::Error),
    /// The image or kernel store.
    #[error("failed to start the daemon")]
    Store(#[source] banger_worker::StoresError),
    /// A machine's console broke.
    #[error("failed to prepare the console")]
    Console(#[source] io::Error),
    /// Threads, signals or the ready descriptor.
    #[error("failed to {0}")]
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
    // Targets and levels, as `info,bangerd=debug`. Filters by spans' fields would bring regular expressions with them.
    let levels = std::env::var("BANGER_LOG")
        .ok()
        .and_then(|text| text.parse::<Targets>().ok());
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| crate::log::Escaped(io::stderr()))
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(lines.with_filter(levels))
        .init();
    if let Err(error) = take_descriptors() {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
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
    let mut paths = Paths::from_env().map_err(Error::Paths)?;
    place::own(&paths.state)?;
    let mut lock = Lock::take(&paths)?;
    for dir in [&paths.data, &paths.cache] {
        make_private(dir)?;
    }
    banger_workspace::clear(&banger_core::scratch(&paths));
    let build = Version::build_of(Path::new("/proc/self/exe"))
        .map_err(|source| Error::System("identify this build", source))?;
    match Config::load(&paths) {
        Ok(config) => banger_core::configure_programs(&config),
        // What needs it says so; ending VMs and looking at them does not.
        Err(error) => tracing::warn!(error = %chain(&error), "the configuration is invalid"),
    }
    let database = Database::open(&paths.state.join("banger.db")).map_err(Error::Database)?;
    paths.runtime = banger_core::runtime(&database, &paths).map_err(Error::Database)?;
    place::own_alone(&paths.runtime)?;
    lock.lead_to(&paths.runtime)?;
    let stores = Stores::open(paths.clone()).map_err(Error::Store)?;
    let context = Context {
        database: Arc::new(database),
        images: stores.images.clone(),
        kernels: stores.kernels.clone(),
        backends: Backends::default(),
        pulls: Pulls::default(),
        copies: Arc::default(),
        workers: Workers::new(stores),
        forwards: Arc::default(),
        network: Network::of_env(&paths),
        ssh: Keys::new(&paths),
        registry: banger_core::Registry::default(),
        agent: None,
        paths,
    };
    let socket = context.paths.socket();
    let vms = Vms::recover(Arc::new(context)).await.map_err(Error::Database)?;
    let context = vms.context();
    context.listen_for_flows();
    let listener = bind(&socket)?;
    let (stop, mut stopped) = watch::channel(false);
    let (forwards, ours) = (Arc::clone(&vms.context().forwards), Arc::clone(&vms));
    let app = App {
        vms,
        stop,
        build: build.into(),
        streams: Streams::default(),
    };
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|source| Error::System("install signal handlers", source))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|source| Error::System("install signal handlers", source))?;
    if background {
        tell_ready()?;
    }
    tracing::info!(socket = %socket.display(), version = env!("CARGO_PKG_VERSION"), "serving");
    let clock = tokio::spawn(clock::keep(Arc::clone(&ours)));
    // An image worker that was killed with an earlier daemon may have left an image without a name. Nobody waits for that.
    let sweeping = Arc::clone(&ours);
    tokio::task::spawn_blocking(move || banger_stores::images::sweep(&sweeping));
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
    tracing::info!("stopped; VMs keep running");
    Ok(())
}

/// The answer to the request that stops the daemon is still being written.
async fn linger() {
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
}

fn make_private(dir: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| Error::File {
            what: "create the directory",
            path: dir.to_owned(),
            source,
        })
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
    let failed = |source: rustix::io::Errno| Error::System("report that the daemon is ready", source.into());
    rustix::io::write(rustix::stdio::stdout(), b"ready\n").map_err(failed)?;
    let nowhere = File::open("/dev/null").map_err(|source| Error::System("open /dev/null", source))?;
    rustix::stdio::dup2_stdout(nowhere).map_err(failed)
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Database(source) => source.describe(),
            Self::Store(source) => source.describe(),
            Self::Place(place::Error::Running) => Description::hinted(
                ErrorCode::AlreadyExists,
                "`banger daemon status` shows the running daemon",
            ),
            Self::Place(place::Error::Another { .. }) => Description::hinted(
                ErrorCode::Host,
                "run banger as that user, or set BANGER_HOME to a directory that belongs to you",
            ),
            Self::Paths(_) | Self::Place(_) | Self::File { .. } | Self::Console(_) | Self::System(..) => {
                ErrorCode::Host.into()
            }
        }
    }
}
