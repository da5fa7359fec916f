//! The child's side: does one job and ends.

use std::io::{self, BufRead, BufWriter, Read, Write};
use std::process;
use std::time::{Duration, Instant};

use banger_api::{ErrorBody, Progress};
use banger_model::body;
use banger_request::Reporter;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::Value;

use crate::job::Job;
use crate::order::{LONGEST, Order, Said};
use crate::stores::Stores;

/// What a job comes to.
pub enum Answer {
    /// A value.
    Value(Value),
    /// More than is kept in memory: what this writes.
    Listing(Listing),
}

/// Writes a listing, once.
pub type Listing = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()>>;

/// How jobs are done.
pub type Perform = fn(Job, &Stores, &Reporter, &mut (dyn Read + Send)) -> Result<Answer, ErrorBody>;

/// Between two words of progress on the same thing.
const PAUSE: Duration = Duration::from_millis(40);

/// Does the job on standard input and ends the process: nothing is worth freeing.
pub fn serve(perform: Perform) -> ! {
    // As it is shown by ps and top.
    let _ = rustix::thread::set_name(c"bangerd-worker");
    std::thread::spawn(end_with_reader);
    let mut line = String::new();
    let read = io::stdin().lock().take(LONGEST).read_line(&mut line);
    let order = read
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_str::<Order>(&line));
    let order = order.unwrap_or_else(|error| {
        eprintln!("failed to parse the job: {error}");
        process::exit(2);
    });
    match answer(order, perform) {
        Ok(Answer::Value(value)) => say(&Said::Done(value)),
        Ok(Answer::Listing(write)) => {
            say(&Said::Begin);
            let mut to = BufWriter::with_capacity(64 << 10, io::stdout().lock());
            if write(&mut to).and_then(|()| to.flush()).is_err() {
                process::exit(1);
            }
        }
        Err(error) => say(&Said::Failed(error)),
    }
    process::exit(0)
}

fn answer(order: Order, perform: Perform) -> Result<Answer, ErrorBody> {
    let here = Stores::open(order.paths()).map_err(|error| body(&error))?;
    let (reporter, mut progress) = Reporter::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut last: Option<(String, Instant)> = None;
            while let Some(progress) = progress.blocking_recv() {
                if is_wanted(&progress, &mut last) {
                    say(&Said::Progress(progress));
                }
            }
        });
        let done = perform(order.job, &here, &reporter, &mut io::stdin());
        drop(reporter);
        done
    })
}

/// Whether the daemon shall hear it: what goes on, now and then; that it is done, and sentences, always.
fn is_wanted(progress: &Progress, last: &mut Option<(String, Instant)>) -> bool {
    let Progress::Bytes { what, done, total } = progress else {
        return true;
    };
    let now = Instant::now();
    let is_early = last
        .as_ref()
        .is_some_and(|(of, at)| of == what && now.duration_since(*at) < PAUSE);
    if is_early && Some(*done) != *total {
        return false;
    }
    *last = Some((what.clone(), now));
    true
}

fn say(said: &Said) {
    let mut line = serde_json::to_vec(said).expect("what is said has only string keys");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    if out.write_all(&line).and_then(|()| out.flush()).is_err() {
        process::exit(1);
    }
}

/// Ends the process when nobody reads its output any more: the daemon was killed, or the client left.
fn end_with_reader() {
    let out = rustix::stdio::stdout();
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(out, PollFlags::empty())], None) {
            Err(rustix::io::Errno::INTR) => {}
            _ => process::exit(1),
        }
    }
}
