//! Kernels and images for scenarios: made once in `target/e2e`, and shared by all homes.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::backend::test_kernel;
use crate::image::Image;
use crate::output::Output;
use crate::place::{exclusive, shared};

/// What every kernel's command line has beside what the kernel needs, so that a scenario can look for it.
pub const VARIABLE: &str = "FROM_THE_KERNEL=yes";

/// Who runs `banger` for a store.
pub(crate) trait Banger {
    /// Runs it with these arguments.
    fn run(&self, args: &[&str]) -> Result<Output>;
}

/// Two scenarios must not make the same image.
static MAKING: Mutex<()> = Mutex::new(());

/// Makes sure of a kernel named `debian` and, where there is a test kernel, of `test`.
pub(crate) fn prepare_kernels(home: &impl Banger) -> Result<()> {
    let _making = lock()?;
    if home.run(&["kernel", "show", "debian"])?.code != 0 {
        home.run(&[
            "kernel",
            "import",
            "debian",
            "--package",
            "linux-image-cloud-amd64",
            "--append",
            VARIABLE,
        ])?
        .ok()?;
    }
    let Ok(kernel) = test_kernel() else {
        return Ok(());
    };
    let append = std::env::var("BANGER_TEST_KERNEL_APPEND").unwrap_or_default();
    let append = format!("{append} {VARIABLE}");
    // What an earlier run imported may have had another command line.
    let shown = home.run(&["kernel", "show", "--json", "test"])?;
    if shown.code != 0 || !shown.text().contains(&append) {
        let path = kernel.to_string_lossy().into_owned();
        home.run(&[
            "kernel",
            "import",
            "test",
            "--force",
            "--vmlinux",
            &path,
            "--append",
            &append,
            "--max-vcpus",
            "1",
        ])?
        .ok()?;
    }
    Ok(())
}

/// Gives a store the kernels that another one has.
pub(crate) fn copy_kernels(from: &Path, to: &Path) -> Result<()> {
    // None is being imported meanwhile.
    let _making = lock()?;
    let copied = Command::new("cp")
        .args(["-a", "--sparse=always", "--reflink=auto"])
        .arg(from.join("kernels"))
        .arg(to)
        .output()?;
    let words = String::from_utf8_lossy(&copied.stderr);
    ensure!(copied.status.success(), "the kernels were not copied: {words}");
    Ok(())
}

/// Makes sure of an image.
pub(crate) fn prepare_image(home: &impl Banger, image: Image) -> Result<()> {
    let _making = lock()?;
    if home.run(&["image", "show", image.name()])?.code == 0 {
        return Ok(());
    }
    match image {
        Image::Busybox => import_dir(home, image, fill_with_busybox),
        Image::Init => import_dir(home, image, |dir| {
            fill_with_busybox(dir)?;
            std::fs::create_dir_all(dir.join("sbin"))?;
            std::fs::create_dir_all(dir.join("etc"))?;
            std::os::unix::fs::symlink("../bin/busybox", dir.join("sbin/init"))?;
            std::fs::write(
                dir.join("etc/inittab"),
                "::sysinit:/bin/sh -c 'echo started >> /root/by-init'\n\
                 ::respawn:/bin/sleep 1000\n\
                 ::shutdown:/bin/sh -c 'echo stopped >> /root/by-init'\n",
            )?;
            Ok(())
        }),
        Image::OneProgram => import_dir(home, image, |dir| {
            std::fs::copy("/bin/busybox", dir.join("busybox"))?;
            Ok(())
        }),
        // An emulated guest takes a minute and a half to install the certificates, which all that come from Debian's own need.
        Image::Systemd => import_debian(home, image, "systemd-sysv,dbus,ca-certificates"),
        Image::Host => import_debian(
            home,
            image,
            "systemd-sysv,dbus,systemd-resolved,nftables,iproute2,qemu-system-x86,linux-image-cloud-amd64",
        ),
        Image::Git => import_debian(home, image, "git"),
        Image::Sshd => import_debian(home, image, "openssh-server"),
        Image::Clients => import_debian(home, image, "python3,nodejs"),
    }
}

/// Debian with some packages, made once for all.
fn import_debian(home: &impl Banger, image: Image, packages: &str) -> Result<()> {
    let tar = shared()?.join(format!("{}.tar", image.name()));
    if !tar.exists() {
        let making = tar.with_extension("making.tar");
        let include = format!("--include={packages}");
        let made = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", &include, "bookworm"])
            .arg(&making)
            .output()
            .context("run mmdebstrap")?;
        ensure!(
            made.status.success(),
            "mmdebstrap: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        std::fs::rename(&making, &tar)?;
    }
    let tar = tar.to_string_lossy().into_owned();
    home.run(&["image", "import", "--name", image.name(), &tar])?
        .ok()
        .map(drop)
}

/// Puts busybox into a directory, under all its names.
///
/// # Errors
/// When it cannot be written.
pub fn fill_with_busybox(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir.join("bin"))?;
    std::fs::create_dir_all(dir.join("root"))?;
    std::fs::copy("/bin/busybox", dir.join("bin/busybox"))?;
    for name in applets()? {
        std::os::unix::fs::symlink("busybox", dir.join("bin").join(name))?;
    }
    Ok(())
}

fn import_dir(home: &impl Banger, image: Image, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let dir = tempfile::tempdir()?;
    fill(dir.path())?;
    let path = dir.path().to_string_lossy().into_owned();
    home.run(&["image", "import", "--name", image.name(), &path])?
        .ok()
        .map(drop)
}

/// The names that busybox answers to, but its own.
fn applets() -> Result<Vec<String>> {
    let listed = Command::new("/bin/busybox")
        .arg("--list")
        .stdin(Stdio::null())
        .output()?;
    let names = String::from_utf8(listed.stdout)?;
    Ok(names
        .lines()
        .filter(|name| *name != "busybox")
        .map(str::to_owned)
        .collect())
}

/// Against the other scenarios of this process and of other processes.
fn lock() -> Result<(std::sync::MutexGuard<'static, ()>, File)> {
    let guard = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((guard, exclusive("lock")?))
}
