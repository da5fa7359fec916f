//! The host's own ext4 tools, as judges of what this crate writes.

#![allow(dead_code, missing_docs, unreachable_pub)] // Each test program uses its part.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use banger_ext4::{ImageWriter, Meta, Options, Summary, Timestamp};
use tempfile::TempDir;

/// An image in a directory of its own.
pub struct Image {
    pub directory: TempDir,
    pub path: PathBuf,
    pub summary: Summary,
}

/// Options that all tests share.
pub fn options() -> Options {
    Options::new("test", *b"banger-test-uuid")
}

/// A plain `meta` with a time that has nanoseconds.
pub fn meta(mode: u16) -> Meta {
    Meta::new(
        mode,
        Timestamp {
            secs: 1_700_000_000,
            nanos: 123_456_789,
        },
    )
}

/// Writes an image and checks it with e2fsck.
pub fn image(fill: impl FnOnce(&mut ImageWriter)) -> Image {
    let image = unchecked_image(fill);
    check(&image.path);
    image
}

/// Writes an image.
pub fn unchecked_image(fill: impl FnOnce(&mut ImageWriter)) -> Image {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("image.ext4");
    let file = File::create_new(&path).expect("a new file");
    let mut writer = ImageWriter::create(file, options()).expect("an image can be started");
    fill(&mut writer);
    let summary = writer.finish().expect("an image can be finished");
    assert_eq!(
        fs::metadata(&path).expect("the image is there").len(),
        summary.bytes
    );
    Image {
        directory,
        path,
        summary,
    }
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Output {
    // Debian keeps these tools where an ordinary user's PATH does not lead.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"))
}

/// `e2fsck -fn` must exit with 0 and complain about nothing.
pub fn check(image: &Path) {
    let output = run("e2fsck", &["-fn".as_ref(), image.as_os_str()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints: Vec<&str> = said.lines().filter(|line| !is_routine(line)).collect();
    assert!(
        output.status.success() && complaints.is_empty(),
        "e2fsck {}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

fn is_routine(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("Pass ")
        || line.contains(" files (") && line.contains(" non-contiguous)") && line.ends_with(" blocks")
}

/// What debugfs answers to a request.
pub fn debugfs(image: &Path, request: &str) -> String {
    let output = run("debugfs", &["-R".as_ref(), request.as_ref(), image.as_os_str()]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A check that writes: resize2fs wants one first. It must find nothing to repair.
pub fn check_for_resize(disk: &Path) {
    let output = run("e2fsck", &["-fp".as_ref(), disk.as_os_str()]);
    assert!(
        output.status.success(),
        "e2fsck -fp: {}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Runs resize2fs on a disk.
pub fn resize2fs(image: &Path) -> String {
    let output = run("resize2fs", &[image.as_os_str()]);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "resize2fs: {said}");
    said
}

/// A loop mount that ends with this value. Tests that have one need root and loop devices.
pub struct Mounted {
    point: TempDir,
}

impl Mounted {
    pub fn new(image: &Path, mode: &str) -> Self {
        let point = TempDir::new().expect("a temporary directory");
        let options = format!("loop,{mode}");
        let arguments = [
            "-t".as_ref(),
            "ext4".as_ref(),
            "-o".as_ref(),
            options.as_ref(),
            image.as_os_str(),
            point.path().as_os_str(),
        ];
        let output = run("mount", &arguments);
        assert!(
            output.status.success(),
            "mount: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&run("dmesg", &[]).stdout)
                .lines()
                .rev()
                .take(5)
                .collect::<Vec<_>>()
                .join("\n")
        );
        Self { point }
    }

    pub fn path(&self) -> &Path {
        self.point.path()
    }

    /// The loop device below the mount.
    pub fn device(&self) -> PathBuf {
        let output = run(
            "findmnt",
            &["-no".as_ref(), "SOURCE".as_ref(), self.path().as_os_str()],
        );
        let device = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        // The loop device has the file's length from when it was set up.
        run("losetup", &["-c".as_ref(), device.as_os_str()]);
        device
    }

    pub fn unmount(self) {}
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let point = self.point.path().as_os_str();
        let mut output = run("umount", &[point]);
        // A process that another test is just starting may hold one of this one's files until it runs its program.
        for _ in 0..20 {
            if output.status.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
            output = run("umount", &[point]);
        }
        // The mount goes even when a test fails with it in use.
        run("umount", &["-l".as_ref(), point]);
        if !std::thread::panicking() {
            panic!("umount: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Copies a file without filling its holes.
pub fn copy_sparse(from: &Path, to: &Path) {
    let output = run(
        "cp",
        &["--sparse=always".as_ref(), from.as_os_str(), to.as_os_str()],
    );
    assert!(
        output.status.success(),
        "cp: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What a mounted entry looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub kind: &'static str,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    pub links: u64,
    pub size: u64,
    pub rdev: u64,
    pub inode: u64,
}

/// Everything below a directory, by path.
pub fn walk(root: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a directory can be read") {
            let path = entry.expect("an entry can be read").path();
            let found = look(&path);
            if found.kind == "directory" {
                waiting.push(path.clone());
            }
            let relative = path.strip_prefix(root).expect("below the root");
            seen.insert(relative.as_os_str().as_bytes().to_vec(), found);
        }
    }
    seen
}

/// One entry.
pub fn look(path: &Path) -> Seen {
    let metadata = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let kind = metadata.file_type();
    let kind = if kind.is_dir() {
        "directory"
    } else if kind.is_symlink() {
        "symlink"
    } else if kind.is_char_device() {
        "char"
    } else if kind.is_block_device() {
        "block"
    } else if kind.is_fifo() {
        "fifo"
    } else if kind.is_socket() {
        "socket"
    } else {
        "file"
    };
    Seen {
        kind,
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        links: metadata.nlink(),
        size: metadata.size(),
        rdev: metadata.rdev(),
        inode: metadata.ino(),
    }
}

/// An attribute's value, without following a link.
pub fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65536];
    match rustix::fs::lgetxattr(path, name, &mut value[..]) {
        Ok(len) => {
            value.truncate(len);
            Some(value)
        }
        Err(rustix::io::Errno::NODATA) => None,
        Err(error) => panic!("{name} of {}: {error}", path.display()),
    }
}
