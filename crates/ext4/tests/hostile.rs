//! Calls that no honest caller makes: the writer refuses them or takes them, never panics, and the image is clean.

mod host;

use std::fs;

use banger_ext4::{DeviceKind, ImageWriter, Meta, Segment, Timestamp, Xattr};
use host::unchecked_image;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Debug, Clone)]
enum Call {
    Directory(Vec<u8>, Meta),
    /// The path, the claimed size, the segments, and the bytes that really come.
    File(Vec<u8>, Meta, u64, Vec<Segment>, usize),
    Symlink(Vec<u8>, Vec<u8>, Meta),
    Link(Vec<u8>, Vec<u8>),
    Device(Vec<u8>, u32, u32, Meta),
    Fifo(Vec<u8>, Meta),
    Socket(Vec<u8>, Meta),
    Remove(Vec<u8>),
    /// Questions may be about anything, too.
    Ask(Vec<u8>),
}

/// Whether the writer took it.
fn apply(call: &Call, writer: &mut ImageWriter) -> bool {
    match call.clone() {
        Call::Directory(path, meta) => writer.directory(&path, meta).is_ok(),
        Call::File(path, meta, size, segments, given) => {
            let content = vec![7; given];
            writer
                .file_segments(&path, meta, size, &segments, &mut &content[..])
                .is_ok()
        }
        Call::Symlink(path, target, meta) => writer.symlink(&path, &target, meta).is_ok(),
        Call::Link(path, existing) => writer.hard_link(&path, &existing).is_ok(),
        Call::Device(path, major, minor, meta) => writer
            .device(&path, DeviceKind::Block, major, minor, meta)
            .is_ok(),
        Call::Fifo(path, meta) => writer.fifo(&path, meta).is_ok(),
        Call::Socket(path, meta) => writer.socket(&path, meta).is_ok(),
        Call::Remove(path) => writer.remove(&path).is_ok(),
        Call::Ask(path) => {
            let _ = (
                writer.lookup(&path),
                writer.link_target(&path),
                writer.names(&path),
            );
            true
        }
    }
}

/// Names that mean something to someone, that are too long, or are any bytes at all, slashes and NUL included.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let known: &[&[u8]] = &[
        b"a",
        b"b",
        b"",
        b".",
        b"..",
        b"lost+found",
        b"\0",
        b"a\0",
        b"\xff",
        b"...",
    ];
    prop_oneof![
        6 => select(known).prop_map(<[u8]>::to_vec),
        1 => (254..258usize).prop_map(|len| vec![b'n'; len]),
        1 => vec(any::<u8>(), 0..40),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => vec(name(), 0..5).prop_map(|names| names.join(&b'/')),
        // Beyond what Linux takes at once.
        1 => (1..2000usize).prop_map(|deep| b"deep/".repeat(deep)),
    ]
}

fn a_meta() -> impl Strategy<Value = Meta> {
    let namespaces: &[&[u8]] = &[
        b"user.",
        b"security.capability",
        b"trusted.",
        b"system.posix_acl_access",
        b"system.data",
        b"unknown.",
        b"",
    ];
    let xattr = (
        select(namespaces),
        vec(any::<u8>(), 0..300),
        vec(any::<u8>(), 0..5000),
    );
    let xattr = xattr.prop_map(|(namespace, name, value)| Xattr {
        name: [namespace, &name].concat(),
        value,
    });
    let xattrs = prop_oneof![4 => Just(Vec::new()), 1 => vec(xattr, 1..6)];
    (any::<u16>(), any::<u32>(), any::<i64>(), any::<u32>(), xattrs).prop_map(
        |(mode, id, secs, nanos, xattrs)| Meta {
            mode,
            uid: id,
            gid: !id,
            mtime: Timestamp { secs, nanos },
            xattrs,
        },
    )
}

/// Sizes at the edges of blocks and of what numbers hold.
fn size() -> impl Strategy<Value = u64> {
    let edges = select(vec![
        0,
        1,
        4095,
        4096,
        4097,
        1 << 32,
        1 << 44,
        (1 << 44) - 4096,
        i64::MAX as u64,
        u64::MAX - 1,
        u64::MAX,
    ]);
    prop_oneof![2 => 0..100_000u64, 1 => edges]
}

fn file() -> impl Strategy<Value = Call> {
    let segment = (size(), size()).prop_map(|(offset, len)| Segment { offset, len });
    // Some in order, so that more than the first check is reached.
    let ordered = vec((0..20_000u64, 0..20_000u64), 0..5).prop_map(|steps| {
        let mut at = 0;
        let place = |(gap, len): (u64, u64)| {
            let offset = at + gap;
            at = offset + len;
            Segment { offset, len }
        };
        steps.into_iter().map(place).collect()
    });
    let segments = prop_oneof![1 => vec(segment, 0..4), 2 => ordered];
    let sizes = prop_oneof![1 => size(), 2 => Just(1_000_000_u64)];
    (path(), a_meta(), sizes, segments, 0..200_000usize)
        .prop_map(|(path, meta, size, segments, given)| Call::File(path, meta, size, segments, given))
}

fn call() -> impl Strategy<Value = Call> {
    let target = prop_oneof![
        4 => vec(any::<u8>(), 0..100),
        1 => (4090..4100usize).prop_map(|len| vec![b't'; len]),
    ];
    let number = || prop_oneof![0..5000u32, any::<u32>()];
    prop_oneof![
        2 => (path(), a_meta()).prop_map(|(path, meta)| Call::Directory(path, meta)),
        6 => file(),
        2 => (path(), target, a_meta()).prop_map(|(path, target, meta)| Call::Symlink(path, target, meta)),
        3 => (path(), path()).prop_map(|(path, existing)| Call::Link(path, existing)),
        1 => (path(), number(), number(), a_meta())
            .prop_map(|(path, major, minor, meta)| Call::Device(path, major, minor, meta)),
        1 => (path(), a_meta()).prop_map(|(path, meta)| Call::Fifo(path, meta)),
        1 => (path(), a_meta()).prop_map(|(path, meta)| Call::Socket(path, meta)),
        2 => path().prop_map(Call::Remove),
        1 => path().prop_map(Call::Ask),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_for_the_image_is_clean(calls in vec(call(), 1..60)) {
        let write = || {
            let mut answers = Vec::new();
            let image = unchecked_image(|writer| answers = calls.iter().map(|call| apply(call, writer)).collect());
            (image, answers)
        };
        let (image, answers): (_, Vec<bool>) = write();
        host::check(&image.path);
        let (again, same) = write();
        prop_assert_eq!(answers, same);
        prop_assert!(fs::read(&image.path).unwrap() == fs::read(&again.path).unwrap());
    }
}
