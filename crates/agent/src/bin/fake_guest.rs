//! `banger-fake-guest DIR`: the real agent library as a process of the host, for tests of everything but guests.
//!
//! It listens at `DIR/vsock.sock` as a VMM with hybrid vsock does, sends its hello to `DIR/vsock.sock_1025`, and takes `DIR/root`
//! for its `/`. Commands are the host's, run in that directory. `BANGER_FAKE_FAULT` makes it fail as guests do:
//! `no-hello`, `bad-hello`, `configure-fails`, `exit-before-ready`.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use banger_guest_api::{
    AGENT_PORT, Clock, Configure, Failure, HELLO_PORT, Hello, InitKind, InitState, PROTOCOL, Ready, Shutdown,
};
use banger_vsock_agent::clock::uptime_ms;
use banger_vsock_agent::exec::{Shims, Surroundings, shim_main};
use banger_vsock_agent::server::{Configured, Guest, Server};
use banger_vsock_agent::session;
use banger_vsock_agent::socket::{Listener, Socket};
use banger_vsock_agent::ssh;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(mode) if mode == "shim" => {
            shim_main();
            ExitCode::SUCCESS
        }
        Some(mode) if mode == "session" => {
            session::shim_main();
            ExitCode::SUCCESS
        }
        Some(mode) if mode == ssh::ROLE => {
            ssh::main();
            ExitCode::SUCCESS
        }
        Some(dir) => run(&PathBuf::from(dir)).map_or_else(
            |error| {
                eprintln!("banger-fake-guest: {error}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        ),
        None => {
            eprintln!("usage: banger-fake-guest DIR");
            ExitCode::from(2)
        }
    }
}

/// A VMM holds locks by descriptors that it inherits. What runs in a guest has none of them.
fn keep_locks_to_ourselves() {
    // SAFETY: this sets a flag of descriptors and closes none.
    unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
}

fn run(dir: &Path) -> io::Result<()> {
    keep_locks_to_ourselves();
    let fault = std::env::var("BANGER_FAKE_FAULT").unwrap_or_default();
    let root = dir.join("root");
    std::fs::create_dir_all(root.join("root"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let listener = StdListener::bind(dir.join("vsock.sock"))?;
        let listener = Listener::new(OwnedFd::from(listener))?;
        send_hello(dir, &fault)?;
        if fault == "exit-before-ready" {
            return Ok(());
        }
        println!("banger-fake-guest: up");
        let guest = Fake {
            root,
            sessions: dir.join("sessions"),
            fails: fault == "configure-fails",
        };
        let server = Arc::new(Server::new(guest, Shims::ending_with_us()?));
        tokio::select! {
            served = serve(server, &listener) => served,
            _ = terminate.recv() => Ok(()),
        }
    })
}

fn send_hello(dir: &Path, fault: &str) -> io::Result<()> {
    use std::io::Write;
    if fault == "no-hello" {
        return Ok(());
    }
    let hello = Hello {
        protocol: if fault == "bad-hello" {
            PROTOCOL + 1
        } else {
            PROTOCOL
        },
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: uptime_ms(),
    };
    let mut host = StdStream::connect(dir.join(format!("vsock.sock_{HELLO_PORT}")))?;
    writeln!(host, "{}", serde_json::to_string(&hello)?)
}

async fn serve(server: Arc<Server<Fake>>, listener: &Listener) -> io::Result<()> {
    loop {
        let socket = listener.accept().await?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            if let Ok(socket) = handshake(socket).await {
                let _ = server.serve_one(socket).await;
            }
        });
    }
}

/// The VMM's part: `CONNECT PORT`, answered by `OK` and a number.
async fn handshake(mut socket: Socket) -> io::Result<Socket> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') && line.len() < 32 {
        line.push(socket.read_u8().await?);
    }
    if line != format!("CONNECT {AGENT_PORT}\n").as_bytes() {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    socket.write_all(b"OK 1\n").await?;
    Ok(socket)
}

struct Fake {
    root: PathBuf,
    sessions: PathBuf,
    fails: bool,
}

impl Guest for Fake {
    fn configure(
        &self,
        configure: Configure,
    ) -> Pin<Box<dyn Future<Output = Result<Configured, Failure>> + Send + '_>> {
        Box::pin(async move {
            if self.fails {
                return Err(Failure {
                    causes: vec!["a fault that a test asked for".to_owned()],
                    ..Failure::new("failed to mount /dev/vda")
                });
            }
            if let Some(dir) = &configure.workdir {
                // Below this guest's root, as its paths are.
                let _ = std::fs::create_dir_all(self.root.join(dir.trim_start_matches('/')));
            }
            Ok(Configured {
                ready: Ready {
                    init: InitKind::Agent,
                    kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
                    os: None,
                    phases_ms: [("ready".to_owned(), uptime_ms())].into(),
                },
                surroundings: Surroundings {
                    env: configure.env,
                    root: self.root.clone(),
                },
                init: watch::channel(InitState::Up).1,
            })
        })
    }

    fn shutdown(&self, _: Shutdown) {
        // The answer to the request is still to be sent.
        tokio::spawn(async {
            tokio::task::yield_now().await;
            std::process::exit(0);
        });
    }

    fn keep_clock(&self, _: Clock) {
        // It is the host's.
    }

    fn disk(&self) -> Result<OwnedFd, Failure> {
        Err(Failure::new("the fake guest has no disk of its own"))
    }

    fn sessions(&self) -> io::Result<OwnedFd> {
        std::fs::create_dir_all(&self.sessions)?;
        Ok(std::fs::File::open(&self.sessions)?.into())
    }

    fn sessions_end_with_us(&self) -> bool {
        true
    }
}
