//! Logs of a VM: what its machine wrote, and what it goes on writing.

use std::io;
use std::path::PathBuf;

use banger_api::{LogQuery, LogSource};
use banger_hostsys::follow::Follow;
use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::vm::{self, Handle, Vms, machine_dir};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

impl Vms {
    /// A log of a VM, with what comes while its machine runs if the query says so.
    pub fn logs(&self, name: &str, query: &LogQuery) -> Result<ReceiverStream<io::Result<Bytes>>, vm::Error> {
        let handle = self.find(name)?;
        let (context, state) = (self.context(), handle.state());
        let names: &[&str] = match query.source {
            LogSource::Console => &["console.log.1", "console.log"],
            LogSource::Vmm => &["vmm.log"],
        };
        let files = context.files(state.spec.id);
        let launched = state.live.as_ref().map(|live| live.machine.record().dir.clone());
        let starts = state.phase.may_have_machine();
        let dir = launched.or_else(|| starts.then(|| machine_dir(&context.paths, state.spec.id)));
        let log: Vec<PathBuf> = names
            .iter()
            .map(|name| dir.as_ref().map_or_else(|| files.log(name), |dir| dir.join(name)))
            .collect();
        let follow = query.follow && dir.is_some();
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            // A client that left ends it; a file that cannot be read ends the log where it is.
            if let Err(error) = send(&log, follow, &handle, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

type Chunks = mpsc::Sender<io::Result<Bytes>>;

async fn send(log: &[PathBuf], follow: bool, handle: &Handle, to: &Chunks) -> io::Result<()> {
    let Some((last, earlier)) = log.split_last() else {
        return Ok(());
    };
    for path in earlier {
        if let Some(mut file) = open(path).await? {
            copy(&mut file, to).await?;
        }
    }
    // Watching begins before reading, so that nothing written in between is missed.
    let mut follow = if follow { Some(Follow::new(last)?) } else { None };
    let Some(mut file) = open(last).await? else {
        return Ok(());
    };
    copy(&mut file, to).await?;
    while let Some(change) = &mut follow {
        tokio::select! {
            () = handle.ended() => break,
            () = to.closed() => return Ok(()),
            changed = change.changed() => changed?,
        }
        copy(&mut file, to).await?;
    }
    copy(&mut file, to).await
}

async fn open(path: &std::path::Path) -> io::Result<Option<tokio::fs::File>> {
    match tokio::fs::File::open(path).await {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn copy(file: &mut tokio::fs::File, to: &Chunks) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        if file.read_buf(&mut chunk).await? == 0 || to.send(Ok(chunk.into())).await.is_err() {
            return Ok(());
        }
    }
}
