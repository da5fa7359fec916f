//! A home of banger's for a measurement, with the release build.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use banger_api::Vm;

use crate::repository;

/// What a measurement's VM runs under.
#[derive(Debug, Clone, Copy)]
pub(super) enum Under {
    /// The fake guest: the host's side alone.
    Fake,
    /// Firecracker, with the kernel that it boots here.
    Firecracker,
    /// QEMU without KVM, with Debian's kernel.
    Emulation,
}

impl Under {
    /// What a figure says of it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Emulation => "tcg",
            Self::Fake | Self::Firecracker => self.vmm(),
        }
    }

    const fn vmm(self) -> &'static str {
        match self {
            Self::Fake => "fake",
            Self::Firecracker => "firecracker",
            Self::Emulation => "qemu",
        }
    }
}

/// A `BANGER_HOME` of its own; its daemon is stopped and its VMs removed when this is dropped.
pub(super) struct Home {
    dir: tempfile::TempDir,
    /// The network namespace that programs run in, if it is another than ours.
    netns: Option<String>,
}

impl Home {
    /// A home without anything.
    pub(super) fn bare() -> Result<Self> {
        ensure!(
            program("bangerd").exists(),
            "there is no release build: `make build`"
        );
        let dir = tempfile::Builder::new().prefix("bb-").tempdir_in("/tmp")?;
        // What whoever measures is logged in to is for no guest here.
        std::fs::create_dir(dir.path().join("config"))?;
        std::fs::write(
            dir.path().join("config/config.toml"),
            "file_sync_defaults = false\n",
        )?;
        Ok(Self { dir, netns: None })
    }

    /// A home with busybox as its image `busybox` (a shell and no init).
    pub(super) fn with_image() -> Result<Self> {
        Self::with_files(&[])
    }

    /// The same, with these scripts in the image's root.
    pub(super) fn with_files(scripts: &[(&str, &str)]) -> Result<Self> {
        let home = Self::bare()?;
        let image = tempfile::tempdir()?;
        let bin = image.path().join("bin");
        std::fs::create_dir(&bin)?;
        std::fs::create_dir(image.path().join("root"))?;
        std::fs::create_dir(image.path().join("dev"))?;
        std::fs::copy("/bin/busybox", bin.join("busybox")).context("busybox-static is not installed")?;
        for name in ["sh", "true", "cat", "sleep"] {
            std::os::unix::fs::symlink("busybox", bin.join(name))?;
        }
        for (name, script) in scripts {
            let path = image.path().join(name);
            std::fs::write(&path, script)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
        home.banger(&["image", "import", "--name", "busybox", text(image.path())?])?;
        Ok(home)
    }

    /// The same with the kernel that VMs boot under this.
    pub(super) fn with_kernel(self, under: Under) -> Result<Self> {
        let import = |options: &[&str]| self.banger(&[&["kernel", "import"], options].concat());
        match under {
            // It boots none; any executable with a kernel's banner will do.
            Under::Fake => {
                let kernel = self.path().join("vmlinux");
                let banner = [&std::fs::read("/bin/busybox")?[..], b"Linux version 0 "].concat();
                std::fs::write(&kernel, banner)?;
                import(&["none", "--vmlinux", text(&kernel)?])?
            }
            Under::Firecracker => {
                let kernel = std::env::var("BANGER_TEST_KERNEL").unwrap_or_default();
                ensure!(Path::new(&kernel).is_file(), "BANGER_TEST_KERNEL is not a file");
                let found = Command::new("firecracker").arg("--version").output();
                ensure!(found.is_ok(), "no `firecracker` on PATH");
                let append = test_kernel_append();
                import(&[
                    "test",
                    "--vmlinux",
                    &kernel,
                    "--append",
                    &append,
                    "--max-vcpus",
                    "1",
                ])?
            }
            Under::Emulation => import(&["debian", "--package", "linux-image-cloud-amd64"])?,
        };
        Ok(self)
    }

    /// A home with busybox and a VM of it, called `vm`, which runs.
    pub(super) fn with_vm(under: Under, memory: &str) -> Result<Self> {
        let home = Self::with_image()?.with_kernel(under)?;
        home.create(under, memory, &[])?;
        Ok(home)
    }

    /// The same with programs that run in a network namespace, and a root helper there. Its daemon starts again.
    pub(super) fn within(mut self, netns: &str) -> Result<Self> {
        self.banger(&["daemon", "stop"])?;
        self.netns = Some(netns.to_owned());
        Ok(self)
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.netns {
            None => Command::new(program("banger")),
            Some(netns) => {
                let mut command = Command::new("ip");
                command
                    .args(["netns", "exec", netns])
                    .arg(program("banger"))
                    .env("BANGER_ROOT_SOCKET", self.path().join("root/0.sock"));
                command
            }
        };
        command
            .args(args)
            .env("BANGER_HOME", self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs `banger`, which must succeed.
    pub(super) fn banger(&self, args: &[&str]) -> Result<Output> {
        let output = self.command(args).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "banger {}: {said}", args.join(" "));
        Ok(output)
    }

    /// How long `banger` takes, which must succeed.
    pub(super) fn time(&self, args: &[&str]) -> Result<(Duration, Output)> {
        let since = Instant::now();
        let output = self.banger(args)?;
        Ok((since.elapsed(), output))
    }

    /// Creates the VM `vm`, with these other options, and says how long it takes.
    pub(super) fn create(&self, under: Under, memory: &str, more: &[&str]) -> Result<(Duration, Output)> {
        let create = [
            "vm",
            "create",
            "--vmm",
            under.vmm(),
            "--name",
            "vm",
            "--memory",
            memory,
        ];
        self.time(&[&create[..], more].concat())
    }

    /// The socket at which a VMM answers for a VM's agent.
    pub(super) fn agent(&self, vm: &str) -> Result<PathBuf> {
        let machines = self.path().join("run/m");
        Ok(machines.join(self.vm(vm)?.id).join("vsock.sock"))
    }

    pub(super) fn vm(&self, name: &str) -> Result<Vm> {
        let output = self.banger(&["vm", "show", "--json", name])?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Process id of the daemon.
    pub(super) fn daemon(&self) -> Result<u32> {
        let output = self.banger(&["daemon", "status", "--json"])?;
        let version: banger_api::Version = serde_json::from_slice(&output.stdout)?;
        Ok(version.pid)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let listed = self.banger(&["vm", "list", "--quiet"]);
        let names = listed
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        for name in names.lines() {
            let _ = self.banger(&["vm", "delete", "-f", name]);
        }
        let _ = self.banger(&["daemon", "stop"]);
    }
}

/// What the test kernel needs on its command line.
pub(super) fn test_kernel_append() -> String {
    std::env::var("BANGER_TEST_KERNEL_APPEND").unwrap_or_default()
}

/// A program of the release build.
pub(super) fn program(name: &str) -> PathBuf {
    repository::root().join("target/release").join(name)
}

/// A value in KiB from `/proc/PID/status`.
pub(super) fn status_kib(pid: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let Some(value) = line.and_then(|line| line.split_whitespace().next()) else {
        bail!("no {field} of process {pid}");
    };
    Ok(value.parse()?)
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no UTF-8")
}

/// Milliseconds, with fractions.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
