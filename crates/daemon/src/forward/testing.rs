//! An agent that does what a test wants: what a guest may do is not what ours does.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use banger_model::VmmKind;
use banger_vmm::{Ended, Error, Machine, MachineRecord, ProcessId};
use tokio::io::{self, AsyncReadExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::Route;
use crate::guest::Guest;

type Answer = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// How a request is answered: by its route, on the connection that it came on.
pub(super) struct Agent {
    answer: Arc<dyn Fn(String, UnixStream) -> Answer + Send + Sync>,
    record: MachineRecord,
}

impl Agent {
    pub(super) fn new<F>(answer: impl Fn(String, UnixStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self {
            answer: Arc::new(move |route, stream| Box::pin(answer(route, stream))),
            record: MachineRecord {
                vmm: VmmKind::Fake,
                acceleration: "none".to_owned(),
                dir: "/nowhere".into(),
                process: ProcessId { pid: 0, started: 0 },
                companions: Vec::new(),
            },
        }
    }

    pub(super) fn route(self) -> Route {
        let guest = Guest::new(Arc::new(self));
        Route::new(Arc::default(), "vm".parse().expect("a name"), guest)
    }
}

/// The answer that a tunnel follows.
pub(super) fn switched() -> String {
    let protocol = banger_guest_api::TUNNEL;
    format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n")
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Agent")
    }
}

#[async_trait]
impl Machine for Agent {
    fn record(&self) -> &MachineRecord {
        &self.record
    }

    async fn dial(&self, _: u32) -> Result<UnixStream, Error> {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let answer = Arc::clone(&self.answer);
        tokio::spawn(async move {
            // All of these requests are one small JSON object.
            let mut request = Vec::new();
            while request.last() != Some(&b'}') {
                request.push(theirs.read_u8().await?);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let route = request.split(' ').nth(1).unwrap_or_default().to_owned();
            answer(route, theirs).await
        });
        Ok(ours)
    }

    async fn pause(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn resume(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn snapshot(&self, _: &Path) -> Result<(), Error> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn kill(&self) -> Result<(), Error> {
        Ok(())
    }

    fn stalled(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    fn exited(&self) -> watch::Receiver<Option<Ended>> {
        watch::channel(None).1
    }
}
