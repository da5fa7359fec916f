//! A home of banger's for one story, which checks at its end that nothing is left.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use banger_api::Vm;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::evidence::Record;
use crate::image::Image;
use crate::output::Output;
use crate::place::{self, programs};
use crate::store::{self, Banger};
use crate::user::{self, PlainUser};
use crate::{Backend, processes};

/// A directory that is `BANGER_HOME` for one story. Images and kernels are shared; everything else is its own.
#[derive(Debug)]
pub struct Home {
    dir: tempfile::TempDir,
    programs: PathBuf,
    /// Variables of every program.
    env: Vec<(String, String)>,
    /// The network namespace that programs run in, if it is another than ours.
    netns: Option<String>,
    /// How long a command may take.
    longest: Duration,
    /// The user that programs run as, if it is another than ours.
    user: Option<PlainUser>,
    /// What its VMs boot.
    images: Vec<Image>,
    /// What is kept of it if its scenario fails.
    record: Arc<Record>,
    /// Whether it ended as it should.
    well: bool,
}

impl Banger for Home {
    fn run(&self, args: &[&str]) -> Result<Output> {
        self.banger(args)
    }
}

impl Home {
    /// A new home that has `images`, and the kernels that VMs of stories boot.
    ///
    /// # Errors
    /// When something cannot be made.
    pub fn new(images: &[Image]) -> Result<Self> {
        let mut home = Self::bare()?;
        home.images.extend(images);
        let shared = place::shared()?.join("data");
        std::fs::create_dir_all(&shared)?;
        std::os::unix::fs::symlink(&shared, home.path().join("data"))?;
        store::prepare_kernels(&home)?;
        for image in images {
            store::prepare_image(&home, *image)?;
        }
        Ok(home)
    }

    /// The same with stores that are its own, which have the kernels and its images.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn own_stores(&self) -> Result<()> {
        self.banger(["daemon", "stop"])?.ok()?;
        let data = self.path().join("data");
        let shared = std::fs::read_link(&data)?;
        std::fs::remove_file(&data)?;
        std::fs::create_dir(&data)?;
        store::copy_kernels(&shared, &data)?;
        // Only these, and made anew: others have gigabytes, and change while other stories are told.
        for image in &self.images {
            store::prepare_image(self, *image)?;
        }
        Ok(())
    }

    /// A new home that shares nothing and has nothing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn bare() -> Result<Self> {
        let dir = place::short_dir("bg-")?;
        std::fs::create_dir(dir.path().join(USER))?;
        Ok(Self {
            record: Record::of(dir.path()),
            well: false,
            dir,
            programs: programs()?,
            env: Vec::new(),
            netns: None,
            longest: LONGEST,
            user: None,
            images: Vec::new(),
        })
    }

    /// The same home with programs that lie in `dir`.
    #[must_use]
    pub fn with_programs(mut self, dir: &Path) -> Self {
        self.programs = dir.to_owned();
        self
    }

    /// The same home with a variable for every program.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same home with programs that run in a network namespace.
    #[must_use]
    pub fn within(mut self, netns: &str) -> Self {
        self.netns = Some(netns.to_owned());
        self
    }

    /// The same home with commands that may take longer.
    #[must_use]
    pub fn patient(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// The same home as a plain user's, with programs and stores of its own, in `netns` or in this machine's own network.
    ///
    /// # Errors
    /// When it cannot be given away; it takes root.
    pub fn of_plain_user(mut self, netns: Option<&str>) -> Result<Self> {
        self.own_stores()?;
        self.banger(["daemon", "stop"])?.ok()?;
        let user = PlainUser::moving_into(self.path(), &self.programs)?;
        self.programs = user.programs();
        self.env.extend(user.env());
        self.user = Some(user);
        self.netns = netns.map(str::to_owned);
        Ok(self)
    }

    /// Where its programs are.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Those of them that a user has who runs VMs.
    pub fn programs_of_a_user(&self) -> Vec<PathBuf> {
        user::of_a_user(&self.programs)
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The home directory of its user. What whoever runs the stories has in theirs, logins above all, is for no guest.
    pub fn user_dir(&self) -> PathBuf {
        self.path().join(USER)
    }

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

    /// Lets VMs that name neither VMM nor kernel run under this backend, small.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub fn prefer(&self, backend: Backend) -> Result<()> {
        let [_, vmm, _, kernel] = backend.options();
        std::fs::create_dir_all(self.path().join("config"))?;
        std::fs::write(
            self.path().join("config/config.toml"),
            format!(
                "vmm = \"{vmm}\"\ndefault_kernel = \"{kernel}\"\n[vm_defaults]\nvcpus = 1\nmemory = \"512M\"\n"
            ),
        )?;
        Ok(())
    }

    /// Creates a VM that runs, under this backend and with this image.
    ///
    /// # Errors
    /// When it is not created.
    pub fn create(&self, backend: Backend, image: Image, name: &str, more: &[&str]) -> Result<()> {
        let mut args = vec!["vm", "create", "--name", name, "--image", image.name()];
        if !more.contains(&"--memory") {
            args.extend(["--memory", "512M"]);
        }
        args.extend(backend.options());
        args.extend(more);
        self.banger(args)?.ok().map(drop)
    }

    /// Runs a command in a VM.
    ///
    /// # Errors
    /// When `banger` cannot be started.
    pub fn exec(&self, name: &str, command: &[&str]) -> Result<Output> {
        self.banger(["vm", "exec", name, "--"].iter().chain(command))
    }

    /// Runs a line of shell in a VM, which must succeed, and gives what it prints.
    ///
    /// # Errors
    /// When it does not succeed.
    pub fn sh(&self, name: &str, line: &str) -> Result<String> {
        Ok(self.exec(name, &["sh", "-c", line])?.ok()?.text())
    }

    /// A VM as the daemon tells it.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn vm(&self, name: &str) -> Result<Vm> {
        let shown = self.banger(["vm", "show", "--json", name])?.ok()?;
        Ok(serde_json::from_slice(&shown.stdout)?)
    }

    /// Process id of the daemon.
    ///
    /// # Errors
    /// When none runs.
    pub fn daemon_pid(&self) -> Result<i32> {
        let status = self.banger(["daemon", "status", "--json"])?.ok()?;
        let status: banger_api::Version = serde_json::from_slice(&status.stdout)?;
        Ok(i32::try_from(status.pid)?)
    }

    /// What is left of VMs: directories, sockets, records, processes. A story ends with nothing.
    ///
    /// # Errors
    /// When it cannot be looked for.
    pub fn leftovers(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for dir in ["state/vms", "run/m", "cache/workspaces"] {
            for entry in std::fs::read_dir(self.path().join(dir))
                .into_iter()
                .flatten()
                .flatten()
            {
                let within = std::fs::read_dir(entry.path()).into_iter().flatten().flatten();
                let names: Vec<_> = within.map(|entry| entry.file_name()).collect();
                left.push(format!("{} with {names:?}", entry.path().display()));
            }
        }
        let listed = self.banger(["vm", "list", "--quiet"])?.ok()?.text();
        left.extend(listed.lines().map(|name| format!("record of {name}")));
        let daemon = self.daemon_pid()?;
        left.extend(
            processes::left(self.path(), Some(daemon))?
                .into_iter()
                .map(|(pid, line)| format!("process {pid}: {line}")),
        );
        Ok(left)
    }

    /// Kills the daemon, and returns when it has ended: one that is about to end still takes connections.
    ///
    /// # Errors
    /// When there is none, or it does not end within 30 s.
    pub fn kill_daemon(&self) -> Result<()> {
        self.daemon()?.kill()
    }

    /// The daemon that runs, to be killed without delay.
    ///
    /// # Errors
    /// When there is none.
    pub fn daemon(&self) -> Result<Daemon> {
        let daemon = Pid::from_raw(self.daemon_pid()?).context("a process id")?;
        Ok(Daemon(pidfd_open(daemon, PidfdFlags::empty())?))
    }

    /// Does something while all of banger's that was started with this home stands still, and these others, as while a host sleeps.
    ///
    /// # Errors
    /// Those of what is done.
    pub fn asleep<T>(&self, others: &[Pid], act: impl FnOnce() -> Result<T>) -> Result<T> {
        let _asleep = processes::asleep(self.path(), others);
        act()
    }

    /// Removes every VM, stops the daemon, and checks that nothing is left.
    ///
    /// # Errors
    /// When something is left, or cannot be removed.
    pub fn end(mut self) -> Result<()> {
        let names = self.banger(["vm", "list", "--quiet"])?.ok()?.text();
        if !names.is_empty() {
            self.banger(["vm", "delete", "-f"].into_iter().chain(names.lines()))?
                .ok()?;
        }
        let left = self.leftovers()?;
        self.banger(["daemon", "stop"])?.ok()?;
        ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        let left = processes::left(self.path(), None)?;
        ensure!(left.is_empty(), "left running: {left:?}");
        self.well = true;
        Ok(())
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

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon(OwnedFd);

impl Daemon {
    /// Kills it, and returns when it has ended.
    ///
    /// # Errors
    /// When it does not end within 30 s.
    pub fn kill(self) -> Result<()> {
        pidfd_send_signal(&self.0, Signal::KILL)?;
        let patience = Timespec {
            tv_sec: 30,
            tv_nsec: 0,
        };
        let ended = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&patience))?;
        ensure!(ended == 1, "the daemon does not end");
        Ok(())
    }
}

impl Drop for Home {
    /// A story that failed leaves processes; they are this home's own.
    fn drop(&mut self) {
        self.record.end(self.well);
        processes::kill(self.path());
    }
}

/// The home directory of a home's user, below it.
const USER: &str = "user";

/// Where programs may be that cargo installed, whatever `HOME` is.
fn cargo_home() -> Option<(&'static str, PathBuf)> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home)?;
    Some(("CARGO_HOME", cargo))
}

/// How long a command of a story may take, if nothing else is said.
const LONGEST: Duration = Duration::from_secs(150);

/// What is said of one that takes longer.
pub const HUNG: &str = "hung and was killed";

fn collect(line: String, child: Child, longest: Duration) -> Result<Output> {
    let held = Pid::from_raw(child.id().try_into()?).context("a process id")?;
    let held = pidfd_open(held, PidfdFlags::empty())?;
    let (ended, is_over) = std::sync::mpsc::channel::<()>();
    // A command that hangs would hang the story, and all after it.
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
