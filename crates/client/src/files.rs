//! Files that go into a guest and come out of it, through a connection to its agent that the daemon hands over: what is copied
//! passes no process but this one and the VMM. The connection blocks; it is for threads.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use banger_api::ErrorBody;
use banger_api::routes::reply::HandsOver;
use banger_api::routes::{CopyFilesIn, CopyFilesOut, ListFiles, RemoveFiles, Route};
use banger_guest_api::{
    Channel, FilesDone, FilesEnd, FrameError, GetFiles, Listed, OfDirectory, PayloadReader, PayloadWriter,
    PutFiles,
};
use banger_model::ErrorCode;
use tokio::sync::mpsc;

use crate::call::{At, Call};
use crate::client::Client;
use crate::error::ClientError;
use crate::handed::Handed;

/// The most bytes of a line of a listing: a name is at most 4096 bytes, and a link's target, each three when encoded.
const LONGEST_LINE: u64 = 64 << 10;

/// Lines of a listing that are read ahead.
const AHEAD: usize = 1024;

type Result<T> = std::result::Result<T, ClientError>;

#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them: `ClientError`, with `Api` when the daemon or the guest refuses"
)]
impl Client {
    /// Copies a tar into a VM.
    pub async fn put_files(&self, name: &str, put: &PutFiles) -> Result<PutStream> {
        let connection = self.copied(CopyFilesIn.at([name]).query(put)).await?;
        let end = PayloadReader::new(connection.reader(), Channel::Stdout);
        Ok(PutStream {
            tar: TarWriter(PayloadWriter::new(connection.writer(), Channel::Stdin)),
            end: PutEnd(end),
            hangup: connection.hangup(),
        })
    }

    /// Copies files out of a VM, as a tar.
    pub async fn get_files(&self, name: &str, get: &GetFiles) -> Result<GetStream> {
        let connection = self.copied(CopyFilesOut.at([name]).query(get)).await?;
        Ok(GetStream {
            tar: TarReader(PayloadReader::new(connection.reader(), Channel::Stdout)),
            hangup: connection.hangup(),
        })
    }

    /// What is in a directory of a VM.
    pub async fn list_files(&self, name: &str, of: &OfDirectory) -> Result<Listing> {
        let connection = self.copied(ListFiles.at([name]).query(of)).await?;
        let lines = PayloadReader::new(connection.reader(), Channel::Stdout);
        let (to, from) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            if let Err(error) = lines_to(lines, &to) {
                // Unless nobody listens any more.
                let _ = to.blocking_send(Err(error));
            }
        });
        Ok(Listing {
            from,
            _hangup: connection.hangup(),
        })
    }

    /// Removes files of a VM: paths below a directory, each ended by a NUL.
    pub async fn remove_files(&self, name: &str, of: &OfDirectory, names: Vec<u8>) -> Result<FilesDone> {
        self.value(RemoveFiles.at([name]).query(of).bytes(names)).await
    }

    async fn copied<R: Route<Reply: HandsOver>>(&self, call: Call<R>) -> Result<Connection> {
        let Handed { agent, sent } = self.handed(call).await?;
        let agent = Half(Arc::new(agent));
        Ok(Connection { agent, sent })
    }
}

/// A connection to an agent, and what it had already sent.
struct Connection {
    agent: Half,
    sent: Vec<u8>,
}

impl Connection {
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
    let control = payload.end().map_err(ClientError::Stream)?;
    let control = control.ok_or(ClientError::Ended)?;
    match serde_json::from_slice(&control).map_err(ClientError::Answer)? {
        FilesEnd::Done(done) => Ok(done),
        FilesEnd::Failed(failure) => Err(ClientError::Api(Box::new(ErrorBody {
            code: ErrorCode::Guest,
            message: failure.message,
            causes: failure.causes,
            hints: Vec::new(),
            log: None,
            request_id: None,
        }))),
    }
}

/// What is in a directory, as it comes.
#[derive(Debug)]
pub struct Listing {
    from: mpsc::Receiver<Result<Listed>>,
    _hangup: Hangup,
}

impl Listing {
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
        if read.map_err(ClientError::Stream)? == 0 {
            return ended(lines.into_inner()).map(drop);
        }
        if line.pop() != Some(b'\n') {
            return Err(ClientError::Frame(FrameError::TooLong(LONGEST_LINE as u32)));
        }
        let listed = serde_json::from_slice(&line).map_err(ClientError::Answer)?;
        if to.blocking_send(Ok(listed)).is_err() {
            return Ok(());
        }
    }
}
