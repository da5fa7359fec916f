//! Where kernels come from.

use std::path::{Path, PathBuf};
use std::process::Command;

use banger_store::OfFile;

use crate::deb;
use crate::error::Error;
use crate::found::Found;

/// Where a kernel comes from. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A package of the host's package manager: downloaded, not installed.
    Package(String),
    /// A Debian package file.
    Deb(PathBuf),
    /// The kernel that the host runs.
    Host,
    /// Files.
    Files {
        /// An uncompressed ELF kernel.
        vmlinux: Option<PathBuf>,
        /// A bzImage.
        vmlinuz: Option<PathBuf>,
        /// An initrd to run before banger's own.
        initrd: Option<PathBuf>,
        /// A directory like `/lib/modules/VERSION`.
        modules: Option<PathBuf>,
        /// The kernel's `.config`.
        config: Option<PathBuf>,
    },
}

/// A package that only names another one may name one that does so, too.
const MOST_REFERENCES: u32 = 4;

impl Source {
    /// Brings the files where they can be read. What has to be downloaded or unpacked goes into `scratch`.
    pub(crate) fn find(&self, scratch: &Path, note: &mut dyn FnMut(&str)) -> Result<Found, Error> {
        match self {
            Self::Package(package) => {
                let real = real_package(package)?;
                note(&format!("downloading {real}"));
                let path = download(&real, scratch)?;
                let found = deb::unpack(&path, scratch)?;
                Ok(Found {
                    words: format!("package {real}"),
                    ..found
                })
            }
            Self::Deb(path) => deb::unpack(path, scratch),
            Self::Host => host(),
            Self::Files {
                vmlinux,
                vmlinuz,
                initrd,
                modules,
                config,
            } => {
                // Of both forms the compressed one is taken: the other can be made of it.
                let kernel = vmlinuz.as_ref().or(vmlinux.as_ref()).ok_or(Error::NoKernelFile)?;
                let given = [Some(kernel), initrd.as_ref(), modules.as_ref(), config.as_ref()];
                if let Some(relative) = given.into_iter().flatten().find(|path| !path.is_absolute()) {
                    return Err(banger_store::Error::Relative(relative.clone()).into());
                }
                Ok(Found {
                    kernel: kernel.clone(),
                    initrd: initrd.clone(),
                    modules: modules.clone(),
                    config: config.clone(),
                    words: format!("file {}", kernel.display()),
                })
            }
        }
    }
}

/// The kernel that runs here, where distributions put it.
fn host() -> Result<Found, Error> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let kernel = [
        format!("/boot/vmlinuz-{release}"),
        format!("/lib/modules/{release}/vmlinuz"),
    ];
    let first = PathBuf::from(&kernel[0]);
    let kernel = kernel.iter().map(PathBuf::from).find(|path| path.exists());
    let existing = |path: String| Some(PathBuf::from(path)).filter(|path| path.exists());
    Ok(Found {
        kernel: kernel.ok_or(Error::NoHostKernel(first))?,
        initrd: None,
        modules: existing(format!("/lib/modules/{release}")),
        config: existing(format!("/boot/config-{release}")),
        words: format!("the host's kernel {release}"),
    })
}

/// The package that has the kernel: `linux-image-cloud-amd64` only depends on the current one.
fn real_package(package: &str) -> Result<String, Error> {
    let mut name = package.to_owned();
    for _ in 0..MOST_REFERENCES {
        let shown = apt(
            "apt-cache",
            &["show", "--no-all-versions", &name],
            None,
            &format!("find the package {name}"),
        )?;
        let depends = shown
            .lines()
            .find_map(|line| line.strip_prefix("Depends:"))
            .unwrap_or_default();
        let next = depends
            .split(',')
            .map(|one| one.split_whitespace().next().unwrap_or_default())
            .find(|one| one.starts_with("linux-image-"));
        match next {
            Some(next) => name = next.to_owned(),
            None => break,
        }
    }
    Ok(name)
}

fn download(package: &str, scratch: &Path) -> Result<PathBuf, Error> {
    apt(
        "apt-get",
        &["download", package],
        Some(scratch),
        &format!("download {package}"),
    )?;
    let entries = std::fs::read_dir(scratch).of("list", scratch)?.flatten();
    let deb = entries
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    deb.ok_or(Error::Program {
        program: "apt-get",
        what: format!("download {package}"),
        words: "no file was created".to_owned(),
    })
}

fn apt(program: &'static str, args: &[&str], dir: Option<&Path>, what: &str) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C.UTF-8");
    if let Some(dir) = dir {
        command.current_dir(dir);
    }
    let failed = |words: String| Error::Program {
        program,
        what: what.to_owned(),
        words,
    };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
