//! What overlays come to: disks that the kernel's overlayfs has written, committed, exported and flattened, against what
//! the overlay itself showed. Needs root, to mount; and umoci, to unpack what was exported.

mod host;

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use banger_image::{
    Committing, Error, ExportError, ImageRecord, ImageStore, ImportOptions, ImportSource, LayerKind, Pull,
    PullOptions, Pulled, flatten,
};
use banger_model::{Aspect, Compression, DifferenceKind, ImageName};
use banger_needs::{Need, tests};
use banger_oci::PullSource;
use host::ext4::{Mounted, check};
use host::stack::Tree;
use host::{CAPABILITY, acl, assert_same, shown};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tokio_util::sync::CancellationToken;

fn name(name: &str) -> ImageName {
    name.parse().unwrap()
}

fn go_on(_: u64, _: Option<u64>) -> ControlFlow<()> {
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
fn planted(dir: &Path, image: &str) -> (ImageStore, ImageRecord) {
    let store = ImageStore::open(&dir.join("store")).unwrap();
    let tree = dir.join("tree");
    fs::create_dir(&tree).unwrap();
    plant(&tree);
    let source = ImportSource::Directory(&tree);
    let record = store.import(&name(image), source, &ImportOptions::default(), &mut go_on);
    (store, record.unwrap())
}

/// What one guest after the other does.
const LIVES: [fn(&Path); 7] = [
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
fn live(dir: &Path, image: &ImageRecord, live: fn(&Path)) -> (PathBuf, Tree) {
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
fn seen(root: &Path) -> Tree {
    let mut tree = shown(root);
    tree.values_mut().for_each(|shown| shown.links = 0);
    tree
}

/// An exported image as umoci unpacks it.
fn unpacked(dir: &Path, archive: &Path) -> Tree {
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

fn export(store: &ImageStore, dir: &Path, image: &ImageRecord, compression: Compression) -> PathBuf {
    let path = dir.join("exported.tar");
    store.export(image, &path, compression, true, &mut go_on).unwrap();
    path
}

/// Publishes what was copied, as the daemon does: first flattened, where that has to be.
fn publish(
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

fn lives_on_top_of_each_other_are_exported_and_flattened_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut image) = planted(dir.path(), "top");
    for (index, one) in LIVES.into_iter().enumerate() {
        let (disk, mut expected) = live(dir.path(), &image, one);
        let committing = store
            .commit(&name("top"), &image.id, &disk, true, &mut go_on)
            .unwrap();
        image = publish(&store, committing, &name("top"), true, &mut go_on).unwrap();
        let flat = index == LIVES.len() - 1;
        assert_eq!(image.layers.len(), if flat { 1 } else { index + 2 });
        if flat {
            assert_eq!(image.os.as_deref(), Some("Another"));
            assert_eq!(image.base, None);
            let layer = &image.layers[0].path;
            check(layer);
            let mounted = Mounted::new(layer, "ro");
            assert_same(
                "the overlay and the flattened image",
                &expected,
                &seen(mounted.path()),
            );
            mounted.unmount();
        }
        if index == 2 || flat {
            let archive = export(&store, dir.path(), &image, Compression::Gzip);
            let found = unpacked(dir.path(), &archive);
            // umoci leaves out what only a kernel may set.
            expected
                .values_mut()
                .for_each(|shown| shown.xattrs.retain(|name, _| !name.starts_with(b"trusted.")));
            assert_same("the overlay and the exported image", &expected, &found);
        }
    }
}

fn an_exported_image_is_pulled_back_and_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (store, base) = planted(dir.path(), "base");
    let (disk, expected) = live(dir.path(), &base, LIVES[0]);
    let committing = store
        .commit(&name("top"), &base.id, &disk, false, &mut go_on)
        .unwrap();
    let top = publish(&store, committing, &name("top"), false, &mut go_on).unwrap();
    for compression in [Compression::Zstd, Compression::Gzip, Compression::None] {
        let archive = export(&store, dir.path(), &top, compression);
        let again = dir.path().join("again.tar");
        store
            .export(&top, &again, compression, false, &mut go_on)
            .unwrap();
        assert!(
            fs::read(&archive).unwrap() == fs::read(&again).unwrap(),
            "{compression:?}"
        );
        let refused = store.export(&top, &again, compression, false, &mut go_on);
        assert!(matches!(refused, Err(ExportError::FileExists(_))));
        // What is no file is not replaced, by force neither.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&again, &link).unwrap();
        for no_file in [link.as_path(), dir.path()] {
            let refused = store.export(&top, no_file, compression, true, &mut go_on);
            assert!(matches!(refused, Err(ExportError::NoFile(_))));
        }
        fs::remove_file(&link).unwrap();
        fs::remove_file(&again).unwrap();
        let pull = Pull {
            name: name("back"),
            source: PullSource::OciArchive(archive, None),
            kernel: None,
            force: true,
            options: PullOptions::default(),
        };
        let Pulled::New(back) = store
            .pull(&pull, &|_, _, _| {}, &CancellationToken::new())
            .unwrap()
        else {
            panic!("it was there already");
        };
        assert_eq!(store.diff(&top, &back).unwrap(), []);
        let mounted = Mounted::new(&back.layers[0].path, "ro");
        assert_same(
            "the overlay and what was pulled",
            &expected,
            &seen(mounted.path()),
        );
        mounted.unmount();
    }
}

fn a_difference_is_told_by_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let (store, base) = planted(dir.path(), "base");
    let (disk, _) = live(dir.path(), &base, |root| {
        LIVES[0](root);
        LIVES[2](root);
        fs::write(root.join("emptied/y"), "emptied/z").unwrap();
        // The same again.
        fs::write(root.join("attributed"), "attributed").unwrap();
        xattr::set(root.join("attributed"), "security.capability", &CAPABILITY).unwrap();
        fs::remove_file(root.join("to-kept")).unwrap();
        fs::create_dir(root.join("to-kept")).unwrap();
    });
    let committing = store
        .commit(&name("top"), &base.id, &disk, false, &mut go_on)
        .unwrap();
    let top = publish(&store, committing, &name("top"), false, &mut go_on).unwrap();
    let told: Vec<String> = store
        .diff(&top, &base)
        .unwrap()
        .into_iter()
        .map(|difference| {
            let path = String::from_utf8(difference.path).unwrap();
            match difference.kind {
                DifferenceKind::Added => format!("A {path}"),
                DifferenceKind::Removed => format!("D {path}"),
                DifferenceKind::Changed => {
                    let words = difference.aspects.iter().map(|aspect| match aspect {
                        Aspect::Kind => "kind",
                        Aspect::Content => "content",
                        Aspect::Mode => "mode",
                        Aspect::Owner => "owner",
                        Aspect::Attributes => "attributes",
                    });
                    format!("C {path} {}", words.collect::<Vec<_>>().join(","))
                }
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "A device",
            "D emptied/x",
            "C emptied/y content",
            "D gone",
            "C kept attributes",
            "C kept/a mode",
            "C kept/b owner,attributes",
            "D opaque/below",
            "A opaque/new",
            "A pipe",
            "C to-kept kind,mode",
        ]
        .map(str::to_owned)
    );
}

fn what_is_of_one_machine_is_left_out_of_exports_differences_and_flattened_layers() {
    let dir = tempfile::tempdir().unwrap();
    let (store, base) = planted(dir.path(), "base");
    let (disk, _) = live(dir.path(), &base, |root| {
        for (file, text) in [
            ("etc/machine-id", "b08dfa6083e7567a1921a715000001fb\n"),
            ("etc/hostname", "build\n"),
            (
                "etc/hosts",
                "10.0.0.1 db\n127.0.1.1\tbuild\n172.16.0.2\tbuild\t# banger\n",
            ),
            ("etc/resolv.conf", "nameserver 10.0.0.53\n"),
            ("etc/mine", "mine"),
            ("srv/etc/machine-id", "in a tree of somebody's"),
            ("var/lib/systemd/random-seed", "seed"),
            ("var/lib/dhcp/dhclient.leases", "lease"),
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    });
    let committing = store
        .commit(&name("top"), &base.id, &disk, false, &mut go_on)
        .unwrap();
    let top = publish(&store, committing, &name("top"), false, &mut go_on).unwrap();
    let told = store.diff(&top, &base).unwrap().into_iter();
    let told: Vec<String> = told.map(|one| String::from_utf8(one.path).unwrap()).collect();
    let files = ["etc/hosts", "etc/mine", "etc/resolv.conf", "srv/etc/machine-id"];
    assert!(
        files.iter().all(|file| told.contains(&(*file).to_owned())),
        "{told:?}"
    );
    let left = |path: &str| {
        ["etc/machine-id", "etc/hostname", "var/lib/systemd/random-seed"].contains(&path)
            || path.starts_with("var/lib/dhcp/")
    };
    assert!(!told.iter().any(|path| left(path)), "{told:?}");
    let _ = unpacked(dir.path(), &export(&store, dir.path(), &top, Compression::Gzip));
    let flat = dir.path().join("flat");
    flatten(&top.layers, &flat, &mut go_on).unwrap();
    check(&flat);
    let mounted = Mounted::new(&flat, "ro");
    for root in [dir.path().join("bundle/rootfs"), mounted.path().to_owned()] {
        for file in files {
            assert!(root.join(file).exists(), "{file} in {}", root.display());
        }
        assert_eq!(
            fs::read_to_string(root.join("etc/hosts")).unwrap(),
            "10.0.0.1 db\n"
        );
        for file in [
            "etc/machine-id",
            "etc/hostname",
            "var/lib/systemd/random-seed",
            "var/lib/dhcp/dhclient.leases",
        ] {
            assert!(!root.join(file).exists(), "{file} in {}", root.display());
        }
    }
    mounted.unmount();
}

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    let umoci = [Need::Root, Need::LoopDevices, Need::Program("umoci")];
    banger_needs::run(
        None,
        &[
            (
                &mounts,
                tests![
                    an_exported_image_is_pulled_back_and_is_the_same,
                    a_difference_is_told_by_what_differs,
                ],
            ),
            (
                &umoci,
                tests![
                    lives_on_top_of_each_other_are_exported_and_flattened_exactly,
                    what_is_of_one_machine_is_left_out_of_exports_differences_and_flattened_layers,
                ],
            ),
        ],
    )
}
