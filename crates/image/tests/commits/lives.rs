//! Lives of VMs on top of images, and what a tree looks like after them.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use banger_image::{
    Committing, Error, ImageRecord, ImageStore, ImportOptions, ImportSource, LayerKind, flatten,
};
use banger_model::{Compression, ImageName};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::host::ext4::Mounted;
use crate::host::stack::Tree;
use crate::host::{CAPABILITY, acl, shown};

pub(crate) fn name(name: &str) -> ImageName {
    name.parse().unwrap()
}

pub(crate) fn go_on(_: u64, _: Option<u64>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The tree that all begin with.
fn plant(root: &Path) {
    for dir in [
        "kept",
        "emptied",
        "gone/deep",
        "replaced",
        "opaque/below",
        "linked",
        "moved/sub",
    ] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for file in [
        "kept/a",
        "kept/b",
        "emptied/x",
        "emptied/y",
        "gone/deep/f",
        "replaced/by-a-file",
        "opaque/below/f",
        "linked/one",
        "moved/sub/f",
        "attributed",
    ] {
        fs::write(root.join(file), file).unwrap();
    }
    fs::hard_link(root.join("linked/one"), root.join("linked/two")).unwrap();
    symlink("kept", root.join("to-kept")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/os-release"), "PRETTY_NAME=\"A test\"\n").unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.write_all_at(b"data", 5 << 20).unwrap();
    sparse.set_len(300 << 20).unwrap();
    xattr::set(root.join("attributed"), "security.capability", &CAPABILITY).unwrap();
}

/// A store with that tree as an image.
pub(crate) fn planted(dir: &Path, image: &str) -> (ImageStore, ImageRecord) {
    let store = ImageStore::open(&dir.join("store")).unwrap();
    let tree = dir.join("tree");
    fs::create_dir(&tree).unwrap();
    plant(&tree);
    let source = ImportSource::Directory(&tree);
    let record = store.import(&name(image), source, &ImportOptions::default(), &mut go_on);
    (store, record.unwrap())
}

/// What one guest after the other does.
pub(crate) const LIVES: [fn(&Path); 7] = [
    |root| {
        fs::remove_dir_all(root.join("gone")).unwrap();
        fs::remove_file(root.join("emptied/x")).unwrap();
        fs::remove_dir_all(root.join("opaque")).unwrap();
        fs::create_dir(root.join("opaque")).unwrap();
        fs::write(root.join("opaque/new"), "new").unwrap();
    },
    |root| {
        fs::remove_dir_all(root.join("replaced")).unwrap();
        fs::write(root.join("replaced"), "a file now").unwrap();
        fs::remove_file(root.join("to-kept")).unwrap();
        fs::create_dir(root.join("to-kept")).unwrap();
        fs::write(root.join("to-kept/f"), "f").unwrap();
    },
    |root| {
        fs::set_permissions(root.join("kept/a"), fs::Permissions::from_mode(0o4711)).unwrap();
        std::os::unix::fs::lchown(root.join("kept/b"), Some(12), Some(4_000_000_000)).unwrap();
        xattr::set(root.join("kept"), "system.posix_acl_default", &acl()).unwrap();
        xattr::set(root.join("kept/b"), "user.long", &vec![7; 3000]).unwrap();
        mknodat(
            CWD,
            root.join("device"),
            FileType::BlockDevice,
            Mode::from_raw_mode(0o640),
            makedev(259, 70_000),
        )
        .unwrap();
        mknodat(
            CWD,
            root.join("pipe"),
            FileType::Fifo,
            Mode::from_raw_mode(0o622),
            0,
        )
        .unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    },
    |root| {
        // Without redirects a directory of a lower layer does not move: `mv` copies it.
        let moved = fs::rename(root.join("moved"), root.join("to"));
        assert_eq!(
            moved.unwrap_err().raw_os_error(),
            Some(rustix::io::Errno::XDEV.raw_os_error())
        );
        let copied = Command::new("mv")
            .arg(root.join("moved"))
            .arg(root.join("to"))
            .status()
            .unwrap();
        assert!(copied.success());
        fs::hard_link(root.join("to/sub/f"), root.join("to/g")).unwrap();
        fs::create_dir(root.join("gone")).unwrap();
    },
    |root| {
        fs::remove_dir_all(root.join("gone")).unwrap();
        fs::remove_file(root.join("replaced")).unwrap();
        fs::create_dir(root.join("replaced")).unwrap();
        fs::write(root.join("replaced/back"), "a directory again").unwrap();
        let long = "n".repeat(255);
        let mut path = root.to_owned();
        for _ in 0..3 {
            path.push(&long);
            fs::create_dir(&path).unwrap();
        }
        symlink("t".repeat(4000), path.join("far")).unwrap();
    },
    |root| {
        let sparse = fs::OpenOptions::new()
            .write(true)
            .open(root.join("sparse"))
            .unwrap();
        sparse.write_all_at(b"more", 90 << 20).unwrap();
        fs::write(root.join("etc/os-release"), "PRETTY_NAME=\"Another\"\n").unwrap();
    },
    |root| {
        fs::remove_file(root.join("emptied/y")).unwrap();
        fs::remove_file(root.join("linked/one")).unwrap();
    },
];

/// What `live` makes of an image: its disk, and what the overlay of all layers showed in the end.
pub(crate) fn live(dir: &Path, image: &ImageRecord, live: fn(&Path)) -> (PathBuf, Tree) {
    let disk = dir.join("disk");
    let _ = fs::remove_file(&disk);
    let file = File::create_new(&disk).unwrap();
    banger_ext4::blank_disk(&file, 256 << 20, [1; 16], "disk").unwrap();
    let layers: Vec<(Mounted, LayerKind)> = image
        .layers
        .iter()
        .map(|layer| (Mounted::new(&layer.path, "ro"), layer.kind))
        .collect();
    let own = Mounted::new(&disk, "rw");
    for part in ["upper", "work", "root"] {
        fs::create_dir(own.path().join(part)).unwrap();
    }
    let lower: Vec<String> = layers
        .iter()
        .rev()
        .map(|(layer, kind)| match kind {
            LayerKind::Tree => layer.path().display().to_string(),
            LayerKind::Disk => layer.path().join("upper").display().to_string(),
        })
        .collect();
    let own_path = own.path().display();
    // As a guest has it; numbers of inodes in different layers are told apart.
    let options = format!(
        "lowerdir={},upperdir={own_path}/upper,workdir={own_path}/work,redirect_dir=off,metacopy=off,xino=on",
        lower.join(":")
    );
    let root = own.path().join("root");
    let options = std::ffi::CString::new(options).unwrap();
    mount("overlay", &root, "overlay", MountFlags::empty(), Some(&*options)).unwrap();
    live(&root);
    let tree = seen(&root);
    // A process that another test is just starting may hold a file of this one until it runs its program.
    let tries = (0..40).map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        unmount(&root, UnmountFlags::empty())
    });
    tries
        .into_iter()
        .find(Result::is_ok)
        .expect("the overlay is in use")
        .unwrap();
    own.unmount();
    layers.into_iter().for_each(|(layer, _)| layer.unmount());
    (disk, tree)
}

/// An overlay counts the links of lower layers that are links no more.
pub(crate) fn seen(root: &Path) -> Tree {
    let mut tree = shown(root);
    tree.values_mut().for_each(|shown| shown.links = 0);
    tree
}

/// An exported image as umoci unpacks it.
pub(crate) fn unpacked(dir: &Path, archive: &Path) -> Tree {
    let layout = dir.join("layout");
    let _ = fs::remove_dir_all(&layout);
    fs::create_dir(&layout).unwrap();
    let run = |program: &mut Command| {
        let output = program.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&layout));
    let bundle = dir.join("bundle");
    let _ = fs::remove_dir_all(&bundle);
    let image = format!("{}:top", layout.display());
    run(Command::new("umoci")
        .args(["unpack", "--image", &image])
        .arg(&bundle));
    seen(&bundle.join("rootfs"))
}

pub(crate) fn export(
    store: &ImageStore,
    dir: &Path,
    image: &ImageRecord,
    compression: Compression,
) -> PathBuf {
    let path = dir.join("exported.tar");
    store.export(image, &path, compression, true, &mut go_on).unwrap();
    path
}

/// Publishes what was copied, as the daemon does: first flattened, where that has to be.
pub(crate) fn publish(
    store: &ImageStore,
    copied: Committing,
    to: &ImageName,
    force: bool,
    progress: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>,
) -> Result<ImageRecord, Error> {
    let flat = copied
        .layers()
        .map(|layers| flatten(&layers, &copied.flat(), progress));
    store.publish_commit(copied, flat.transpose()?, to, None, force)
}
