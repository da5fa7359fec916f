//! Layouts in directories and archives.

use std::io::Write;

use super::*;

/// An archive with one file, and links in this order: name, target, and whether it is a hard one.
fn saved(file: &str, links: &[(&str, &str, bool)]) -> (tempfile::TempDir, Archive) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("saved.tar");
    let mut tar = tar::Builder::new(File::create(&path).unwrap());
    for &(name, target, is_hard) in links {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(if is_hard {
            tar::EntryType::Link
        } else {
            tar::EntryType::Symlink
        });
        // As they are: the crate would refuse what leads out.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        tar.append(&header, io::empty()).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    tar.append_data(&mut header, file, &b"hello"[..]).unwrap();
    tar.into_inner().unwrap();
    let archive = Archive::open(&path).unwrap();
    (dir, archive)
}

#[test]
fn links_in_saved_images_lead_to_their_layers_in_any_order() {
    let soft = |name, target| (name, target, false);
    let hard = |name, target| (name, target, true);
    for (links, asked) in [
        (vec![soft("two/layer.tar", "../one/layer.tar")], "two/layer.tar"),
        (
            vec![soft("two/layer.tar", "../one/layer.tar")],
            "./two//layer.tar",
        ),
        (
            vec![soft("./c", "b"), soft("b", "./a"), soft("a", "one/layer.tar")],
            "c",
        ),
        (
            vec![soft("a", "b"), soft("c", "/one/layer.tar"), soft("b", "c")],
            "a",
        ),
        (
            vec![hard("deep/a", "./deep/b"), hard("deep/b", "one/layer.tar")],
            "deep/a",
        ),
        (vec![soft("two", "one")], "two/layer.tar"),
        (
            vec![soft("three", "two"), soft("two", "./one/")],
            "three/layer.tar",
        ),
        (vec![soft("x/y", "../../../../one/layer.tar")], "x/y"),
        (vec![], "./one/layer.tar"),
        (vec![], "/one/layer.tar"),
    ] {
        let (_dir, archive) = saved("./one/layer.tar", &links);
        let mut content = String::new();
        let opened = archive.open(asked);
        opened
            .unwrap_or_else(|_| panic!("{links:?} {asked}"))
            .read_to_string(&mut content)
            .unwrap();
        assert!(
            content == "hello" && archive.has(asked) && archive.size(asked) == 5,
            "{links:?}"
        );
    }
    let (_dir, archive) = saved(
        "one",
        &[soft("a", "b"), soft("b", "a"), soft("c", "c"), soft("d", "d/x")],
    );
    assert!(
        ["a", "b", "c", "d", "e"]
            .iter()
            .all(|name| archive.open(name).is_err())
    );
    banger_cases::refused("budget", "archive.link-circle");
}

#[test]
fn what_belongs_to_a_header_has_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("saved.tar");
    for kind in [b'x', b'L', b'K'] {
        // The file has no blocks, and the header says that a name of a GiB follows.
        let file = File::create(&path).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(1 << 30);
        header.set_cksum();
        (&file).write_all(header.as_bytes()).unwrap();
        file.set_len(2 << 30).unwrap();
        let refused = Archive::open(&path).err().expect("it is refused");
        assert!(
            matches!(refused, Error::Exceeded(Exceeded::Headers(_))),
            "{refused:?}"
        );
        banger_cases::refused("budget", &format!("archive.long-{}", char::from(kind)));
    }
}
