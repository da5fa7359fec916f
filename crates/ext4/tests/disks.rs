//! Blank disks: mounted and written by the kernel, grown here and by others, checked by e2fsck.

mod host;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;

use banger_ext4::{Error, blank_disk, grow, probe};
use banger_needs::{Need, tests};
use host::{Mounted, check, check_for_resize, resize2fs};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const UUID: [u8; 16] = *b"a disk of a test";

struct Disk {
    _directory: TempDir,
    path: PathBuf,
    file: File,
}

fn disk(size: u64) -> Disk {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("disk.ext4");
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    blank_disk(&file, size, UUID, "work").unwrap();
    Disk {
        _directory: directory,
        path,
        file,
    }
}

impl Disk {
    /// Writes a file of some size in a mounted disk, and unmounts it.
    fn write(&self, name: &str, bytes: u64) {
        let mounted = Mounted::new(&self.path, "rw");
        let mut file = File::create_new(mounted.path().join(name)).unwrap();
        std::io::copy(&mut std::io::Read::take(std::io::repeat(b'w'), bytes), &mut file).unwrap();
        file.sync_all().unwrap();
        fs::create_dir_all(mounted.path().join(format!("{name}.d/a/b"))).unwrap();
        for n in 0..300 {
            fs::write(mounted.path().join(format!("{name}.d/a/b/{n}")), b"small").unwrap();
        }
    }

    fn assert_holds(&self, name: &str, bytes: u64) {
        let mounted = Mounted::new(&self.path, "ro");
        let content = fs::read(mounted.path().join(name)).unwrap();
        assert_eq!(content.len() as u64, bytes);
        assert!(content.iter().all(|&byte| byte == b'w'));
        assert_eq!(
            fs::read_dir(mounted.path().join(format!("{name}.d/a/b")))
                .unwrap()
                .count(),
            300
        );
    }

    fn size_inside(&self) -> u64 {
        let mounted = Mounted::new(&self.path, "ro");
        let seen = rustix::fs::statvfs(mounted.path()).unwrap();
        seen.f_blocks * seen.f_frsize
    }
}

fn disks_of_many_sizes_are_clean_and_take_files() {
    for size in [
        16 * MIB,
        100 * MIB,
        128 * MIB,
        129 * MIB,
        300 * MIB,
        2 * GIB + 3 * MIB,
        2 * GIB + 300 * 4096,
        9 * GIB,
    ] {
        let disk = disk(size);
        check(&disk.path);
        let info = probe(&disk.file).unwrap();
        assert!(info.has_journal && info.clean && !info.needs_recovery);
        assert!(
            info.size <= size && info.size + 4 * MIB > size,
            "{size}: {}",
            info.size
        );
        assert_eq!((info.label.as_slice(), info.uuid), (&b"work"[..], UUID));
        disk.write("file", 5 * MIB);
        check(&disk.path);
        disk.assert_holds("file", 5 * MIB);
    }
}

fn a_disk_takes_hardly_any_space_whatever_its_size() {
    // How long it takes, `make bench` measures.
    for size in [8 * GIB, 64 * GIB, 1024 * GIB] {
        let directory = TempDir::new().unwrap();
        let file = File::create_new(directory.path().join("disk")).unwrap();
        blank_disk(&file, size, UUID, "work").unwrap();
        file.sync_all().unwrap();
        let allocated = file.metadata().unwrap().blocks() * 512;
        assert_eq!(file.metadata().unwrap().len(), size);
        assert!(size > 64 * GIB || allocated < 2 * MIB, "{allocated}");
    }
}

fn a_used_disk_grows_in_steps_and_keeps_its_files() {
    let disk = disk(100 * MIB);
    disk.write("first", 20 * MIB);
    let mut expected = 100 * MIB;
    for size in [
        100 * MIB,
        101 * MIB,
        128 * MIB,
        130 * MIB,
        260 * MIB,
        2 * GIB + MIB,
        8 * GIB,
        20 * GIB + 4096,
    ] {
        grow(&disk.file, size).unwrap();
        check(&disk.path);
        let info = probe(&disk.file).unwrap();
        assert!(
            info.size <= size && info.size + 4 * MIB > size,
            "{size}: {}",
            info.size
        );
        assert!(info.size >= expected);
        expected = info.size;
        assert_eq!(disk.file.metadata().unwrap().len(), size);
    }
    disk.assert_holds("first", 20 * MIB);
    disk.write("second", 300 * MIB);
    check(&disk.path);
    disk.assert_holds("second", 300 * MIB);
    disk.assert_holds("first", 20 * MIB);
    assert!(disk.size_inside() > 19 * GIB);
}

fn growing_an_8_gib_disk_to_64_gib_is_the_same_as_making_one() {
    let disk = disk(8 * GIB);
    disk.write("file", MIB);
    grow(&disk.file, 64 * GIB).unwrap();
    check(&disk.path);
    assert_eq!(probe(&disk.file).unwrap().size, 64 * GIB);
    disk.assert_holds("file", MIB);
}

fn resize2fs_grows_it_too_and_we_after_it() {
    let disk = disk(GIB);
    disk.write("file", MIB);
    disk.file.set_len(3 * GIB).unwrap();
    check_for_resize(&disk.path);
    resize2fs(&disk.path);
    check(&disk.path);
    assert_eq!(probe(&disk.file).unwrap().size, 3 * GIB);
    grow(&disk.file, 11 * GIB).unwrap();
    check(&disk.path);
    disk.assert_holds("file", MIB);
}

fn what_must_not_be_grown_is_refused() {
    let disk = disk(GIB);
    assert!(matches!(grow(&disk.file, GIB - 1), Err(Error::WouldShrink { current, .. }) if current == GIB));
    assert!(matches!(
        blank_disk(&disk.file, GIB, UUID, "x"),
        Err(Error::NotEmpty { .. })
    ));
    // A copy of a mounted disk is what a crash leaves behind.
    let mounted = Mounted::new(&disk.path, "rw");
    fs::write(mounted.path().join("file"), b"x").unwrap();
    rustix::fs::syncfs(File::open(mounted.path()).unwrap()).unwrap();
    let crashed = disk.path.with_extension("crashed");
    host::copy_sparse(&disk.path, &crashed);
    let crashed = File::options().read(true).write(true).open(crashed).unwrap();
    assert!(probe(&crashed).unwrap().needs_recovery);
    assert!(matches!(grow(&crashed, 2 * GIB), Err(Error::Dirty { .. })));
    drop(mounted);

    let image = host::image(|_| {});
    let image = File::options().read(true).write(true).open(&image.path).unwrap();
    assert!(matches!(grow(&image, GIB), Err(Error::Foreign { .. })));
    let nothing = tempfile::tempfile().unwrap();
    assert!(matches!(grow(&nothing, GIB), Err(Error::NotExt4)));
    assert!(matches!(
        blank_disk(&nothing, MIB, UUID, "x"),
        Err(Error::InvalidSize { .. })
    ));
    assert!(matches!(
        blank_disk(&nothing, GIB, UUID, "seventeen letters"),
        Err(Error::InvalidLabel { .. })
    ));
    assert_eq!(nothing.metadata().unwrap().len(), 0);
}

fn the_same_disk_has_the_same_bytes() {
    let (first, second) = (disk(64 * MIB), disk(64 * MIB));
    assert!(fs::read(&first.path).unwrap() == fs::read(&second.path).unwrap());
}

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    banger_needs::run(
        None,
        &[
            (
                &[],
                tests![
                    a_disk_takes_hardly_any_space_whatever_its_size,
                    the_same_disk_has_the_same_bytes,
                ],
            ),
            (
                &mounts,
                tests![
                    disks_of_many_sizes_are_clean_and_take_files,
                    a_used_disk_grows_in_steps_and_keeps_its_files,
                    growing_an_8_gib_disk_to_64_gib_is_the_same_as_making_one,
                    resize2fs_grows_it_too_and_we_after_it,
                    what_must_not_be_grown_is_refused,
                ],
            ),
        ],
    )
}
