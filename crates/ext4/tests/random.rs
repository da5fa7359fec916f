//! Random sequences of calls against a simple model of what they should come to.

mod host;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use banger_ext4::{ImageReader, ImageWriter, Kind, Meta, Name, Segment, Timestamp, Xattr};
use banger_needs::{Need, tests};
use host::{Mounted, image, walk, xattr};
use proptest::collection::vec;
use proptest::prelude::*;

/// One call.
#[derive(Debug, Clone)]
enum Call {
    Directory(Vec<u8>, Meta),
    File(Vec<u8>, Meta, Vec<u8>),
    Symlink(Vec<u8>, Vec<u8>, Meta),
    Link(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

/// What a path should be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory(Meta),
    File(Meta, Vec<u8>),
    Symlink(Vec<u8>, Meta),
}

type Model = BTreeMap<Vec<u8>, Node>;

fn below<'a>(model: &'a Model, path: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
    let prefix = [path, b"/"].concat();
    model
        .keys()
        .filter(move |key| *key == path || key.starts_with(&prefix))
        .cloned()
}

fn erase(model: &mut Model, path: &[u8]) -> bool {
    let gone: Vec<Vec<u8>> = below(model, path).collect();
    gone.iter().for_each(|key| {
        model.remove(key);
    });
    !gone.is_empty()
}

/// Every prefix of a path that ends before a slash.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter()
        .enumerate()
        .filter(|&(_, &byte)| byte == b'/')
        .map(|(at, _)| &path[..at])
}

fn put(model: &mut Model, path: &[u8], node: Node) -> bool {
    let blocked = |parent: &[u8]| {
        model
            .get(parent)
            .is_some_and(|node| !matches!(node, Node::Directory(_)))
    };
    if ancestors(path).any(blocked) {
        return false;
    }
    for parent in ancestors(path) {
        let plain = Node::Directory(Meta::new(0o755, Timestamp::default()));
        model.entry(parent.to_vec()).or_insert(plain);
    }
    erase(model, path);
    model.insert(path.to_vec(), node);
    true
}

fn apply(call: &Call, writer: &mut ImageWriter, model: &mut Model) {
    let (done, expected) = match call.clone() {
        Call::Directory(path, meta) => {
            let done = writer.directory(&path, meta.clone()).is_ok();
            let node = Node::Directory(meta);
            match model.get_mut(&path) {
                Some(known @ Node::Directory(_)) => {
                    *known = node;
                    (done, true)
                }
                _ => (done, put(model, &path, node)),
            }
        }
        Call::File(path, meta, content) => (
            writer
                .file(&path, meta.clone(), content.len() as u64, &mut &content[..])
                .is_ok(),
            put(model, &path, Node::File(meta, content)),
        ),
        Call::Symlink(path, target, meta) => (
            writer.symlink(&path, &target, meta.clone()).is_ok(),
            put(model, &path, Node::Symlink(target, meta)),
        ),
        Call::Link(path, existing) => {
            let done = writer.hard_link(&path, &existing).is_ok();
            match model.get(&existing).cloned() {
                None | Some(Node::Directory(_)) => (done, false),
                Some(_) if path == existing => (done, true),
                Some(node) => (done, put(model, &path, node)),
            }
        }
        Call::Remove(path) => (writer.remove(&path).unwrap(), erase(model, &path)),
    };
    assert_eq!(done, expected, "{call:?}");
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::sample::select(vec![&b"a"[..], b"b", b"c", b"\xff\xfe", b"d e"]).prop_map(<[u8]>::to_vec),
        1 => vec(1u8..=255, 1..=255).prop_filter("a plain name", |name| {
            !name.contains(&b'/') && !matches!(name.as_slice(), b"." | b".." | b"lost+found")
        }),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(name(), 1..=4).prop_map(|names| names.join(&b'/'))
}

fn a_meta() -> impl Strategy<Value = Meta> {
    let xattr = ("[a-z]{1,20}", vec(any::<u8>(), 0..200)).prop_map(|(name, value)| Xattr {
        name: [b"security.", name.as_bytes()].concat(),
        value,
    });
    let time = (-2_000_000_000i64..10_000_000_000, 0..1_000_000_000u32);
    (0..0o10000u16, any::<u32>(), any::<u32>(), time, vec(xattr, 0..4)).prop_map(
        |(mode, uid, gid, (secs, nanos), mut xattrs)| {
            xattrs.sort_by(|one, other| one.name.cmp(&other.name));
            xattrs.dedup_by(|one, other| one.name == other.name);
            Meta {
                mode,
                uid,
                gid,
                mtime: Timestamp { secs, nanos },
                xattrs,
            }
        },
    )
}

/// Runs of equal bytes, so that some blocks are zeros.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let run = (proptest::sample::select(&[0u8, 0, 1, 255][..]), 0..20_000usize);
    vec(run, 0..6).prop_map(|runs| {
        runs.into_iter()
            .flat_map(|(byte, len)| std::iter::repeat_n(byte, len))
            .collect()
    })
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => (path(), a_meta()).prop_map(|(path, meta)| Call::Directory(path, meta)),
        5 => (path(), a_meta(), content()).prop_map(|(path, meta, content)| Call::File(path, meta, content)),
        2 => (path(), vec(1u8..=255, 1..200), a_meta())
            .prop_map(|(path, target, meta)| Call::Symlink(path, target, meta)),
        2 => (path(), path()).prop_map(|(path, existing)| Call::Link(path, existing)),
        1 => path().prop_map(Call::Remove),
    ]
}

/// What the crate's own reader finds.
fn read_back(image: &std::path::Path) -> Model {
    let reader = ImageReader::open(fs::File::open(image).unwrap()).unwrap();
    let mut model = Model::new();
    let mut ahead = vec![(Vec::new(), reader.root().unwrap())];
    while let Some((path, directory)) = ahead.pop() {
        for Name { name, inode } in reader.entries(&directory).unwrap() {
            let path = if path.is_empty() {
                name
            } else {
                [&path[..], b"/", &name].concat()
            };
            if path == b"lost+found" {
                continue;
            }
            let mut node = reader.node(inode).unwrap();
            node.meta.xattrs.sort_by(|one, other| one.name.cmp(&other.name));
            let meta = node.meta.clone();
            let found = match node.kind {
                Kind::Directory => {
                    ahead.push((path.clone(), node));
                    Node::Directory(meta)
                }
                Kind::File => Node::File(meta, content_of(&reader, &node)),
                Kind::Symlink => Node::Symlink(reader.link_target(&node).unwrap(), meta),
                other => panic!("nobody made {other:?}"),
            };
            model.insert(path, found);
        }
    }
    model
}

fn content_of(reader: &ImageReader, node: &banger_ext4::Node) -> Vec<u8> {
    let mut content = vec![0; node.size as usize];
    let mut data = reader.content(node).unwrap();
    for Segment { offset, len } in reader.segments(node).unwrap() {
        data.read_exact(&mut content[offset as usize..(offset + len) as usize])
            .unwrap();
    }
    content
}

fn assert_meta(path: &std::path::Path, seen: &host::Seen, meta: &Meta, mode: u16) {
    assert_eq!(seen.mode, u32::from(mode), "mode of {}", path.display());
    assert_eq!(seen.owner, (meta.uid, meta.gid), "owner of {}", path.display());
    assert_eq!(
        seen.mtime,
        (meta.mtime.secs, i64::from(meta.mtime.nanos)),
        "time of {}",
        path.display()
    );
    for Xattr { name, value } in &meta.xattrs {
        let name = std::str::from_utf8(name).unwrap();
        assert_eq!(
            xattr(path, name).as_ref(),
            Some(value),
            "{name} of {}",
            path.display()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    fn images_are_clean_and_hold_what_the_calls_come_to(calls in vec(call(), 1..60)) {
        let mut model = Model::new();
        let image = image(|writer| calls.iter().for_each(|call| apply(call, writer, &mut model)));
        prop_assert_eq!(read_back(&image.path), model.clone());
        let mounted = Mounted::new(&image.path, "ro");
        let mut seen = walk(mounted.path());
        seen.remove(&b"lost+found"[..]);
        prop_assert_eq!(seen.keys().collect::<Vec<_>>(), model.keys().collect::<Vec<_>>());
        for (path, node) in &model {
            let place = mounted.path().join(OsStr::from_bytes(path));
            let seen = &seen[path];
            match node {
                Node::Directory(meta) => assert_meta(&place, seen, meta, meta.mode),
                Node::File(meta, content) => {
                    assert_meta(&place, seen, meta, meta.mode);
                    prop_assert!(&fs::read(&place).unwrap() == content);
                }
                Node::Symlink(target, meta) => {
                    // The kernel shows the stored mode.
                    assert_meta(&place, seen, meta, meta.mode);
                    let found = fs::read_link(&place).unwrap();
                    prop_assert_eq!(found.as_os_str().as_bytes(), target.as_slice());
                }
            }
        }
    }
}

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    banger_needs::run(
        None,
        &[(&mounts, tests![images_are_clean_and_hold_what_the_calls_come_to])],
    )
}
