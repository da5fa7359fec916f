//! Files that go into a guest and come out of it, over a connection to its agent that blocks; it is for threads.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use banger_guest_api::{
    Channel, Failure, FilesDone, FilesEnd, FrameError, Listed, PayloadReader, PayloadWriter,
};
use tokio::sync::mpsc;

/// The most bytes of a line of a listing: a name is at most 4096 bytes, and a link's target, each three when encoded.
const LONGEST_LINE: u64 = 64 << 10;

/// Lines of a listing that are read ahead.
const AHEAD: usize = 1024;

type Result<T> = std::result::Result<T, FilesError>;

/// Files did not go or come.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The guest failed, in its own words.
    #[error(transparent)]
    Guest(#[from] Failure),
    /// The connection broke, or what came is no stream of frames.
    #[error("the stream to the guest failed")]
    Stream(#[source] io::Error),
    /// The connection ended before the guest said how it went.
    #[error("the guest closed the connection before the operation finished")]
    Ended,
    /// What the guest said is of another protocol.
    #[error("failed to parse the guest's answer")]
    Answer(#[source] serde_json::Error),
    /// A line of a listing is longer than any may be.
    #[error("failed to read the guest's stream")]
    Line(#[source] FrameError),
}

/// A connection to an agent that blocks, and what the agent had already sent.
#[derive(Debug)]
pub struct Handed {
    /// The connection.
    pub agent: UnixStream,
    /// What was read of it before.
    pub sent: Vec<u8>,
}

/// One that several have.
struct Shared {
    agent: Half,
    sent: Vec<u8>,
}

impl Shared {
    fn new(Handed { agent, sent }: Handed) -> Self {
        let agent = Half(Arc::new(agent));
        Self { agent, sent }
    }

    fn reader(&self) -> FromAgent {
        Cursor::new(self.sent.clone()).chain(self.agent.clone())
    }

    fn writer(&self) -> Half {
        self.agent.clone()
    }

    fn hangup(&self) -> Hangup {
        Hangup(self.agent.clone())
    }
}

type FromAgent = Chain<Cursor<Vec<u8>>, Half>;

/// One of those who have a connection.
#[derive(Debug, Clone)]
struct Half(Arc<UnixStream>);

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends a copy when it is dropped: threads that read or write come back with an error.
#[derive(Debug)]
pub struct Hangup(Half);

impl Drop for Hangup {
    fn drop(&mut self) {
        // One that the other side has ended needs no end.
        let _ = self.0.0.shutdown(Shutdown::Both);
    }
}

/// A copy into a VM: two directions for two threads, and its end.
#[derive(Debug)]
pub struct PutStream {
    /// Takes the tar.
    pub tar: TarWriter,
    /// Tells how it went, which may be before the tar was taken.
    pub end: PutEnd,
    /// Ends both.
    pub hangup: Hangup,
}

impl PutStream {
    /// On a connection that waits for a tar.
    pub fn on(handed: Handed) -> Self {
        let connection = Shared::new(handed);
        let end = PayloadReader::new(connection.reader(), Channel::Stdout);
        Self {
            tar: TarWriter(PayloadWriter::new(connection.writer(), Channel::Stdin)),
            end: PutEnd(end),
            hangup: connection.hangup(),
        }
    }
}

/// Takes a tar that goes into a VM. One that is dropped before [`TarWriter::end`] is no whole tar.
#[derive(Debug)]
pub struct TarWriter(PayloadWriter<Half>);

impl TarWriter {
    /// Room for bytes that come next: one at least.
    pub fn room(&mut self) -> &mut [u8] {
        self.0.room()
    }

    /// Takes so many bytes that were put there.
    ///
    /// # Errors
    /// When the guest takes no more; [`PutEnd::wait`] tells why.
    pub fn filled(&mut self, len: usize) -> io::Result<()> {
        self.0.filled(len)
    }

    /// Says that this is all.
    ///
    /// # Errors
    /// As [`TarWriter::filled`].
    pub fn end(self) -> io::Result<()> {
        self.0.end()
    }
}

impl Write for TarWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How a copy into a VM goes.
#[derive(Debug)]
pub struct PutEnd(PayloadReader<FromAgent>);

impl PutEnd {
    /// Waits for the guest's word.
    ///
    /// # Errors
    /// When the guest could not write a file, in its words, or the connection broke.
    pub fn wait(self) -> Result<FilesDone> {
        ended(self.0)
    }
}

/// A copy out of a VM.
#[derive(Debug)]
pub struct GetStream {
    /// The tar.
    pub tar: TarReader,
    /// Ends it.
    pub hangup: Hangup,
}

impl GetStream {
    /// On a connection that brings a tar.
    pub fn on(handed: Handed) -> Self {
        let connection = Shared::new(handed);
        Self {
            tar: TarReader(PayloadReader::new(connection.reader(), Channel::Stdout)),
            hangup: connection.hangup(),
        }
    }
}

/// A tar that comes out of a VM.
#[derive(Debug)]
pub struct TarReader(PayloadReader<FromAgent>);

impl TarReader {
    /// Whether all that the guest sends has come.
    pub fn is_ended(&self) -> bool {
        self.0.is_ended()
    }

    /// What the guest says at its end.
    ///
    /// # Errors
    /// When it could not read a file, in its words, or the connection broke.
    pub fn end(self) -> Result<FilesDone> {
        ended(self.0)
    }
}

impl Read for TarReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

fn ended(payload: PayloadReader<FromAgent>) -> Result<FilesDone> {
    let control = payload.end().map_err(FilesError::Stream)?;
    let control = control.ok_or(FilesError::Ended)?;
    match serde_json::from_slice(&control).map_err(FilesError::Answer)? {
        FilesEnd::Done(done) => Ok(done),
        FilesEnd::Failed(failure) => Err(failure.into()),
    }
}

/// What is in a directory, as it comes.
#[derive(Debug)]
pub struct Listing {
    from: mpsc::Receiver<Result<Listed>>,
    _hangup: Hangup,
}

impl Listing {
    /// On a connection that brings a list.
    pub fn on(handed: Handed) -> Self {
        let connection = Shared::new(handed);
        let lines = PayloadReader::new(connection.reader(), Channel::Stdout);
        let (to, from) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            if let Err(error) = lines_to(lines, &to) {
                // Unless nobody listens any more.
                let _ = to.blocking_send(Err(error));
            }
        });
        Self {
            from,
            _hangup: connection.hangup(),
        }
    }

    /// The next file; nothing after the last.
    ///
    /// # Errors
    /// When the guest could not list them, in its words, or the connection broke.
    pub async fn next(&mut self) -> Result<Option<Listed>> {
        self.from.recv().await.transpose()
    }
}

fn lines_to(payload: PayloadReader<FromAgent>, to: &mpsc::Sender<Result<Listed>>) -> Result<()> {
    let mut lines = BufReader::new(payload);
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(FilesError::Stream)? == 0 {
            return ended(lines.into_inner()).map(drop);
        }
        if line.pop() != Some(b'\n') {
            return Err(FilesError::Line(FrameError::TooLong(LONGEST_LINE as u32)));
        }
        let listed = serde_json::from_slice(&line).map_err(FilesError::Answer)?;
        if to.blocking_send(Ok(listed)).is_err() {
            return Ok(());
        }
    }
}
