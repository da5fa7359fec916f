//! Archives of a hostile guest, unpacked by who does not believe it.

use std::os::unix::fs::symlink;
use std::path::Path;

use banger_archive::pack::{Memory, PackError, Packer, Packing};
use banger_archive::unpack::{
    Destination, DestinationError, LastLink, Links, UnpackError, Unpacked, Unpacking, unpack,
};
use banger_archive::{Entry, EntryKind, Writer};

fn entry(name: &str, kind: EntryKind) -> Entry {
    Entry::plain(name.as_bytes().to_vec(), 0o644, (0, 0), kind)
}

fn link(name: &str, target: &str) -> Entry {
    entry(name, EntryKind::Symlink(target.as_bytes().to_vec()))
}

fn hard(name: &str, target: &str) -> Entry {
    entry(name, EntryKind::HardLink(target.as_bytes().to_vec()))
}

fn dir(name: &str) -> Entry {
    Entry::plain(name.as_bytes().to_vec(), 0o755, (0, 0), EntryKind::Directory)
}

fn file(name: &str) -> Entry {
    entry(name, EntryKind::file(4))
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for entry in entries {
        writer.entry(entry, &mut &b"evil"[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// A user's directory: `dst` is copied to, `secret` is beside it and in it.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("dst/tree")).unwrap();
    std::fs::create_dir(home.path().join("dst/private")).unwrap();
    std::fs::write(home.path().join("secret"), "secret").unwrap();
    std::fs::write(home.path().join("dst/private/key"), "secret").unwrap();
    symlink("/etc", home.path().join("dst/tree/users-own")).unwrap();
    home
}

fn copied(home: &Path, entries: &[Entry], tops: &[&str]) -> Result<Unpacked, UnpackError> {
    let unpacking = Unpacking {
        links: Links::Within,
        tops: tops.iter().map(|top| top.as_bytes().to_vec()).collect(),
        ..Unpacking::default()
    };
    let to = Destination::directory(&home.join("dst")).unwrap();
    unpack(&tar(entries)[..], to, &unpacking, &mut |_| {})
}

/// Nothing outside has changed, and no link in what was copied leads there but the user's own.
fn unharmed(home: &Path, case: &str) {
    assert_eq!(std::fs::read(home.join("secret")).unwrap(), b"secret", "{case}");
    assert_eq!(
        std::fs::read(home.join("dst/private/key")).unwrap(),
        b"secret",
        "{case}"
    );
    let dst = home.join("dst").canonicalize().unwrap();
    let mut dirs = vec![dst.join("tree")];
    while let Some(dir) = dirs.pop() {
        for found in std::fs::read_dir(&dir).unwrap() {
            let path = found.unwrap().path();
            if path.ends_with("users-own") {
                continue;
            }
            if let Ok(real) = path.canonicalize() {
                assert!(
                    real.starts_with(dst.join("tree")),
                    "{case}: {} leads to {}",
                    path.display(),
                    real.display()
                );
            }
            if path.is_dir() && !path.is_symlink() {
                dirs.push(path);
            }
        }
    }
}

#[test]
fn links_that_lead_out_are_left_out_and_counted() {
    let cases: &[(&str, &[Entry], u64)] = &[
        ("absolute", &[link("tree/l", "/etc")], 1),
        (
            "absolute-into-the-tree",
            &[link("tree/l", "/proc/self/cwd/tree")],
            1,
        ),
        ("beside-the-tree", &[link("tree/l", "../private/key")], 1),
        ("the-destination", &[link("tree/l", "..")], 1),
        ("climbing", &[link("tree/a/l", "../../../secret")], 1),
        (
            "climbing-far",
            &[link("tree/l", "../../../../../../../../etc")],
            1,
        ),
        (
            "climbing-after-a-name",
            &[dir("tree/d"), link("tree/l", "d/../../private")],
            1,
        ),
        ("with-empty-parts", &[link("tree/l", ".//..///private")], 1),
        (
            "through-a-link",
            &[
                dir("tree/a/b"),
                link("tree/up", "a/b"),
                link("tree/l", "up/../../../private"),
            ],
            1,
        ),
        ("through-the-users-link", &[link("tree/l", "users-own/passwd")], 1),
        (
            "two-that-are-harmless-alone",
            &[
                dir("tree/a"),
                link("tree/a/up", ".."),
                link("tree/l", "a/up/../private"),
            ],
            1,
        ),
        (
            "a-chain-of-links",
            &[
                link("tree/a", "b"),
                link("tree/b", "users-own"),
                link("tree/c", "users-own/x"),
                link("tree/d", "a"),
            ],
            2,
        ),
        (
            "a-hard-link-to-a-link-from-higher-up",
            &[
                dir("tree/a/b"),
                link("tree/a/b/l", "../../x"),
                hard("tree/l", "tree/a/b/l"),
            ],
            1,
        ),
        (
            "a-hard-link-to-the-users-link",
            &[hard("tree/l", "tree/users-own")],
            1,
        ),
        ("case", &[dir("tree/Dir"), link("tree/l", "DIR/../../private")], 1),
        ("the-tree-by-another-case", &[link("tree/l", "../TREE/x")], 1),
        ("of-itself", &[link("tree", "private")], 1),
        (
            "of-many",
            &[
                link("tree/1", "/"),
                link("tree/2", "/"),
                link("tree/3", "/"),
                link("tree/4", "/"),
            ],
            4,
        ),
    ];
    for (name, entries, left) in cases {
        let home = home();
        if *name == "of-itself" {
            std::fs::remove_dir_all(home.path().join("dst/tree")).unwrap();
        }
        let done = copied(home.path(), entries, &["tree"]).unwrap();
        let note = done.notes.join("\n");
        assert!(
            note.starts_with(&left.to_string()) && note.contains("--links=keep"),
            "{name}: {note:?}"
        );
        if *name != "of-itself" {
            unharmed(home.path(), name);
        }
        assert!(!home.path().join("dst/tree/l").is_symlink(), "{name}");
        banger_cases::refused("host-files", &format!("copy.link.{name}"));
    }
}

#[test]
fn links_within_the_tree_are_made() {
    let home = home();
    let entries = [
        dir("tree/bin"),
        link("tree/bin/x", "../lib/x.js"),
        link("tree/lib", "lib64"),
        dir("tree/lib64"),
        file("tree/lib64/x.js"),
        link("tree/dangling", "none/at/all"),
        link("tree/itself", "../tree/bin"),
        link("tree/dot", "./"),
        link("tree/bin/up", ".."),
        hard("tree/bin/hard", "tree/lib64/x.js"),
        hard("tree/lib64/up", "tree/bin/up"),
        link("other/to-tree", "../tree/bin"),
    ];
    let done = copied(home.path(), &entries, &["tree", "other"]).unwrap();
    assert!(done.notes.is_empty(), "{:?}", done.notes);
    assert_eq!(
        std::fs::read(home.path().join("dst/tree/bin/x")).unwrap(),
        b"evil"
    );
    assert_eq!(
        std::fs::read(home.path().join("dst/tree/bin/hard")).unwrap(),
        b"evil"
    );
    unharmed(home.path(), "within");
}

#[test]
fn a_hard_link_leads_to_nothing_that_was_there_before() {
    for (name, tops) in [("named", &["tree", "private"][..]), ("all-of-a-directory", &[])] {
        let home = home();
        let done = copied(home.path(), &[hard("tree/l", "private/key")], tops).unwrap();
        assert!(done.notes[0].contains("--links=keep"), "{:?}", done.notes);
        assert!(!home.path().join("dst/tree/l").exists());
        banger_cases::refused("host-files", &format!("copy.hard-link.{name}"));
    }
    let home = home();
    assert!(copied(home.path(), &[hard("tree/l", "private/key")], &["tree"]).is_err());
    assert!(copied(home.path(), &[hard("tree/l", "../secret")], &[]).is_err());
    banger_cases::refused("host-files", "copy.hard-link.unasked");
}

#[test]
fn a_second_copy_goes_through_no_link_of_the_first() {
    // Made as if `--links=keep` had been given, or by an earlier version.
    let tries: &[(&str, &[Entry])] = &[
        ("file", &[file("tree/out/secret")]),
        ("directory", &[dir("tree/out")]),
        ("link", &[link("tree/out/l", "x")]),
        ("hard-link-below", &[hard("tree/out/secret", "tree/f")]),
        ("hard-link-to", &[hard("tree/f", "tree/out/secret")]),
        ("other-case", &[file("tree/OUT/../out/secret")]),
    ];
    for (name, entries) in tries {
        let home = home();
        std::fs::write(home.path().join("dst/tree/f"), "").unwrap();
        symlink("../..", home.path().join("dst/tree/out")).unwrap();
        let done = copied(home.path(), entries, &["tree"]);
        assert!(done.is_err(), "{name}: {done:?}");
        assert_eq!(
            std::fs::read(home.path().join("secret")).unwrap(),
            b"secret",
            "{name}"
        );
        banger_cases::refused("host-files", &format!("copy.second.{name}"));
    }
}

#[test]
fn a_destination_is_no_link_unless_a_slash_says_so() {
    let home = home();
    let at = |path: &str| home.path().join(path);
    symlink(at("dst/private"), at("dst/to-dir")).unwrap();
    symlink(at("secret"), at("dst/to-file")).unwrap();
    symlink(at("none"), at("dst/to-none")).unwrap();
    let find = |path: &str, names: &[Vec<u8>], last| {
        let mut unpacking = Unpacking::default();
        Destination::find(&at(path), names, last, &mut unpacking)
    };
    let names = [vec![b"x".to_vec()], vec![]];
    for link in ["to-dir", "to-file", "to-none"] {
        for names in &names {
            let found = find(&format!("dst/{link}"), names, LastLink::Refused);
            assert!(matches!(found, Err(DestinationError::Link(_))), "{link}");
        }
        banger_cases::refused("host-files", &format!("copy.destination.{link}"));
    }
    for names in &names {
        for path in [
            "dst/to-dir/",
            "dst/to-dir/.",
            "dst/to-dir//",
            "dst/tree",
            "dst/tree/",
            "dst",
        ] {
            assert!(find(path, names, LastLink::Refused).is_ok(), "{path}");
        }
        assert!(find("dst/to-dir", names, LastLink::Followed).is_ok());
        // On the way to it, links are the user's.
        std::fs::create_dir_all(at("dst/private/sub")).unwrap();
        assert!(find("dst/to-dir/sub", names, LastLink::Refused).is_ok());
    }
    assert!(find("dst/to-file", &names[0], LastLink::Followed).is_ok());
}

#[test]
fn names_that_are_no_text_are_copied() {
    let from = tempfile::tempdir().unwrap();
    let names: [&[u8]; 4] = [b"new\nline", b"\xff\xfe", b"\x1b[2J", b"back\\slash"];
    for name in names {
        use std::os::unix::ffi::OsStrExt;
        std::fs::write(from.path().join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let mut packer = Packer::new(Memory::default(), Packing::default());
    packer.tree(from.path(), b"tree").unwrap();
    let (memory, _) = packer.finish().unwrap();
    let home = home();
    let unpacking = Unpacking {
        links: Links::Within,
        reserve: true,
        ..Unpacking::default()
    };
    let to = Destination::directory(&home.path().join("dst")).unwrap();
    let done = unpack(&memory.bytes[..], to, &unpacking, &mut |_| {}).unwrap();
    assert_eq!(done.entries, 5);
    for name in names {
        use std::os::unix::ffi::OsStrExt;
        let copy = home
            .path()
            .join("dst/tree")
            .join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(std::fs::read(copy).unwrap(), name);
    }
}

fn packed(path: &Path, name: &[u8]) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
    let mut packer = Packer::new(Memory::default(), Packing::default());
    packer.tree(path, name).unwrap();
    let (memory, packed) = packer.finish().unwrap();
    let mut files = Vec::new();
    banger_archive::read(&memory.bytes[..], &mut |entry, content| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(content, &mut bytes).unwrap();
        files.push((String::from_utf8_lossy(&entry.name).into_owned(), bytes));
        Ok::<_, banger_archive::Error>(())
    })
    .unwrap();
    (files, packed.notes)
}

#[test]
fn files_whose_size_is_a_lie_are_read_to_their_end() {
    for path in [
        "/proc/version",
        "/proc/self/status",
        "/proc/sys/kernel/ostype",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        let Ok(whole) = std::fs::read(path) else { continue };
        let (files, _) = packed(Path::new(path), b"x");
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].1.is_empty(), whole.is_empty(), "{path}");
        if !path.contains("self") {
            assert_eq!(files[0].1, whole, "{path}");
        }
    }
    let (files, _) = packed(Path::new("/proc/version"), b"v");
    assert!(files[0].1.starts_with(b"Linux version"));
}

#[test]
fn what_the_kernel_does_not_let_be_read_is_left_out_of_a_tree() {
    let (files, notes) = packed(Path::new("/proc/self/"), b"self");
    assert!(
        files
            .iter()
            .any(|(name, bytes)| name == "self/status" && !bytes.is_empty())
    );
    assert!(
        files
            .iter()
            .any(|(name, bytes)| name == "self/maps" && !bytes.is_empty())
    );
    // Its memory, and what is for writing.
    assert!(
        notes
            .iter()
            .any(|note| note.contains("/mem was left out") || note.contains("clear_refs")),
        "{notes:?}"
    );
    let mut packer = Packer::new(Memory::default(), Packing::default());
    let told = packer.tree(Path::new("/proc/self/mem"), b"mem");
    assert!(matches!(told, Err(PackError::File { .. })), "{told:?}");
}

#[test]
fn nothing_waits_for_a_pipe_or_opens_a_device() {
    let tree = tempfile::tempdir().unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, tree.path().join("pipe"), mode).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
    symlink("/etc/passwd", tree.path().join("link")).unwrap();
    let (files, notes) = packed(tree.path(), b"t");
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(notes.len(), 2, "{notes:?}");
    // What a link leads to does not go.
    assert!(files.iter().all(|(_, bytes)| bytes.is_empty()));
    banger_cases::refused("host-files", "copy.in.pipe");
    banger_cases::refused("host-files", "copy.in.socket");
    banger_cases::refused("host-files", "copy.in.link");
}
