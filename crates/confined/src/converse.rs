//! Feeding a child and reading what it prints, to its end, on the thread that waits for it: most children of a request are
//! short, and threads for their streams would cost as much as they do.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

use crate::child::WORDS;
use crate::{Child, Slow};

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// What a child was heard to print.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// On standard output.
    pub(crate) printed: Vec<u8>,
    /// On standard error, the first part.
    pub(crate) words: Vec<u8>,
    /// Whether it printed more than it may.
    pub(crate) too_much: bool,
    /// Whether its time was over.
    pub(crate) late: bool,
    /// Whether it was slow, and a look showed that it waits in vain.
    pub(crate) in_vain: bool,
}

/// What woke us.
#[derive(Debug, Default, Clone, Copy)]
struct Ready {
    cancelled: bool,
    ended: bool,
    input: bool,
    output: bool,
    words: bool,
    late: bool,
}

/// Gives `input` to the child and hears it until it has ended, prints more than `most` bytes, or is killed because its time is
/// over, its work is cancelled, or it is `slow` in vain.
pub(crate) fn converse(
    child: &mut Child,
    mut input: &[u8],
    most: u64,
    until: Option<Instant>,
    slow: Option<Slow<'_>>,
) -> io::Result<Heard> {
    let mut slow = slow.map(|slow| (Instant::now() + slow.after, slow.look));
    let (stdin, mut stdout, mut stderr) = child.take_streams();
    let mut stdin = stdin.filter(|_| !input.is_empty());
    if let Some(stdin) = &stdin {
        // Of our end of the pipe alone: a child that prints before it has read all must not wait for us.
        fcntl_setfl(stdin, OFlags::NONBLOCK)?;
    }
    let mut heard = Heard::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let pipes = [
            stdin.as_ref().map(AsFd::as_fd),
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
        ];
        let next = slow.map(|(at, _)| at).into_iter().chain(until).min();
        let ready = wait(child, pipes, next)?;
        let is_before_end = |at: Instant| until.is_none_or(|until| at < until);
        if let Some((_, look)) = slow.take_if(|(at, _)| ready.late && is_before_end(*at)) {
            heard.in_vain = look();
            if !heard.in_vain {
                continue;
            }
        }
        if ready.cancelled || ready.late {
            heard.late = ready.late && !heard.in_vain;
            child.end_now();
            return Ok(heard);
        }
        if ready.ended {
            return Ok(heard);
        }
        if ready.input && feed(stdin.as_mut(), &mut input)? {
            stdin = None;
        }
        if ready.output {
            let read = read(stdout.as_mut(), &mut chunk)?;
            heard.printed.extend_from_slice(&chunk[..read]);
            if read == 0 {
                stdout = None;
            }
            if heard.printed.len() as u64 > most {
                heard.too_much = true;
                child.end_now();
                return Ok(heard);
            }
        }
        if ready.words {
            let read = read(stderr.as_mut(), &mut chunk)?;
            let kept = read.min(WORDS.saturating_sub(heard.words.len()));
            heard.words.extend_from_slice(&chunk[..kept]);
            if read == 0 {
                stderr = None;
            }
        }
    }
}

/// Waits until something can be done. The child's end counts once it has closed its streams: what it started may still print.
fn wait(
    child: &Child,
    pipes: [Option<std::os::fd::BorrowedFd<'_>>; 3],
    until: Option<Instant>,
) -> io::Result<Ready> {
    let [stdin, stdout, stderr] = pipes;
    let is_silent = stdout.is_none() && stderr.is_none();
    let cancelled = child.cancelled();
    let ended = is_silent.then(|| child.handle());
    let all = [
        (cancelled, PollFlags::IN),
        (ended, PollFlags::IN),
        (stdin, PollFlags::OUT),
        (stdout, PollFlags::IN),
        (stderr, PollFlags::IN),
    ];
    let mut watched = Vec::with_capacity(all.len());
    let mut places = [None; 5];
    for (place, (descriptor, flags)) in places.iter_mut().zip(all) {
        if let Some(descriptor) = descriptor {
            *place = Some(watched.len());
            watched.push(PollFd::from_borrowed_fd(descriptor, flags));
        }
    }
    let timeout: Option<Timespec> = until.map(crate::child::left);
    let count = match poll(&mut watched, timeout.as_ref()) {
        Err(Errno::INTR) => return Ok(Ready::default()),
        polled => polled?,
    };
    let is = |place: Option<usize>| place.is_some_and(|place| !watched[place].revents().is_empty());
    let [cancelled, ended, input, output, words] = places.map(is);
    Ok(Ready {
        cancelled,
        ended,
        input,
        output,
        words,
        late: count == 0,
    })
}

/// Writes what the pipe takes. Returns true when all of the input was written, or when the child has closed its end.
fn feed(stdin: Option<&mut impl Write>, input: &mut &[u8]) -> io::Result<bool> {
    let Some(stdin) = stdin else { return Ok(true) };
    match stdin.write(input) {
        Ok(written) => *input = &input[written..],
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
        Err(error) => return Err(error),
    }
    Ok(input.is_empty())
}

fn read(stream: Option<&mut impl Read>, chunk: &mut [u8]) -> io::Result<usize> {
    let Some(stream) = stream else { return Ok(0) };
    loop {
        match stream.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
