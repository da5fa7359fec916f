//! The guest's console: the guest decides what is written, so its length is bounded here.
//!
//! Every machine has a companion that copies the console from a pipe into `console.log` and, when that has grown to
//! [`LONGEST`], makes it `console.log.1` and begins again. It is a process of its own, because a machine outlives the
//! daemon and its console must stay bounded all the same. It ends when the VMM does. When lines were written is in a file beside
//! each log ([`Times`]).

mod times;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use self::times::Marks;
pub use self::times::Times;

/// Bytes of one console log; there are at most two.
pub const LONGEST: u64 = 512 << 10;

/// The name of the log.
pub(crate) const LOG: &str = "console.log";

/// Copies `from` into the console logs of the machine in `dir`, until it ends.
///
/// # Errors
/// When `from` cannot be read. A log that cannot be written (a full disk) loses its text and nothing else: were the
/// pipe not emptied, the guest would stand still.
pub fn sink(mut from: impl Read, dir: &Path) -> io::Result<()> {
    let path = dir.join(LOG);
    let mut log = open(&path);
    let mut written = log
        .as_ref()
        .ok()
        .and_then(|log| log.metadata().ok())
        .map_or(0, |metadata| metadata.len());
    let mut marks = Marks::of(&path);
    let mut buffer = [0; 16 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if written + read as u64 > LONGEST || marks.count >= times::MOST {
            let earlier = dir.join("console.log.1");
            let _ = std::fs::rename(times::beside(&path), times::beside(&earlier));
            let _ = std::fs::rename(&path, earlier);
            log = open(&path);
            marks = marks.of_next(&path);
            written = 0;
        }
        marks.note(&buffer[..read], written);
        if let Ok(log) = &mut log
            && log.write_all(&buffer[..read]).is_ok()
        {
            written += read as u64;
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// The line with which the kernel of the guest in `dir` said that it panicked, if it did.
pub(crate) fn panic_line(dir: &Path) -> Option<String> {
    const TAIL: usize = 16 << 10;
    let log = std::fs::read(dir.join(LOG)).ok()?;
    let text = String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]);
    let line = text
        .lines()
        .rev()
        .find(|line| line.contains("Kernel panic - not syncing"))?;
    let from = line.find("Kernel panic")?;
    Some(
        line[from..]
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_never_stops_talking_fills_two_logs() {
        let dir = tempfile::tempdir().unwrap();
        let endless = io::repeat(b'x').take(20 * LONGEST);
        sink(endless.chain(&b"the end\n"[..]), dir.path()).unwrap();
        let size = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().len();
        assert!(size("console.log") <= LONGEST && size("console.log.1") <= LONGEST);
        let log = std::fs::read(dir.path().join("console.log")).unwrap();
        assert!(log.ends_with(b"the end\n"));
    }

    #[test]
    fn lines_have_the_times_at_which_they_came() {
        let dir = tempfile::tempdir().unwrap();
        let (from, mut to) = io::pipe().unwrap();
        let before = millis_now();
        let at = dir.path().to_owned();
        let sink = std::thread::spawn(move || sink(from, &at));
        to.write_all(b"first\nsec").unwrap();
        while std::fs::read(dir.path().join(LOG)).unwrap_or_default().len() < 9 {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(40));
        to.write_all(b"ond\nthird\n").unwrap();
        drop(to);
        sink.join().unwrap().unwrap();
        let times = Times::of_log(&dir.path().join(LOG));
        let [first, second, third] = [0, 6, 13].map(|offset| times.at(offset).unwrap());
        assert!(first >= before && first == second, "{times:?}");
        assert!(third >= first + 40, "{times:?}");
        assert_eq!(
            std::fs::read(dir.path().join(LOG)).unwrap(),
            b"first\nsecond\nthird\n"
        );
    }

    fn millis_now() -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        i64::try_from(since.unwrap().as_millis()).unwrap()
    }

    #[test]
    fn times_are_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut marks = Marks::of(&dir.path().join(LOG));
        for offset in 0..1000 {
            marks.note(b"x\n", offset * 2);
        }
        // All of them came within one moment.
        assert!(marks.count <= 100, "{}", marks.count);
    }

    #[test]
    fn a_panic_is_found_behind_its_time_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[    1.2] ok\n[    1.3] Kernel panic - not syncing: VFS: no root\r\n[    1.4] CPU: 0\n";
        std::fs::write(dir.path().join(LOG), text).unwrap();
        assert_eq!(
            panic_line(dir.path()).unwrap(),
            "Kernel panic - not syncing: VFS: no root"
        );
    }
}
