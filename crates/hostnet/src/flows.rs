//! The stream of flows from the root helper, read for as long as there is a daemon.
//!
//! ```text
//!            ┌──────────────── a helper has come, or has a network ─────────────┐
//!            ▼                                                                  │
//!  start ─▶ asks ──none, or it has no network──▶ waits (inotify, or whoever else called it)
//!            │  └──another reads──▶ waits a while ─▶ asks
//!            └──▶ reads ──the stream ends──▶ asks
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_hostsys::follow::Follow;
use banger_model::chain;
use banger_model::network::Network;
use banger_netplan::daemon::Flow;
use banger_root::wire::FailureCode;
use banger_root::{CallError, Client};
use tokio::sync::Notify;

/// How long to wait for another reader to go, at first. A daemon that was killed is one for a moment; that the helper has
/// noticed its end is no event for us.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// And at last.
const LAST_WAIT: Duration = Duration::from_secs(30);

/// A stream that lasted so long is asked for again at once.
const STEADY: Duration = Duration::from_secs(1);

/// Who is told of flows. It is called on a thread that may wait.
pub(crate) trait Taker: Send + Sync + 'static {
    /// There was a flow.
    fn take(&self, flow: &Flow);
    /// Flows may have gone untold.
    fn gap(&self);
    /// The network that VMs have now.
    fn network(&self) -> Option<Network>;
}

/// Why nothing is read any more.
#[derive(Debug)]
enum End {
    /// No helper answers, or it has no network yet.
    Absent(CallError),
    /// Another reads.
    Busy,
    /// The helper went, or the daemon was too slow for it.
    Over,
}

/// Tells `taker` of all flows from the helper at `socket`. `stirred` says that a helper was there a moment ago, or that it
/// has a network now.
pub(crate) async fn follow(socket: PathBuf, stirred: Arc<Notify>, taker: Arc<impl Taker>) {
    let mut wait = FIRST_WAIT;
    loop {
        // Watched before it is asked, so that one that comes in between is noticed.
        let comings = socket.parent().and_then(|dir| Follow::entries(dir).ok());
        let start = Instant::now();
        let (at, to) = (socket.clone(), Arc::clone(&taker));
        let Ok(end) = tokio::task::spawn_blocking(move || read(&at, &to)).await else {
            tracing::error!("reading flows panicked");
            return;
        };
        match end {
            End::Absent(error) => {
                tracing::debug!(error = %chain(&error), "the flow log is not available");
                tokio::select! {
                    () = stirred.notified() => {}
                    () = come(comings) => {}
                }
                continue;
            }
            End::Busy => tracing::warn!("another program already reads the flow log"),
            End::Over => taker.gap(),
        }
        if start.elapsed() > STEADY {
            wait = FIRST_WAIT;
        } else {
            // Whoever ends it at once may do so again.
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_WAIT);
        }
    }
}

/// Reads to the end.
fn read(socket: &Path, taker: &Arc<impl Taker>) -> End {
    let of = Arc::clone(taker);
    let flows = Client::connect(socket).and_then(|client| client.flows(move || of.network()));
    let flows = match flows {
        Ok(flows) => flows,
        Err(CallError::Failed(failure)) if failure.code == FailureCode::Busy => return End::Busy,
        Err(error) => return End::Absent(error),
    };
    tracing::debug!("reading the flow log of the root helper");
    for flow in flows {
        match flow {
            Ok(flow) => taker.take(&flow),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the flow log of the root helper ended");
                break;
            }
        }
    }
    End::Over
}

/// Returns when something has come into the directory; never where that cannot be watched.
async fn come(comings: Option<Follow>) {
    match comings {
        Some(mut comings) => {
            if let Err(error) = comings.changed().await {
                tracing::warn!(%error, "cannot watch for the root helper");
                std::future::pending().await
            }
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::mpsc;

    use banger_netplan::Logged;
    use banger_root::wire::{Failure, MAX_FRAME, Reply, Verb, read_frame, write_frame};

    use super::*;

    /// What the taker was told: the protocol's number of a flow, or nothing for a gap.
    struct Notes(mpsc::Sender<Option<u8>>);

    impl Taker for Notes {
        fn take(&self, flow: &Flow) {
            self.0.send(Some(flow.protocol)).unwrap();
        }

        fn gap(&self) {
            self.0.send(None).unwrap();
        }

        fn network(&self) -> Option<Network> {
            None
        }
    }

    fn flow(protocol: u8) -> Reply {
        let mut packet = vec![0; 20];
        (packet[0], packet[9]) = (0x45, protocol);
        Reply::Logged(Logged {
            port: None,
            prefix: b"banger:allow:nat\0".to_vec(),
            packet,
        })
    }

    /// Who asks for flows, after it was answered.
    fn asked(listener: &UnixListener, reply: &Reply) -> UnixStream {
        let (mut socket, _) = listener.accept().unwrap();
        assert_eq!(read_frame(&mut socket, MAX_FRAME).unwrap(), Some(Verb::Flows));
        write_frame(&mut socket, reply).unwrap();
        socket
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_helper_that_comes_and_goes_and_comes_again_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.sock");
        let (sender, notes) = mpsc::channel();
        let stirred = Arc::new(Notify::new());
        let task = tokio::spawn(follow(
            path.clone(),
            Arc::clone(&stirred),
            Arc::new(Notes(sender)),
        ));
        let story = tokio::task::spawn_blocking(move || {
            let within = Duration::from_secs(20);
            let listener = UnixListener::bind(&path).unwrap();
            // As the helper does; it is noticed that it listens, whatever it was when its name came.
            rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
            // It has no network yet; then another reads.
            let failed = |code| {
                Reply::Failed(Failure {
                    code,
                    message: String::new(),
                })
            };
            asked(&listener, &failed(FailureCode::NotPrepared));
            stirred.notify_one();
            asked(&listener, &failed(FailureCode::Busy));
            let mut socket = asked(&listener, &Reply::Done);
            write_frame(&mut socket, &flow(6)).unwrap();
            assert_eq!(notes.recv_timeout(within), Ok(Some(6)));
            drop(listener);
            std::fs::remove_file(&path).unwrap();
            drop(socket);
            assert_eq!(notes.recv_timeout(within), Ok(None));
            let listener = UnixListener::bind(&path).unwrap();
            rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
            let mut socket = asked(&listener, &Reply::Done);
            write_frame(&mut socket, &flow(17)).unwrap();
            assert_eq!(notes.recv_timeout(within), Ok(Some(17)));
        });
        story.await.unwrap();
        task.abort();
    }
}
