//! Amount and rate of copied data.

use std::time::Instant;

use banger_api::Progress;
use banger_api::stream::FilesDone;
use banger_command::print;
use banger_command::progress::{Display, bytes};
use tokio::sync::watch;

/// Counts bytes and shows progress.
pub(crate) struct Meter {
    count: watch::Sender<u64>,
    total: Option<u64>,
    since: Instant,
    quiet: bool,
}

impl Meter {
    /// A meter for a copy of `total` bytes, if known.
    pub(crate) fn new(total: Option<u64>, quiet: bool) -> Self {
        Self {
            count: watch::Sender::new(0),
            total,
            since: Instant::now(),
            quiet,
        }
    }

    /// A function that reports the number of copied bytes.
    pub(crate) fn counter(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let count = self.count.clone();
        move |bytes| {
            count.send_replace(bytes);
        }
    }

    /// Runs `work` and shows progress.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if self.quiet {
            return work.await;
        }
        let mut display = Display::new("");
        let mut count = self.count.subscribe();
        loop {
            tokio::select! {
                done = &mut work => return done,
                Ok(()) = count.changed() => {
                    let done = *count.borrow_and_update();
                    display.show(&Progress::Bytes { what: "copying".to_owned(), done, total: self.total });
                }
            }
        }
    }

    /// Prints what was copied.
    pub(crate) fn print(&self, done: &FilesDone) {
        for note in &done.notes {
            print::notice!("note: {note}");
        }
        if self.quiet {
            return;
        }
        let took = self.since.elapsed().as_secs_f64().max(1e-6);
        let rate = bytes((done.bytes as f64 / took) as u64);
        let entries = match done.entries {
            1 => "1 entry".to_owned(),
            entries => format!("{entries} entries"),
        };
        print::notice!(
            "copied {entries}, {} in {took:.1} s ({rate}/s)",
            bytes(done.bytes)
        );
    }
}
