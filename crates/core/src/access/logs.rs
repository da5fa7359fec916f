//! Logs of a VM: what its machine wrote, and what it goes on writing.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_api::{LogQuery, LogSource};
use banger_hostsys::follow::Follow;
use bytes::Bytes;
use jiff::Timestamp;
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
        let timeless = |log| AccessError::NoTimes {
            name: state.spec.name.clone(),
            log,
        };
        if query.source == LogSource::Vmm && (chosen.since.is_some() || chosen.timestamps) {
            return Err(timeless("VMM log").into());
        }
        let reading = Reading::begin(&log, chosen).map_err(|source| AccessError::Log {
            name: state.spec.name.clone(),
            source,
        })?;
        if chosen.since.is_some() && reading.past.as_ref().is_some_and(Past::is_timeless) {
            return Err(timeless("console log").into());
        }
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            // A client that left ends it; a file that cannot be read ends the log where it is.
            if let Err(error) = reading.send(chosen, &handle, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

/// What of a log is sent.
#[derive(Debug, Clone, Copy)]
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

/// A log that is sent: its files, of which the last may be followed.
struct Reading {
    /// The oldest first, without the one that is followed.
    files: Vec<File>,
    tail: Option<Tail>,
    /// The lines so far, if not simply everything is sent.
    past: Option<Past>,
}

impl Reading {
    /// Opens the files at these paths, the oldest first. Call it in the runtime.
    fn begin(log: &[PathBuf], chosen: Chosen) -> io::Result<Self> {
        let followed = log.last().filter(|_| chosen.follow);
        // Watching begins before reading, so that nothing that is written in between is missed.
        let tail = followed.map(|path| Tail::open(path)).transpose()?.flatten();
        let of_tail = tail.as_ref().map(|tail| tail.file.metadata()).transpose()?;
        let mut files = Vec::new();
        let mut past = chosen.selects().then(Past::default);
        for path in log {
            let Some(file) = there(File::open(path))? else {
                continue;
            };
            // The sink may have moved the followed one, which comes last, to the place of an earlier one.
            if of_tail
                .as_ref()
                .is_some_and(|of_tail| is_same(of_tail, &file.metadata()))
            {
                continue;
            }
            // What was begun since is the tail's to find.
            if tail.is_some() && Some(path) == followed {
                continue;
            }
            if let Some(past) = &mut past {
                past.add(path, &file)?;
            }
            files.push(file);
        }
        if let (Some(past), Some(tail)) = (&mut past, &tail) {
            past.add(&tail.path, &tail.file)?;
        }
        Ok(Self { files, tail, past })
    }

    async fn send(self, chosen: Chosen, handle: &Handle, to: &Chunks) -> io::Result<()> {
        let mut stamps = Stamps::new(chosen.timestamps);
        if let Some(past) = &self.past {
            let mut text = Vec::new();
            for line in past.selected(chosen.since, chosen.tail) {
                stamps.put(line.text, line.time, &mut text);
            }
            if to.send(Ok(text.into())).await.is_err() {
                return Ok(());
            }
        }
        // Those that were read into the past are at their ends.
        for file in &self.files {
            copy(file, &mut stamps, to).await?;
        }
        let Some(mut tail) = self.tail else {
            return Ok(());
        };
        loop {
            copy(&tail.file, &mut stamps, to).await?;
            let next = tokio::select! {
                () = handle.ended() => break,
                () = to.closed() => return Ok(()),
                next = tail.grown() => next?,
            };
            if let Some(next) = next {
                copy(&tail.file, &mut stamps, to).await?;
                tail = next;
            }
        }
        copy(&tail.file, &mut stamps, to).await
    }
}

/// The end of a log that is written: the file that stands at a path, and a watch on it.
struct Tail {
    path: PathBuf,
    file: File,
    watch: Follow,
}

impl Tail {
    /// Opens what stands at `path` now; nothing if there is no file. Call it in the runtime.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let Some(file) = there(File::open(path))? else {
                return Ok(None);
            };
            let Some(watch) = there(Follow::new(path))? else {
                return Ok(None);
            };
            // Another may stand there since the file was opened. Then the watch is on that.
            let now = there(std::fs::metadata(path))?;
            if now.is_some_and(|now| is_same(&now, &file.metadata())) {
                let path = path.to_owned();
                return Ok(Some(Self { path, file, watch }));
            }
        }
    }

    /// Returns when the log has grown. The console's sink moves a long one away and begins another: then that one.
    async fn grown(&mut self) -> io::Result<Option<Self>> {
        self.watch.changed().await?;
        let own = self.file.metadata();
        let is_own = |now: &Metadata| is_same(now, &own);
        if there(std::fs::metadata(&self.path))?.is_some_and(|now| is_own(&now)) {
            return Ok(None);
        }
        let mut come = Follow::entries(self.path.parent().unwrap_or(&self.path))?;
        loop {
            if let Some(next) = Self::open(&self.path)?
                && !is_own(&next.file.metadata()?)
            {
                return Ok(Some(next));
            }
            come.changed().await?;
        }
    }
}

fn is_same(one: &Metadata, other: &io::Result<Metadata>) -> bool {
    other
        .as_ref()
        .is_ok_and(|other| (one.dev(), one.ino()) == (other.dev(), other.ino()))
}

fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Sends the rest of a file, whose lines are of now.
async fn copy(mut file: &File, stamps: &mut Stamps, to: &Chunks) -> io::Result<()> {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        let mut text = Vec::with_capacity(read);
        stamps.put(&chunk[..read], Some(Timestamp::now()), &mut text);
        if to.send(Ok(text.into())).await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    fn rest(tail: &Tail) -> String {
        let mut text = String::new();
        (&tail.file).read_to_string(&mut text).unwrap();
        text
    }

    #[tokio::test]
    async fn a_log_is_followed_to_the_one_that_the_sink_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        assert!(Tail::open(&path).unwrap().is_none());
        std::fs::write(&path, "one\n").unwrap();
        let mut tail = Tail::open(&path).unwrap().unwrap();
        assert_eq!(rest(&tail), "one\n");
        let more = || OpenOptions::new().append(true).open(&path).unwrap();
        more().write_all(b"more\n").unwrap();
        assert!(tail.grown().await.unwrap().is_none());
        // Moved away, and for a moment there is none.
        std::fs::rename(&path, dir.path().join("console.log.1")).unwrap();
        let begun = async {
            tokio::task::yield_now().await;
            std::fs::write(&path, "two\n").unwrap();
        };
        let (next, ()) = tokio::join!(tail.grown(), begun);
        let mut next = next.unwrap().unwrap();
        assert_eq!((rest(&tail).as_str(), rest(&next).as_str()), ("more\n", "two\n"));
        more().write_all(b"three\n").unwrap();
        assert!(next.grown().await.unwrap().is_none());
        assert_eq!(rest(&next), "three\n");
    }

    #[tokio::test]
    async fn each_file_is_read_once_and_what_comes_is_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = ["console.log.1", "console.log"].map(|name| dir.path().join(name));
        std::fs::write(&log[0], "old\n").unwrap();
        std::fs::write(&log[1], "new\n").unwrap();
        let chosen = Chosen {
            follow: true,
            tail: Some(9),
            since: None,
            timestamps: false,
        };
        let texts = |reading: &Reading| -> Vec<u8> {
            let lines = reading.past.as_ref().unwrap().selected(None, None);
            lines.iter().flat_map(|line| line.text.to_vec()).collect()
        };
        let reading = Reading::begin(&log, chosen).unwrap();
        assert_eq!(texts(&reading), b"old\nnew\n");
        std::fs::write(&log[1], "new\nnewer\n").unwrap();
        assert_eq!(rest(reading.tail.as_ref().unwrap()), "newer\n");
        // One file at both places, as between the two steps of a move: it is the followed one.
        std::fs::remove_file(&log[0]).unwrap();
        std::fs::hard_link(&log[1], &log[0]).unwrap();
        assert_eq!(texts(&Reading::begin(&log, chosen).unwrap()), b"new\nnewer\n");
    }
}
