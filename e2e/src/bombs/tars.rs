//! Archives that hold more than they look like, and how they are packed.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};

pub(super) const END: [u8; 1024] = [0; 1024];

pub(super) fn file(name: &str, content: &[u8]) -> Vec<u8> {
    [&entry(b'0', name, content)[..], &END].concat()
}

/// A header of this kind that says more than comes.
pub(super) fn declared(flag: u8, size: usize) -> Vec<u8> {
    let tar = [head(flag, "x", Some(size)), vec![b'x'; 1 << 20]].concat();
    gzip(&tar)
}

pub(super) fn named(path: &str) -> Vec<u8> {
    [&pax(&[("path", path)])[..], &entry(b'0', "x", b""), &END].concat()
}

/// Three hundred entries below a million directories that have none.
pub(super) fn implied() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..300 {
        let path = format!("{number}/{}f", "d/".repeat(3_500));
        tar.extend(pax(&[("path", &path)]));
        tar.extend(entry(b'0', "x", b""));
    }
    [&tar[..], &END].concat()
}

pub(super) fn attributes(count: usize) -> Vec<u8> {
    let names: Vec<String> = (0..count)
        .map(|number| format!("SCHILY.xattr.user.{number}"))
        .collect();
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    [&pax(&records)[..], &entry(b'0', "x", b""), &END].concat()
}

pub(super) fn attribute_of(len: usize) -> Vec<u8> {
    let value = "v".repeat(len);
    let records = pax(&[("SCHILY.xattr.user.v", &value)]);
    [&records[..], &entry(b'0', "x", b""), &END].concat()
}

pub(super) fn many() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..25_000 {
        tar.extend(entry(b'0', &format!("f{number}"), b""));
    }
    [&tar[..], &END].concat()
}

pub(super) fn whiteouts() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..25_000 {
        tar.extend(entry(b'0', &format!(".wh.f{number}"), b""));
    }
    [&tar[..], &END].concat()
}

/// Links to each other, and a file that is below them.
pub(super) fn circle() -> Vec<u8> {
    let link = |name: &str, target: &str| {
        let mut head = head(b'2', name, Some(0));
        head[157..157 + target.len()].copy_from_slice(target.as_bytes());
        sum(&mut head);
        head
    };
    [
        link("a", "b"),
        link("b", "a"),
        entry(b'0', "a/f", b"x"),
        END.to_vec(),
    ]
    .concat()
}

/// A sparse file as GNU tar writes it in its format 1.0, with so many parts of a byte.
pub(super) fn sparse(size: &str, parts: usize) -> Vec<u8> {
    let mut map = format!("{parts}\n");
    for part in 0..parts {
        map += &format!("{}\n1\n", part * 2);
    }
    let mut content = map.into_bytes();
    content.resize(content.len().next_multiple_of(512), 0);
    content.resize(content.len() + parts, b'x');
    let records = pax(&[
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "s"),
        ("GNU.sparse.realsize", size),
    ]);
    gzip(&[&records[..], &entry(b'0', "s", &content), &END].concat())
}

/// An extended header with these records, each of which begins with its own length.
pub(super) fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut lines = String::new();
    for (name, value) in records {
        let rest = 3 + name.len() + value.len();
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len += 1;
        }
        lines += &format!("{len} {name}={value}\n");
    }
    entry(b'x', "records", lines.as_bytes())
}

pub(super) fn entry(flag: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = head(flag, name, Some(content.len()));
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar
}

/// A header; without a size, one that says the largest.
pub(super) fn head(flag: u8, name: &str, size: Option<usize>) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    match size {
        Some(size) => header[124..135].copy_from_slice(format!("{size:011o}").as_bytes()),
        // GNU's numbers in base 256.
        None => header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
    }
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = flag;
    header[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut header);
    header
}

fn sum(header: &mut [u8]) {
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("a vector takes all");
    packed.finish().expect("a vector takes all")
}

/// The head of an xz stream whose block asks for this dictionary (the xz file format, 5.3.1): an encoder would need eleven
/// times as much memory.
pub(super) fn xz_head(dictionary: u8) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let block = [2, 0, 0x21, 1, dictionary, 0, 0, 0];
    let stream = [0, 1];
    let data = [1, 0, 0, b'x', 0];
    [
        &b"\xfd7zXZ\0"[..],
        &stream,
        &crc(&stream),
        &block,
        &crc(&block),
        &data,
    ]
    .concat()
}

/// A zstd frame header with this window (RFC 8878, 3.1.1.1.2) and a first block.
pub(super) fn zstd_head(descriptor: u8) -> Vec<u8> {
    let block = [0x0b, 0, 0, b'x'];
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor][..], &block].concat()
}
