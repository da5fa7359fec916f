//! What overlays come to: disks that the kernel's overlayfs has written, committed, exported and flattened, against what
//! the overlay itself showed. Needs root, to mount; and umoci, to unpack what was exported.

#[path = "../host/mod.rs"]
mod host;
mod lives;

use std::fs;
use std::process::ExitCode;

use banger_image::{ExportError, Pull, PullOptions, Pulled, flatten};
use banger_model::{Aspect, Compression, DifferenceKind};
use banger_needs::{Need, tests};
use banger_oci::PullSource;
use host::ext4::{Mounted, check};
use host::{CAPABILITY, assert_same};
use lives::{LIVES, export, go_on, live, name, planted, publish, seen, unpacked};
use tokio_util::sync::CancellationToken;

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
