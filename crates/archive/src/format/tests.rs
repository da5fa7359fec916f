//! What archives say, and what is wrong with those that lie.

use banger_inode::{DeviceKind, Segment, Timestamp, Xattr};

use super::written::{Tar, base256, entries, gnu};
use super::{Entry, EntryKind, read};
use crate::Error;

fn only(tar: &[u8]) -> (Entry, Vec<u8>) {
    let mut all = entries(tar).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn error(tar: &[u8]) -> String {
    let error = entries(tar).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

fn names(tar: &[u8]) -> Vec<String> {
    let all = entries(tar).unwrap();
    all.iter()
        .map(|(entry, _)| String::from_utf8_lossy(&entry.name).into_owned())
        .collect()
}

fn segment(offset: u64, len: u64) -> Segment {
    Segment { offset, len }
}

#[test]
fn a_plain_file_is_what_its_header_says() {
    let (entry, content) = only(&Tar::new().file(b"dir/name", b"content").end());
    assert_eq!(entry.name, b"dir/name");
    assert_eq!((entry.meta.mode, entry.meta.uid, entry.meta.gid), (0o644, 1, 2));
    assert_eq!(entry.meta.mtime, Timestamp { secs: 3, nanos: 0 });
    let kind = EntryKind::File {
        size: 7,
        segments: vec![segment(0, 7)],
    };
    assert_eq!((entry.kind, content), (kind, b"content".to_vec()));
    let (entry, _) = only(&Tar::new().file(b"empty", b"").end());
    let kind = EntryKind::File {
        size: 0,
        segments: vec![],
    };
    assert_eq!(entry.kind, kind);
}

#[test]
fn headers_of_every_format_are_read() {
    let mut tar = Tar::new();
    tar.header(0, b"v7", 0, |raw| raw[257..].fill(0));
    tar.header(0, b"v7-dir/", 0, |raw| raw[257..].fill(0));
    tar.header(b'0', b"u", 0, |raw| raw[345..500].fill(b'p'));
    tar.header(b'0', &[b'n'; 100], 0, |raw| raw[345..348].copy_from_slice(b"a/b"));
    tar.header(b'0', b"s", 0, |raw| {
        raw[345..349].copy_from_slice(b"star");
        raw[476..487].copy_from_slice(b"00000000001");
        raw[508..].copy_from_slice(b"tar\0");
    });
    tar.header(b'0', b"times", 0, |raw| {
        gnu(raw);
        raw[345..369].copy_from_slice(b"14000000000\x0014000000000\0");
    });
    tar.header(b'0', b"go", 0, |raw| {
        gnu(raw);
        raw[345..355].copy_from_slice(b"old/prefix");
    });
    let long = format!("{}/u", "p".repeat(155));
    let full = format!("a/b/{}", "n".repeat(100));
    assert_eq!(
        names(&tar.end()),
        ["v7", "v7-dir/", &long, &full, "star/s", "times", "old/prefix/go"]
    );
}

#[test]
fn kinds_without_data_have_none_even_with_a_size() {
    let mut tar = Tar::new();
    tar.header(b'5', b"d", 4096, |_| {});
    tar.header(b'2', b"s", 10, |raw| raw[157..257].fill(b't'));
    tar.header(b'1', b"h", 10, |raw| raw[157] = b'd');
    tar.header(b'3', b"c", 0, |raw| {
        raw[329..337].copy_from_slice(b"0000377\0");
        base256(&mut raw[337..345], 0xF_FFFF);
    });
    tar.header(b'4', b"b", 0, |_| {});
    tar.header(b'6', b"f", 1, |_| {});
    tar.header(b'D', b"listed", 6, |_| {}).data(b"Ynames");
    tar.header(b'V', b"label", 3, |_| {}).data(b"???");
    tar.header(b'7', b"contiguous", 1, |_| {}).data(b"x");
    let kinds: Vec<EntryKind> = entries(&*tar.end())
        .unwrap()
        .into_iter()
        .map(|(entry, _)| entry.kind)
        .collect();
    let device = |kind, major, minor| EntryKind::Device { kind, major, minor };
    let expected = [
        EntryKind::Directory,
        EntryKind::Symlink(vec![b't'; 100]),
        EntryKind::HardLink(b"d".to_vec()),
        device(DeviceKind::Char, 0o377, 0xF_FFFF),
        device(DeviceKind::Block, 0, 0),
        EntryKind::Fifo,
        EntryKind::Directory,
        EntryKind::File {
            size: 1,
            segments: vec![segment(0, 1)],
        },
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn numbers_to_the_base_256_reach_where_octal_does_not() {
    let mut tar = Tar::new();
    tar.header(b'0', b"n", 0, |raw| {
        raw[100..108].copy_from_slice(b"0107755\0");
        base256(&mut raw[108..116], i64::from(u32::MAX));
        base256(&mut raw[116..124], 1 << 21);
        base256(&mut raw[124..136], 3);
        base256(&mut raw[136..148], -86_400);
    });
    let (entry, content) = only(&tar.data(b"abc").end());
    assert_eq!(
        (entry.meta.mode, entry.meta.uid, entry.meta.gid),
        (0o7755, u32::MAX, 1 << 21)
    );
    assert_eq!(entry.meta.mtime.secs, -86_400);
    assert_eq!(content, b"abc");
    let negative = |field: std::ops::Range<usize>| {
        let mut tar = Tar::new();
        tar.header(b'0', b"n", 0, |raw| base256(&mut raw[field], -1));
        error(&tar.end())
    };
    assert!(negative(124..136).contains("size is -1"));
    assert!(negative(108..116).contains("owner -1 is out of range"));
}

#[test]
fn records_come_before_the_header() {
    let name = vec![0xFF; 5000];
    let mut tar = Tar::new();
    tar.pax(&[
        (b"path", &name),
        (b"uid", b"4294967294"),
        (b"gid", b"77"),
        (b"size", b"5"),
        (b"mtime", b"-1.000000001"),
        (b"SCHILY.xattr.user.a", b"\0\xFF"),
        (b"comment", b"whatever"),
    ]);
    tar.header(b'0', b"short", 0, |_| {}).data(b"12345");
    let (entry, content) = only(&tar.end());
    assert_eq!(entry.name, name);
    assert_eq!((entry.meta.uid, entry.meta.gid), (u32::MAX - 1, 77));
    let time = Timestamp {
        secs: -2,
        nanos: 999_999_999,
    };
    let xattr = Xattr {
        name: b"user.a".to_vec(),
        value: b"\0\xFF".to_vec(),
    };
    assert_eq!((entry.meta.mtime, entry.meta.xattrs), (time, vec![xattr]));
    assert_eq!(content, b"12345");
}

#[test]
fn global_headers_hold_until_something_else_is_said() {
    let record = |key: &str, value: &str| {
        let rest = format!(" {key}={value}\n");
        // The length counts its own digits: two of them here.
        format!("{}{rest}", rest.len() + 2).into_bytes()
    };
    let of = |records: &[(&str, &str)]| -> Vec<u8> {
        records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect()
    };
    let mut tar = Tar::new();
    tar.special(
        b'g',
        &of(&[
            ("uid", "1000"),
            ("gid", "2000"),
            ("mtime", "77.5"),
            ("comment", "a commit"),
        ]),
    );
    tar.file(b"global", b"content");
    tar.pax(&[(b"uid", b"5")]).file(b"own", b"");
    // An empty value gives the header's own back.
    tar.pax(&[(b"gid", b"")]).file(b"emptied", b"");
    tar.special(b'g', &of(&[("uid", "1001")]));
    tar.header(b'5', b"d/", 0, |_| {});
    tar.header(b'2', b"l", 0, |raw| raw[157] = b'x');
    let all = entries(&*tar.end()).unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|(entry, content)| {
            (
                entry.meta.uid,
                entry.meta.gid,
                entry.meta.mtime.secs,
                content.len(),
            )
        })
        .collect();
    let gid = all[2].0.meta.gid;
    assert_eq!(seen[..2], [(1000, 2000, 77, 7), (5, 2000, 77, 0)]);
    assert!(seen[2].0 == 1000 && gid != 2000, "{seen:?}");
    assert!(
        seen[3..]
            .iter()
            .all(|seen| (seen.0, seen.1, seen.2) == (1001, 2000, 77)),
        "{seen:?}"
    );
}

#[test]
fn headers_for_the_next_count_once_and_the_last_of_a_kind_wins() {
    let mut tar = Tar::new();
    tar.special(b'g', b"14 mtime=1000\n");
    tar.pax(&[(b"path", b"lost"), (b"uid", b"9")]);
    tar.pax(&[(b"path", b"pax")]).file(b"plain", b"");
    tar.file(b"alone", b"");
    tar.special(b'L', b"no\0").special(b'L', b"long\0rest");
    tar.pax(&[(b"path", b"pax")]).file(b"plain", b"");
    tar.special(b'K', b"target\0").header(b'2', b"s", 0, |_| {});
    // Nothing is described by the last one, as when a file vanished from a writer.
    tar.pax(&[(b"path", b"nothing")]);
    let all = entries(&*tar.end()).unwrap();
    let names: Vec<&[u8]> = all.iter().map(|(entry, _)| &*entry.name).collect();
    assert_eq!(names, [&b"pax"[..], b"alone", b"long", b"s"]);
    assert_eq!((all[0].0.meta.uid, all[0].0.meta.mtime.secs), (1, 1000));
    assert_eq!(all[3].0.kind, EntryKind::Symlink(b"target".to_vec()));
}

#[test]
fn what_no_image_holds_is_refused_by_name() {
    for (flag, named) in [
        (b'M', "M, a file's continuation"),
        (b'N', "N, the old GNU list"),
        (b'Z', "type `Z`"),
        (0xFE, r"type `\xfe`"),
        (b'S', "another form than GNU's"),
    ] {
        let mut tar = Tar::new();
        tar.file(b"before", b"").header(flag, b"odd\x1bname", 0, |_| {});
        let error = error(&tar.end());
        assert!(error.contains(named) && error.contains("`oddname`"), "{error}");
    }
    let mut tar = Tar::new();
    assert!(error(&tar.header(b'2', b"s", 0, |_| {}).end()).contains("without a target"));
}

#[test]
fn an_archive_ends_with_its_mark_and_not_before() {
    let whole = Tar::new().file(b"a", b"content").file(b"b", &[7; 700]).end();
    let end = whole.len() - 1024;
    // The second block of the mark may be missing.
    assert_eq!(names(&whole[..end + 512]), ["a", "b"]);
    assert_eq!(names(&[&whole[..], b"anything"].concat()), ["a", "b"]);
    assert!(entries(&whole[..0]).unwrap().is_empty());
    for cut in (1..end + 512).chain(end + 513..whole.len()) {
        let outcome = entries(&whole[..cut]);
        assert!(matches!(outcome, Err(Error::Truncated { .. })), "cut at {cut}");
    }
    let mut lone = Tar::new();
    lone.file(b"a", b"").data(&[0; 512]).file(b"b", b"");
    assert!(error(&lone.end()).contains("lone block of zeros"));
}

#[test]
fn content_may_be_left_and_errors_of_the_reader_come_through() {
    let tar = Tar::new().file(b"a", &vec![1; 300_000]).file(b"b", b"xyz").end();
    let mut first = Vec::new();
    let count = read::<Error>(&*tar, &mut |entry, content| {
        let mut byte = [0];
        content.read_exact(&mut byte).unwrap();
        first.push((entry.name, byte[0]));
        Ok(())
    });
    assert_eq!(count.unwrap(), 2);
    assert_eq!(first, [(b"a".to_vec(), 1), (b"b".to_vec(), b'x')]);
    let stopped = read(&*tar, &mut |_, _| Err(Error::Truncated { entries: 99 }));
    assert!(matches!(stopped, Err(Error::Truncated { entries: 99 })));
    let broken = std::io::Read::chain(&tar[..1000], Broken);
    let outcome = entries(broken);
    assert!(
        matches!(&outcome, Err(Error::Archive { source, .. }) if source.to_string() == "bad gzip"),
        "{outcome:?}"
    );
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("bad gzip"))
    }
}

#[test]
fn damage_is_told_and_bombs_are_not_unpacked() {
    let mut flipped = Tar::new().file(b"a", b"").file(b"b", b"").end();
    flipped[512] ^= 1;
    let told = error(&flipped);
    assert!(
        told.contains("after 1 entries") && told.contains("checksum"),
        "{told}"
    );
    assert!(error(&[b'x'; 2048]).contains("checksum"));
    for flag in *b"xgLK" {
        let mut bomb = Tar::new();
        bomb.header(flag, b"x", (1 << 20) + 1, |_| {});
        assert!(error(&bomb.end()).contains("1048576"));
    }
    let mut lie = Tar::new();
    lie.special(b'g', b"20 short=record\n").file(b"a", b"");
    assert!(error(&lie.end()).contains("wrong length"));
    let mut no_number = Tar::new();
    no_number.header(b'0', b"a", 0, |raw| raw[136..140].copy_from_slice(b"what"));
    assert!(error(&no_number.end()).contains("time is not a number"));
    let mut huge = Tar::new();
    huge.header(b'0', b"a", 0, |raw| base256(&mut raw[124..136], i64::MAX));
    assert!(matches!(entries(&*huge.end()), Err(Error::Truncated { .. })));
}

#[test]
fn where_a_digest_tells_the_end_its_mark_may_be_missing() {
    let whole = Tar::new().file(b"name", b"content").end();
    let unmarked = &whole[..whole.len() - 1024];
    assert!(matches!(entries(unmarked), Err(Error::Truncated { .. })));
    let read = |tar: &[u8]| super::read_unmarked::<Error>(tar, &mut |_, _| Ok(()));
    assert_eq!(read(unmarked).unwrap(), 1);
    // Not in the middle of something.
    assert!(read(&unmarked[..unmarked.len() - 100]).is_err());
    assert!(read(&unmarked[..300]).is_err());
}
