//! Random entries are read as they were written, in whatever way; and random damage never does worse than an error.

use banger_inode::{DeviceKind, Meta, Segment, Timestamp, Xattr};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::written::{Tar, base256, entries, gnu};
use super::{Entry, EntryKind, Writer};

/// How an entry is put into the archive.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// All in records.
    Pax,
    /// Long names and numbers to the base 256; neither attributes nor nanoseconds.
    Gnu,
}

/// How a sparse file is stored in a pax archive.
#[derive(Debug, Clone, Copy)]
enum Map {
    V00,
    V01,
    V10,
}

type Random = (Entry, Vec<u8>, Way, Map);

fn name(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    // No slash at the end, which would make a file a directory.
    (vec(1_u8.., 0..longest), (b'a'..=0xFF)).prop_map(|(mut name, last)| {
        name.push(last);
        name
    })
}

fn meta() -> impl Strategy<Value = Meta> {
    let secs = prop_oneof![-(1_i64 << 40)..1 << 40, 0..1_i64 << 33];
    let xattr = (name(40), vec(any::<u8>(), 0..80)).prop_map(|(name, value)| Xattr {
        name: [b"user.", &name[..]].concat(),
        value,
    });
    let ids = (any::<u32>(), any::<u32>());
    (0_u16..0o10000, ids, secs, 0_u32..1_000_000_000, vec(xattr, 0..4)).prop_map(
        |(mode, (uid, gid), secs, nanos, xattrs)| Meta {
            mode,
            uid,
            gid,
            mtime: Timestamp { secs, nanos },
            xattrs,
        },
    )
}

/// A file with holes; the first may be empty, and so may be the last.
fn sparse() -> impl Strategy<Value = EntryKind> {
    (vec((0_u64..1 << 34, 1_u64..2000), 0..30), 0_u64..10_000).prop_map(|(parts, tail)| {
        let mut size = 0;
        let segments = parts
            .iter()
            .map(|&(gap, len)| {
                let offset = size + gap;
                size = offset + len;
                Segment { offset, len }
            })
            .collect();
        EntryKind::File {
            size: size + tail,
            segments,
        }
    })
}

fn kind() -> impl Strategy<Value = EntryKind> {
    let dense = (0_u64..3000).prop_map(|size| {
        let whole = Segment { offset: 0, len: size };
        let segments = if size == 0 { vec![] } else { vec![whole] };
        EntryKind::File { size, segments }
    });
    let device = (any::<bool>(), 0_u32..1 << 12, 0_u32..1 << 20).prop_map(|(block, major, minor)| {
        let kind = if block {
            DeviceKind::Block
        } else {
            DeviceKind::Char
        };
        EntryKind::Device { kind, major, minor }
    });
    prop_oneof![
        3 => dense,
        2 => sparse(),
        1 => name(5000).prop_map(EntryKind::Symlink),
        1 => name(300).prop_map(EntryKind::HardLink),
        1 => device,
        1 => Just(EntryKind::Directory),
        1 => Just(EntryKind::Fifo),
    ]
}

fn random() -> impl Strategy<Value = Random> {
    let way = prop_oneof![Just(Way::Pax), Just(Way::Gnu)];
    let map = prop_oneof![Just(Map::V00), Just(Map::V01), Just(Map::V10)];
    (name(300), meta(), kind(), way, map, any::<u8>()).prop_map(|(name, mut meta, kind, way, map, seed)| {
        if matches!(way, Way::Gnu) {
            meta.xattrs.clear();
            meta.mtime.nanos = 0;
        }
        let content = (0..kind.stored())
            .map(|at| (at as u8).wrapping_mul(31) ^ seed)
            .collect();
        (Entry { name, meta, kind }, content, way, map)
    })
}

/// The type flag, what a link leads to, and the numbers of a device.
fn flag(kind: &EntryKind) -> (u8, &[u8], (u32, u32)) {
    match kind {
        EntryKind::File { .. } => (b'0', b"", (0, 0)),
        EntryKind::Directory => (b'5', b"", (0, 0)),
        EntryKind::Fifo => (b'6', b"", (0, 0)),
        EntryKind::Symlink(target) => (b'2', target, (0, 0)),
        EntryKind::HardLink(target) => (b'1', target, (0, 0)),
        EntryKind::Device { kind, major, minor } => match kind {
            DeviceKind::Char => (b'3', b"", (*major, *minor)),
            DeviceKind::Block => (b'4', b"", (*major, *minor)),
        },
    }
}

/// The segments of a file that is not one whole.
fn holes(kind: &EntryKind) -> Option<(u64, &[Segment])> {
    match kind {
        EntryKind::File { size, segments } => {
            let dense = match &segments[..] {
                [] => *size == 0,
                [whole] => whole.offset == 0 && whole.len == *size,
                _ => false,
            };
            (!dense).then_some((*size, segments))
        }
        _ => None,
    }
}

fn write(tar: &mut Tar, (entry, content, way, map): &Random) {
    match way {
        Way::Pax => write_pax(tar, entry, content, *map),
        Way::Gnu => write_gnu(tar, entry, content),
    }
}

fn write_pax(tar: &mut Tar, entry: &Entry, content: &[u8], map: Map) {
    let (flag, target, (major, minor)) = flag(&entry.kind);
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut add = |key: &str, value: &[u8]| records.push((key.into(), value.to_vec()));
    let meta = &entry.meta;
    add("path", &entry.name);
    add("linkpath", target);
    add("uid", meta.uid.to_string().as_bytes());
    add("gid", meta.gid.to_string().as_bytes());
    add("mtime", seconds(meta.mtime).as_bytes());
    let mut data = Vec::new();
    if let Some((size, segments)) = holes(&entry.kind) {
        let pairs = || segments.iter().map(|segment| (segment.offset, segment.len));
        let size = size.to_string();
        match map {
            Map::V00 => {
                add("GNU.sparse.size", size.as_bytes());
                add("GNU.sparse.numblocks", segments.len().to_string().as_bytes());
                for (offset, len) in pairs() {
                    add("GNU.sparse.offset", offset.to_string().as_bytes());
                    add("GNU.sparse.numbytes", len.to_string().as_bytes());
                }
            }
            Map::V01 => {
                let map: Vec<String> = pairs().map(|(offset, len)| format!("{offset},{len}")).collect();
                add("path", b"GNUSparseFile.1/made-up");
                add("GNU.sparse.name", &entry.name);
                add("GNU.sparse.size", size.as_bytes());
                add("GNU.sparse.map", map.join(",").as_bytes());
            }
            Map::V10 => {
                add("GNU.sparse.major", b"1");
                add("GNU.sparse.minor", b"0");
                add("GNU.sparse.realsize", size.as_bytes());
                data = format!("{}\n", segments.len()).into_bytes();
                pairs().for_each(|(offset, len)| data.extend(format!("{offset}\n{len}\n").bytes()));
                data.resize(data.len().next_multiple_of(512), 0);
            }
        }
    }
    data.extend_from_slice(content);
    for xattr in &meta.xattrs {
        let quoted: Vec<u8> = xattr
            .name
            .iter()
            .flat_map(|&byte| match byte {
                b'=' => b"%3D".to_vec(),
                b'%' => b"%25".to_vec(),
                _ => vec![byte],
            })
            .collect();
        records.push(([b"SCHILY.xattr.", &quoted[..]].concat(), xattr.value.clone()));
    }
    let records: Vec<(&[u8], &[u8])> = records.iter().map(|(key, value)| (&**key, &**value)).collect();
    tar.pax(&records);
    tar.header(flag, b"header", data.len() as u64, |raw| {
        raw[100..108].copy_from_slice(format!("{:07o}\0", meta.mode).as_bytes());
        raw[329..337].copy_from_slice(format!("{major:07o}\0").as_bytes());
        raw[337..345].copy_from_slice(format!("{minor:07o}\0").as_bytes());
    });
    tar.data(&data);
}

/// A time as pax has it: the fraction counts away from zero.
fn seconds(time: Timestamp) -> String {
    let total = i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    format!("{sign}{}.{:09}", total / 1_000_000_000, total % 1_000_000_000)
}

fn write_gnu(tar: &mut Tar, entry: &Entry, content: &[u8]) {
    let (flag, target, (major, minor)) = flag(&entry.kind);
    let holes = holes(&entry.kind);
    let map = holes.map(|(_, segments)| segments).unwrap_or_default();
    tar.special(b'L', &[&entry.name[..], b"\0"].concat());
    if !target.is_empty() {
        tar.special(b'K', &[target, b"\0"].concat());
    }
    let flag = if holes.is_some() { b'S' } else { flag };
    tar.header(flag, b"short", content.len() as u64, |raw| {
        gnu(raw);
        base256(&mut raw[100..108], i64::from(entry.meta.mode));
        base256(&mut raw[108..116], i64::from(entry.meta.uid));
        base256(&mut raw[116..124], i64::from(entry.meta.gid));
        base256(&mut raw[136..148], entry.meta.mtime.secs);
        base256(&mut raw[329..337], i64::from(major));
        base256(&mut raw[337..345], i64::from(minor));
        if let Some((size, _)) = holes {
            base256(&mut raw[483..495], size as i64);
            put_map(&mut raw[386..482], map);
            raw[482] = u8::from(map.len() > 4);
        }
    });
    let more = map.get(4..).unwrap_or_default();
    for (index, part) in more.chunks(21).enumerate() {
        let mut block = [0; 512];
        put_map(&mut block[..504], part);
        block[504] = u8::from((index + 1) * 21 < more.len());
        tar.data(&block);
    }
    tar.data(content);
}

fn put_map(raw: &mut [u8], map: &[Segment]) {
    for (part, segment) in raw.chunks_exact_mut(24).zip(map) {
        part[..12].copy_from_slice(format!("{:011o}\0", segment.offset % (1 << 33)).as_bytes());
        if segment.offset >= 1 << 33 {
            base256(&mut part[..12], segment.offset as i64);
        }
        part[12..].copy_from_slice(format!("{:011o}\0", segment.len).as_bytes());
    }
}

fn archive(entries: &[Random]) -> Vec<u8> {
    let mut tar = Tar::new();
    entries.iter().for_each(|random| write(&mut tar, random));
    tar.end()
}

/// Gives a few bytes at a time.
struct Dripping<'a>(&'a [u8], usize);

impl std::io::Read for Dripping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 700 + 13;
        let len = buffer.len().min(self.1);
        self.0.read(&mut buffer[..len])
    }
}

/// One kind of damage.
#[derive(Debug, Clone)]
enum Damage {
    Byte(Index, u8),
    /// A byte of a header or record, with the checksum put right.
    Sealed(Index, u16, u8),
    Cut(Index),
    Without(Index),
    Twice(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let interesting = prop_oneof![
        any::<u8>(),
        Just(0),
        Just(0xFF),
        Just(b'9'),
        Just(b'\n'),
        Just(b' ')
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (any::<Index>(), 0_u16..512, interesting)
            .prop_map(|(block, at, byte)| Damage::Sealed(block, at, byte)),
        any::<Index>().prop_map(Damage::Cut),
        any::<Index>().prop_map(Damage::Without),
        any::<Index>().prop_map(Damage::Twice),
    ]
}

fn damaged(mut tar: Vec<u8>, damage: &Damage) -> Vec<u8> {
    let block = |tar: &[u8], index: &Index| index.index(tar.len() / 512 + 1) * 512 % tar.len().max(1);
    match damage {
        _ if tar.len() < 1024 => {}
        Damage::Byte(at, byte) => {
            let at = at.index(tar.len());
            tar[at] = *byte;
        }
        Damage::Sealed(index, at, byte) => {
            let from = block(&tar, index).min(tar.len() - 512);
            let raw = &mut tar[from..from + 512];
            raw[usize::from(*at)] = *byte;
            if raw[257..262] == *b"ustar" {
                raw[148..156].fill(b' ');
                let sum: u32 = raw.iter().map(|&byte| u32::from(byte)).sum();
                raw[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        Damage::Cut(at) => tar.truncate(at.index(tar.len())),
        Damage::Without(index) => {
            let from = block(&tar, index).min(tar.len() - 512);
            tar.drain(from..from + 512);
        }
        Damage::Twice(index) => {
            let from = block(&tar, index).min(tar.len() - 512);
            let again = tar[from..from + 512].to_vec();
            tar.splice(from..from, again);
        }
    }
    tar
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_is_written_is_read(random in vec(random(), 0..6)) {
        let tar = archive(&random);
        let expected: Vec<_> = random.into_iter().map(|(entry, content, ..)| (entry, content)).collect();
        prop_assert_eq!(&entries(&*tar).unwrap(), &expected);
        prop_assert_eq!(&entries(Dripping(&tar, 0)).unwrap(), &expected);
    }

    #[test]
    fn what_we_write_ourselves_is_read(random in vec(random(), 0..6)) {
        let mut writer = Writer::new(Vec::new());
        let mut expected = Vec::new();
        for (mut entry, content, ..) in random {
            writer.entry(&entry, &mut &content[..]).unwrap();
            if entry.kind == EntryKind::Directory && !entry.name.ends_with(b"/") {
                entry.name.push(b'/');
            }
            expected.push((entry, content));
        }
        prop_assert_eq!(&entries(&*writer.finish().unwrap()).unwrap(), &expected);
    }

    #[test]
    fn damage_is_an_error_or_another_archive(random in vec(random(), 1..4), damage in vec(damage(), 1..8)) {
        let tar = damage.iter().fold(archive(&random), damaged);
        // That this comes back at all is what is tested; that chunks make no difference, besides.
        let whole = entries(&*tar);
        let dripping = entries(Dripping(&tar, 0));
        match (whole, dripping) {
            (Ok(whole), Ok(dripping)) => prop_assert_eq!(whole, dripping),
            (Err(whole), Err(dripping)) => prop_assert_eq!(whole.to_string(), dripping.to_string()),
            (whole, dripping) => prop_assert!(false, "{whole:?} but {dripping:?}"),
        }
    }
}
