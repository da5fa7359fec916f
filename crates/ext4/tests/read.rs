//! What the reader says of file systems, against what the kernel and e2fsprogs say of them.

mod host;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Command, ExitCode};

use banger_ext4::{Error, ImageReader, Kind, Node};
use banger_needs::{Need, tests};
use host::{Mounted, meta, unchecked_image};
use proptest::prelude::*;

/// A path, its inode, and its content or target.
type All = BTreeMap<Vec<u8>, (Node, Vec<u8>)>;

/// All that a sound file system has.
fn read(path: &Path) -> Result<All, Error> {
    walk(path, false)
}

/// All that one has that may be damaged, as far as it goes: there, a directory may have two names, even its own below it.
fn walk(path: &Path, damaged: bool) -> Result<All, Error> {
    let reader = ImageReader::open(File::open(path).unwrap())?;
    let mut all = All::new();
    let mut ahead = vec![(Vec::new(), reader.root()?)];
    let mut directories = BTreeSet::new();
    while let Some((path, node)) = ahead.pop() {
        let mut content = Vec::new();
        match node.kind {
            Kind::Directory => {
                let is_new = directories.insert(node.number);
                assert!(is_new || damaged, "directory {} has two names", node.number);
                for name in reader.entries(&node)? {
                    let child = reader.node(name.inode)?;
                    let path = [&path[..], b"/", &name.name].concat();
                    if path.len() < 4096 && all.len() < 10_000 {
                        ahead.push((path, child));
                    }
                }
            }
            Kind::File => {
                let segments = reader.segments(&node)?;
                let mut data = reader.content(&node)?;
                for segment in segments {
                    // A damaged file system may say that there is more than there is.
                    if segment.offset + segment.len > 1 << 24 {
                        break;
                    }
                    content.resize(segment.offset as usize, 0);
                    let mut part = vec![0; segment.len as usize];
                    if data.read_exact(&mut part).is_err() {
                        break;
                    }
                    content.extend(part);
                }
                if node.size < 1 << 24 {
                    content.resize(node.size as usize, 0);
                }
            }
            Kind::Symlink => content = reader.link_target(&node)?,
            _ => {}
        }
        all.insert(path, (node, content));
    }
    Ok(all)
}

/// A tree with what has different forms on disk: long and short links, many names, holes, large attributes.
fn plant(root: &Path) {
    fs::create_dir_all(root.join("many")).unwrap();
    for number in 0..900 {
        let name = format!("many/a-name-that-takes-some-room-{number:05}");
        fs::write(root.join(name), number.to_string()).unwrap();
    }
    let fragmented = File::create(root.join("fragmented")).unwrap();
    for block in 0..800_u64 {
        fragmented
            .write_all_at(&(block + 1).to_le_bytes(), block * 8192)
            .unwrap();
    }
    fs::write(root.join("empty"), "").unwrap();
    fs::hard_link(root.join("fragmented"), root.join("linked")).unwrap();
    symlink("short", root.join("short-link")).unwrap();
    symlink("x".repeat(59), root.join("link-of-59")).unwrap();
    symlink("y".repeat(60), root.join("link-of-60")).unwrap();
    symlink("z".repeat(900), root.join("long-link")).unwrap();
    fs::write(root.join("attributed"), "content").unwrap();
    let attributed = root.join("attributed");
    for (name, value) in [("user.small", vec![1; 10]), ("user.large", vec![2; 900])] {
        rustix::fs::setxattr(&attributed, name, &value, rustix::fs::XattrFlags::empty()).unwrap();
    }
}

fn mke2fs(image: &Path, root: &Path, options: &[&str], size: &str) {
    let made = Command::new("/usr/sbin/mke2fs")
        .args(["-q", "-F", "-d"])
        .arg(root)
        .args(options)
        .arg(image)
        .arg(size)
        .output()
        .expect("mke2fs is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn file_systems_of_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    plant(&root);
    for (index, options) in [
        &["-t", "ext4", "-b", "4096"][..],
        &["-t", "ext4", "-b", "1024"],
        &[
            "-t",
            "ext4",
            "-b",
            "1024",
            "-I",
            "128",
            "-O",
            "^metadata_csum,^64bit",
        ],
        &["-t", "ext4", "-b", "2048", "-O", "meta_bg,^resize_inode"],
        &["-t", "ext4", "-O", "metadata_csum_seed,large_dir,sparse_super2"],
    ]
    .into_iter()
    .enumerate()
    {
        // The large attribute needs a block of its own, which `-I 128` makes of the small one, too.
        let image = directory.path().join(format!("{index}.ext4"));
        mke2fs(&image, &root, options, "200M");
        let found = read(&image).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        let expected = host::walk(&root);
        let names: BTreeSet<Vec<u8>> = found
            .keys()
            .filter(|path| path.len() > 1)
            .map(|path| path[1..].to_vec())
            .collect();
        let mut wanted: BTreeSet<Vec<u8>> = expected.keys().cloned().collect();
        wanted.insert(b"lost+found".to_vec());
        assert_eq!(names, wanted, "{options:?}");
        for (path, seen) in &expected {
            let (node, content) = &found[&[b"/", &path[..]].concat()];
            assert_eq!(
                (u32::from(node.meta.mode), node.meta.mtime.secs),
                (seen.mode, seen.mtime.0)
            );
            let place = root.join(std::ffi::OsStr::from_bytes(path));
            match node.kind {
                Kind::File => assert!(
                    fs::read(&place).unwrap() == *content,
                    "{place:?} with {options:?}"
                ),
                Kind::Symlink => {
                    assert_eq!(
                        fs::read_link(&place).unwrap().as_os_str().as_bytes(),
                        &content[..]
                    );
                }
                _ => {}
            }
        }
        let (attributed, _) = &found[&b"/attributed"[..]];
        let mut attributes: Vec<_> = attributed
            .meta
            .xattrs
            .iter()
            .map(|xattr| (&xattr.name[..], xattr.value.len()))
            .collect();
        attributes.sort();
        assert_eq!(attributes, [(&b"user.large"[..], 900), (b"user.small", 10)]);
        assert_eq!(
            found[&b"/fragmented"[..]].0.number,
            found[&b"/linked"[..]].0.number
        );
        let reader = ImageReader::open(File::open(&image).unwrap()).unwrap();
        let segments = reader.segments(&found[&b"/fragmented"[..]].0).unwrap();
        assert!(segments.len() == 800, "{}", segments.len());
    }
}

fn access_control_lists_and_devices_come_back_as_they_went_in() {
    let acl = {
        let mut value = vec![2, 0, 0, 0];
        for (tag, permissions, id) in [
            (1_u16, 6_u16, u32::MAX),
            (2, 4, 1000),
            (4, 4, u32::MAX),
            (16, 4, u32::MAX),
            (32, 0, u32::MAX),
        ] {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        value
    };
    let image = unchecked_image(|writer| {
        let mut with = meta(0o640);
        with.xattrs.push(banger_ext4::Xattr {
            name: b"system.posix_acl_access".to_vec(),
            value: acl.clone(),
        });
        writer.file(b"listed", with, 2, &mut &b"ab"[..]).unwrap();
        writer
            .device(b"dev/x", banger_ext4::DeviceKind::Block, 259, 70_000, meta(0o600))
            .unwrap();
        writer.fifo(b"pipe", meta(0o622)).unwrap();
    });
    let found = read(&image.path).unwrap();
    assert_eq!(found[&b"/listed"[..]].0.meta.xattrs[0].value, acl);
    let device = &found[&b"/dev/x"[..]].0;
    assert_eq!(
        (device.kind, device.device),
        (Kind::Device(banger_ext4::DeviceKind::Block), (259, 70_000))
    );
    assert_eq!(found[&b"/pipe"[..]].0.kind, Kind::Fifo);
    assert_eq!(found[&b"/pipe"[..]].0.meta.mtime, meta(0).mtime);
}

fn a_disk_that_the_kernel_wrote_is_read_and_one_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let file = File::create_new(&path).unwrap();
    banger_ext4::blank_disk(&file, 3 << 30, [3; 16], "disk").unwrap();
    let mounted = Mounted::new(&path, "rw");
    plant(&mounted.path().join("upper"));
    let reserved = File::create(mounted.path().join("upper/reserved")).unwrap();
    rustix::fs::fallocate(&reserved, rustix::fs::FallocateFlags::empty(), 0, 1 << 20).unwrap();
    reserved.write_all_at(b"written", 65_536).unwrap();
    drop(reserved);
    let refused = ImageReader::open(File::open(&path).unwrap());
    assert!(matches!(refused, Err(Error::Dirty { .. })), "{refused:?}");
    let source: BTreeMap<Vec<u8>, Vec<u8>> = host::walk(&mounted.path().join("upper"))
        .into_keys()
        .map(|name| {
            let content = fs::read(
                mounted
                    .path()
                    .join("upper")
                    .join(std::ffi::OsStr::from_bytes(&name)),
            );
            (name, content.unwrap_or_default())
        })
        .collect();
    mounted.unmount();
    let found = read(&path).unwrap();
    for (name, content) in source {
        let (node, read) = &found[&[b"/upper/", &name[..]].concat()];
        assert!(
            node.kind != Kind::File || *read == content,
            "{}",
            name.escape_ascii()
        );
    }
    let reader = ImageReader::open(File::open(&path).unwrap()).unwrap();
    let segments = reader.segments(&found[&b"/upper/reserved"[..]].0).unwrap();
    // What was reserved and not written is a hole.
    assert!(
        segments.iter().all(|segment| segment.len <= 65_536),
        "{segments:?}"
    );
}

fn what_cannot_be_read_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "x".repeat(100)).unwrap();
    for options in [
        &["-t", "ext4", "-O", "inline_data"][..],
        &["-t", "ext4", "-O", "encrypt"],
        &["-t", "ext2"],
    ] {
        let image = directory.path().join("image");
        let _ = fs::remove_file(&image);
        mke2fs(&image, &root, options, "16M");
        let refused = read(&image).map(|_| ());
        assert!(
            matches!(refused, Err(Error::Unreadable { .. })),
            "{options:?}: {refused:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Without checksums every damage gets through to the code that reads it.
    fn damage_is_an_error_and_never_worse(changes in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..40)) {
        static IMAGE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let pristine = IMAGE.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let (root, image) = (directory.path().join("root"), directory.path().join("image"));
            plant(&root);
            mke2fs(&image, &root, &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^has_journal", "-N", "1200"], "4M");
            fs::read(&image).unwrap()
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        let mut damaged = pristine.clone();
        for (place, byte) in changes {
            // Metadata stands in front.
            let place = place as usize % (1 << 19);
            damaged[place] = byte;
        }
        fs::write(&path, damaged).unwrap();
        let _ = walk(&path, true);
    }
}

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    banger_needs::run(
        None,
        &[
            (
                &[],
                tests![
                    file_systems_of_others_are_read,
                    access_control_lists_and_devices_come_back_as_they_went_in,
                    what_cannot_be_read_is_said,
                    damage_is_an_error_and_never_worse,
                ],
            ),
            (
                &mounts,
                tests![a_disk_that_the_kernel_wrote_is_read_and_one_in_use_is_refused,],
            ),
        ],
    )
}
