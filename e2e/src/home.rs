//! A home of banger's for one scenario, which checks at its end that nothing is left.

mod ending;
mod running;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use banger_api::Vm;

pub use self::ending::Daemon;
pub use self::running::HUNG;
use crate::evidence::Record;
use crate::image::Image;
use crate::output::Output;
use crate::place::{self, programs};
use crate::store::{self, Banger};
use crate::user::{self, PlainUser};
use crate::{Backend, processes};

/// A directory that is `BANGER_HOME` for one scenario. Images and kernels are shared; everything else is its own.
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
    /// A new home that has `images`, and the kernels that VMs of scenarios boot.
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
        // Only these, and made again: others have gigabytes, and change while other scenarios run.
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

    /// The home directory of its user. What whoever runs the scenarios has in theirs, logins above all, is for no guest.
    pub fn user_dir(&self) -> PathBuf {
        self.path().join(USER)
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
}

impl Drop for Home {
    /// A scenario that failed leaves processes; they are this home's own.
    fn drop(&mut self) {
        self.record.end(self.well);
        processes::kill(self.path());
    }
}

/// The home directory of a home's user, below it.
const USER: &str = "user";

/// How long a command of a scenario may take, if nothing else is said.
const LONGEST: Duration = Duration::from_secs(150);
