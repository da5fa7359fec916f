//! A terminal for a program, as a person's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A program on a terminal of its own.
#[derive(Debug)]
pub struct Terminal {
    ours: File,
    child: Child,
    seen: String,
    written: Vec<u8>,
}

/// How long a program may be silent.
const PATIENCE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

impl Terminal {
    /// Starts a program on a terminal of this many lines and columns.
    ///
    /// # Errors
    /// When there is no terminal or no such program.
    pub fn start(mut command: Command, rows: u16, cols: u16) -> Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let theirs: OwnedFd = rustix::fs::open(
            name,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let terminal = Self {
            ours: File::from(ours),
            child: {
                resize(&theirs, rows, cols)?;
                let theirs = File::from(theirs);
                command
                    .stdin(Stdio::from(theirs.try_clone()?))
                    .stdout(Stdio::from(theirs.try_clone()?))
                    .stderr(Stdio::from(theirs));
                command.spawn().context("start the program")?
            },
            seen: String::new(),
            written: Vec::new(),
        };
        // Our copies of the program's side must go.
        drop(command);
        Ok(terminal)
    }

    /// Types.
    ///
    /// # Errors
    /// When the terminal is closed.
    pub fn write(&mut self, keys: &str) -> Result<()> {
        Ok(self.ours.write_all(keys.as_bytes())?)
    }

    /// Changes the size, and tells the program as a terminal does.
    ///
    /// # Errors
    /// When the terminal is closed.
    pub fn resize(&mut self, rows: u16, cols: u16) -> Result<()> {
        resize(&self.ours, rows, cols)?;
        // The kernel tells the foreground process group; a program that has not made this its controlling terminal
        // gets the signal from us.
        let pid = i32::try_from(self.child.id())?;
        let pid = rustix::process::Pid::from_raw(pid).context("its process id")?;
        Ok(rustix::process::kill_process(
            pid,
            rustix::process::Signal::WINCH,
        )?)
    }

    /// Waits until the program has written these words, after those that were waited for before.
    ///
    /// # Errors
    /// When it ends or stays silent.
    pub fn expect(&mut self, words: &str) -> Result<()> {
        self.until(&[words]).map(drop)
    }

    /// Waits like [`Self::expect`] for one of these words. Returns which of them came, and the text before it.
    ///
    /// # Errors
    /// When the program ends or stays silent.
    pub fn until(&mut self, words: &[&str]) -> Result<(usize, String)> {
        loop {
            let found = words.iter().enumerate();
            let found = found.filter_map(|(which, words)| Some((self.seen.find(words)?, which)));
            if let Some((at, which)) = found.min() {
                let before = self.seen[..at].to_owned();
                self.seen.drain(..at + words[which].len());
                return Ok((which, before));
            }
            let mut fds = [PollFd::new(&self.ours, PollFlags::IN)];
            if poll(&mut fds, Some(&PATIENCE))? == 0 {
                bail!("{words:?} did not come, but: {:?}", self.seen);
            }
            let mut buffer = [0; 4096];
            match self.ours.read(&mut buffer) {
                Ok(read) if read > 0 => {
                    self.written.extend(&buffer[..read]);
                    self.seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
                _ => bail!("the program ended before {words:?} came: {:?}", self.seen),
            }
        }
    }

    /// Reads until the program closes the terminal.
    ///
    /// # Errors
    /// When it stays silent.
    pub fn rest(&mut self) -> Result<()> {
        loop {
            let mut fds = [PollFd::new(&self.ours, PollFlags::IN)];
            if poll(&mut fds, Some(&PATIENCE))? == 0 {
                bail!(
                    "the program does not end: {:?}",
                    String::from_utf8_lossy(&self.written)
                );
            }
            let mut buffer = [0; 4096];
            // The other side is closed: an error on Linux.
            match self.ours.read(&mut buffer) {
                Ok(read) if read > 0 => self.written.extend(&buffer[..read]),
                _ => return Ok(()),
            }
        }
    }

    /// All that the program has written.
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// Waits for the program's end and gives its exit code.
    ///
    /// # Errors
    /// When a signal ended it.
    pub fn end(mut self) -> Result<i32> {
        self.child.wait()?.code().context("a signal ended the program")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: impl std::os::fd::AsFd, rows: u16, cols: u16) -> Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}
