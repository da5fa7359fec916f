//! Programs that run with a home: `banger`, and others of the host.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Home;
use crate::output::Output;

/// What is said of one that takes longer.
pub const HUNG: &str = "hung and was killed";

impl Home {
    /// A `banger` with these arguments, to be started.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let banger = self.programs.join("banger");
        let mut command = match (&self.netns, &self.user) {
            (None, None) => Command::new(&banger),
            (Some(netns), _) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", netns]);
                ip
            }
            // What makes a user is for that user alone.
            (None, Some(_)) => {
                let mut unshare = Command::new("unshare");
                unshare.args(["--mount", "--propagation", "slave", "--"]);
                unshare
            }
        };
        if let Some(user) = &self.user {
            command.args(user.becoming());
        }
        if command.get_program() != banger.as_os_str() {
            command.arg(&banger);
        }
        command
            .args(args)
            .env("BANGER_HOME", self.path())
            .env("HOME", self.user_dir())
            .envs(cargo_home())
            .envs(self.env.iter().cloned())
            .env_remove("BANGER_DAEMON")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `banger` to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn banger<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        let mut command = self.command(args);
        let line = shown(&command);
        let child = command.spawn().with_context(|| format!("start `{line}`"))?;
        self.collect(line, child)
    }

    /// Runs `banger` with `input`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn banger_with<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: Vec<u8>,
    ) -> Result<Output> {
        let mut command = self.command(args);
        let line = shown(&command);
        let mut child = command.stdin(Stdio::piped()).spawn().context("start banger")?;
        let mut stdin = child.stdin.take().context("its input")?;
        // A program may end without reading all.
        let writing = std::thread::spawn(move || stdin.write_all(&input));
        let output = self.collect(line, child)?;
        let _ = writing.join();
        Ok(output)
    }

    /// Another program of the host, to be started, which finds this home.
    pub fn program(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        command
            .env("BANGER_HOME", self.path())
            .envs(self.env.iter().cloned())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A bash that finds this home and its programs, on the terminal that [`crate::Shell`] gives it.
    pub fn bash(&self) -> Command {
        let mut words = Vec::new();
        if let Some(netns) = &self.netns {
            words.extend(["ip", "netns", "exec", netns]);
        }
        words.extend(["setsid", "--ctty", "--wait", "bash"]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut dirs = vec![self.programs.clone()];
        dirs.extend(std::env::split_paths(&path));
        let mut command = self.program(words[0]);
        command
            .args(&words[1..])
            .env("HOME", self.user_dir())
            .env("PATH", std::env::join_paths(dirs).unwrap_or(path))
            .envs(cargo_home())
            .env_remove("BANGER_DAEMON")
            .current_dir(self.user_dir());
        command
    }

    /// Runs a program to its end, with `input`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn finish(&self, mut command: Command, input: Vec<u8>) -> Result<Output> {
        let words = command.get_args().map(|arg| arg.to_string_lossy());
        let words: Vec<_> = words.collect();
        let line = format!("{} {}", command.get_program().display(), words.join(" "));
        let spawned = command.stdin(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("start `{line}`"))?;
        let mut stdin = child.stdin.take().context("its input")?;
        // A program may end without reading all.
        let writing = std::thread::spawn(move || stdin.write_all(&input));
        let output = self.collect(line, child)?;
        let _ = writing.join();
        Ok(output)
    }

    /// Runs a line of a shell as a user types it, who has `banger` on `PATH` and stands in `dir`.
    ///
    /// # Errors
    /// When the shell cannot be started.
    pub fn shell(&self, dir: &Path, line: &str) -> Result<Output> {
        let mut command = self.program("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["-c", line])
            .current_dir(dir)
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("HOME", self.user_dir())
            .envs(cargo_home())
            .env_remove("BANGER_DAEMON")
            .env("NO_COLOR", "1");
        self.finish(command, Vec::new())
    }

    /// Follows the hint of an output that has these words, literally.
    ///
    /// # Errors
    /// When there is no such hint, or the shell cannot be started.
    pub fn follow(&self, output: &Output, words: &str) -> Result<Output> {
        self.shell(self.path(), &output.hint(words)?)
    }

    /// Waits for a command, and writes down how it ended.
    fn collect(&self, line: String, child: Child) -> Result<Output> {
        let output = collect(line, child, self.longest);
        match &output {
            Ok(output) if output.code == 0 => self.record.event(&format!("`{}`", output.line)),
            Ok(output) => self.record.event(&format!(
                "`{}` exited with {}: {}",
                output.line,
                output.code,
                output.stderr.trim_end()
            )),
            Err(error) => self.record.event(&format!("{error:#}")),
        }
        output
    }
}

/// Where programs may be that cargo installed, whatever `HOME` is.
fn cargo_home() -> Option<(&'static str, PathBuf)> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home)?;
    Some(("CARGO_HOME", cargo))
}

fn collect(line: String, child: Child, longest: Duration) -> Result<Output> {
    let held = Pid::from_raw(child.id().try_into()?).context("a process id")?;
    let held = pidfd_open(held, PidfdFlags::empty())?;
    let (ended, is_over) = std::sync::mpsc::channel::<()>();
    // A command that hangs would hang the scenario, and all after it.
    let watch = std::thread::spawn(move || {
        let hangs = is_over.recv_timeout(longest) == Err(RecvTimeoutError::Timeout);
        if hangs {
            let _ = pidfd_send_signal(&held, Signal::KILL);
        }
        hangs
    });
    let output = child.wait_with_output()?;
    drop(ended);
    if watch.join().unwrap_or(false) {
        bail!("`{line}` {HUNG}");
    }
    let status = output.status;
    let Some(code) = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
    else {
        bail!("`{line}` ended in an unknown way");
    };
    Ok(Output {
        line,
        code,
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn shown(command: &Command) -> String {
    let words = command.get_args().map(|arg| arg.to_string_lossy());
    format!("banger {}", words.collect::<Vec<_>>().join(" "))
}
