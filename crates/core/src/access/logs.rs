//! Logs of a VM: what its machine wrote, and what it goes on writing.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_api::{LogQuery, LogSource};
use banger_hostsys::follow::Follow;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::past::{Past, Stamps};
use crate::vm::{self, AccessError, Handle, Vms, machine_dir};

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
        let chosen = Chosen {
            follow: query.follow && dir.is_some(),
            tail: query.tail,
            since: since(query)?,
            timestamps: query.timestamps,
        };
        let is_timeless = match query.source {
            LogSource::Vmm => Some("VMM log"),
            LogSource::Console => chosen.since.and_then(|_| {
                let past = Past::read(&log).ok()?;
                past.is_timeless().then_some("console log")
            }),
        };
        if let Some(log) = is_timeless.filter(|_| chosen.since.is_some() || chosen.timestamps) {
            let name = state.spec.name;
            return Err(AccessError::NoTimes { name, log }.into());
        }
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            // A client that left ends it; a file that cannot be read ends the log where it is.
            if let Err(error) = send(&log, &chosen, &handle, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

/// What of a log is sent.
#[derive(Debug)]
struct Chosen {
    follow: bool,
    tail: Option<u64>,
    since: Option<Timestamp>,
    timestamps: bool,
}

impl Chosen {
    /// Whether that is not simply everything.
    const fn selects(&self) -> bool {
        self.tail.is_some() || self.since.is_some() || self.timestamps
    }
}

fn since(query: &LogQuery) -> Result<Option<Timestamp>, vm::Error> {
    let parse = |text: &String| text.parse().map_err(|_| AccessError::Time(text.clone()).into());
    query.since.as_ref().map(parse).transpose()
}

type Chunks = mpsc::Sender<io::Result<Bytes>>;

async fn send(log: &[PathBuf], chosen: &Chosen, handle: &Handle, to: &Chunks) -> io::Result<()> {
    let Some((last, earlier)) = log.split_last() else {
        return Ok(());
    };
    let mut stamps = Stamps::new(chosen.timestamps);
    // Watching begins before reading, so that nothing written in between is missed.
    let mut follow = None;
    let mut begins_at = 0;
    if chosen.selects() {
        follow = chosen.follow.then(|| Follow::new(last)).transpose()?;
        let past = Past::read(log)?;
        begins_at = past.of_last;
        let mut text = Vec::new();
        for line in past.selected(chosen.since, chosen.tail) {
            stamps.put(line.text, line.time, &mut text);
        }
        if to.send(Ok(text.into())).await.is_err() {
            return Ok(());
        }
    } else {
        for path in earlier {
            if let Some(mut file) = open(path).await? {
                copy(&mut file, &mut stamps, to).await?;
            }
        }
        if chosen.follow {
            follow = Some(Follow::new(last)?);
        }
    }
    let Some(mut file) = open(last).await? else {
        return Ok(());
    };
    if chosen.selects() {
        if !chosen.follow {
            return Ok(());
        }
        file.seek(io::SeekFrom::Start(begins_at)).await?;
    }
    copy(&mut file, &mut stamps, to).await?;
    while let Some(watch) = &mut follow {
        let next = tokio::select! {
            () = handle.ended() => break,
            () = to.closed() => return Ok(()),
            next = grown(watch, &file, last) => next?,
        };
        copy(&mut file, &mut stamps, to).await?;
        if let Some(next) = next {
            (file, *watch) = next;
            copy(&mut file, &mut stamps, to).await?;
        }
    }
    copy(&mut file, &mut stamps, to).await
}

/// Returns when a log has grown. The console's sink moves a long one away and begins another: then that one, and a watch on it.
async fn grown(
    watch: &mut Follow,
    file: &tokio::fs::File,
    path: &Path,
) -> io::Result<Option<(tokio::fs::File, Follow)>> {
    watch.changed().await?;
    let of = file.metadata().await?.ino();
    if inode(path).await? == Some(of) {
        return Ok(None);
    }
    let mut come = Follow::entries(path.parent().unwrap_or(path))?;
    loop {
        if let Some(next) = open(path).await?
            && next.metadata().await?.ino() != of
        {
            return Ok(Some((next, Follow::new(path)?)));
        }
        come.changed().await?;
    }
}

async fn inode(path: &Path) -> io::Result<Option<u64>> {
    match tokio::fs::metadata(path).await {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn open(path: &Path) -> io::Result<Option<tokio::fs::File>> {
    match tokio::fs::File::open(path).await {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends the rest of a file, whose lines are of now.
async fn copy(file: &mut tokio::fs::File, stamps: &mut Stamps, to: &Chunks) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        if file.read_buf(&mut chunk).await? == 0 {
            return Ok(());
        }
        let mut text = Vec::with_capacity(chunk.len());
        stamps.put(&chunk, Some(Timestamp::now()), &mut text);
        if to.send(Ok(text.into())).await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_is_followed_to_the_one_that_the_sink_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        std::fs::write(&path, "one\n").unwrap();
        let mut watch = Follow::new(&path).unwrap();
        let file = open(&path).await.unwrap().unwrap();
        let more = || std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(&mut more(), b"more\n").unwrap();
        assert!(grown(&mut watch, &file, &path).await.unwrap().is_none());
        // Moved away, and for a moment there is none.
        std::fs::rename(&path, dir.path().join("console.log.1")).unwrap();
        let begun = {
            let path = path.clone();
            async move {
                tokio::task::yield_now().await;
                std::fs::write(&path, "two\n").unwrap();
            }
        };
        let (next, ()) = tokio::join!(grown(&mut watch, &file, &path), begun);
        let (mut next, mut watch) = next.unwrap().unwrap();
        let mut text = String::new();
        next.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "two\n");
        io::Write::write_all(&mut more(), b"three\n").unwrap();
        assert!(grown(&mut watch, &next, &path).await.unwrap().is_none());
    }
}
