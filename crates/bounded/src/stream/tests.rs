use std::io::Write;

use liblzma::stream::{Check, Filters, LzmaOptions};

use super::*;
use crate::budget::exceeded;

fn unpacked(packed: &[u8], checked: Checked, budget: Budget) -> io::Result<Vec<u8>> {
    std::thread::scope(|scope| {
        let mut out = Vec::new();
        decompressed(scope, packed, checked, budget)?.read_to_end(&mut out)?;
        Ok(out)
    })
}

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn lzma(content: &[u8], dictionary: u32) -> Vec<u8> {
    let mut options = LzmaOptions::new_preset(0).unwrap();
    options.dict_size(dictionary);
    let stream = Stream::new_lzma_encoder(&options).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn xz(content: &[u8], dictionary: u32) -> Vec<u8> {
    let mut options = LzmaOptions::new_preset(0).unwrap();
    options.dict_size(dictionary);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd_with_window(content: &[u8], log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(log).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A skippable frame (RFC 8878, 3.1.2) of this kind.
fn skippable(kind: u8, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    [&[0x50 | kind, 0x2a, 0x4d, 0x18][..], &size, content].concat()
}

#[test]
fn every_format_is_known_and_unpacked() {
    let content = content();
    let zstd = zstd::encode_all(&content[..], 1).unwrap();
    let halves = |pack: &dyn Fn(&[u8]) -> Vec<u8>| {
        let (one, other) = content.split_at(content.len() / 3);
        [pack(one), pack(other)].concat()
    };
    let all = [
        ("plain", content.clone()),
        ("gzip", gzip(&content)),
        ("gzip, members", halves(&gzip)),
        (
            "gzip, padded with zeros",
            [gzip(&content), vec![0; 1000]].concat(),
        ),
        (
            "gzip, then garbage",
            [gzip(&content), b"\x1fgarbage".to_vec()].concat(),
        ),
        ("bzip2", bzip2(&content)),
        ("bzip2, streams", halves(&bzip2)),
        ("lzma", lzma(&content, 8 << 20)),
        ("lzma, -9", lzma(&content, 64 << 20)),
        ("xz", xz(&content, 8 << 20)),
        ("xz, -9", xz(&content, 64 << 20)),
        ("xz, streams", halves(&|part| xz(part, 1 << 20))),
        ("zstd", zstd.clone()),
        ("zstd, frames", halves(&|part| zstd::encode_all(part, 1).unwrap())),
        ("zstd, --long=27", zstd_with_window(&content, 27)),
        ("pzstd", [skippable(0, &[1, 2, 3, 4]), zstd.clone()].concat()),
        (
            "zstd, frames to skip",
            [
                skippable(15, b""),
                skippable(7, &[9; 5000]),
                zstd,
                skippable(1, b"x"),
            ]
            .concat(),
        ),
    ];
    for (name, packed) in &all {
        for checked in [Checked::Here, Checked::ByDigest] {
            let got = unpacked(packed, checked, Budget::default());
            assert!(
                got.unwrap_or_else(|error| panic!("{name}: {error}")) == content,
                "{name}"
            );
        }
    }
    for (_, packed) in all.iter().filter(|(name, _)| *name == "bzip2" || *name == "lzma") {
        assert!(unpacked(&packed[..packed.len() / 2], Checked::Here, Budget::default()).is_err());
    }
}

#[test]
fn a_format_that_is_not_supported_is_named() {
    for (magic, name) in [
        (&b"\x1f\x9d\x90"[..], "compress"),
        (b"\x04\x22\x4d\x18\x64", "lz4"),
        (b"LZIP\x01\x0c", "lzip"),
        (b"PK\x03\x04\x14\x00", "zip"),
        (b"7z\xbc\xaf\x27\x1c\x00", "7z"),
    ] {
        let error = unpacked(magic, Checked::Here, Budget::default()).unwrap_err();
        assert!(
            error.to_string().contains(name) && error.to_string().contains("gzip"),
            "{error}"
        );
    }
}

/// The head of an xz stream whose block asks for this dictionary (the xz file format, 5.3.1), as `xz --lzma2=dict=1536MiB`
/// writes it: an encoder would need eleven times as much memory.
fn xz_head(dictionary: u8) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let block = [2, 0, 0x21, 1, dictionary, 0, 0, 0];
    let stream = [0, 1];
    [
        &b"\xfd7zXZ\0"[..],
        &stream,
        &crc(&stream),
        &block,
        &crc(&block),
        &[1, 0, 0, b'x', 0],
    ]
    .concat()
}

/// A zstd frame header with this window (RFC 8878, 3.1.1.1.2) and a first block.
fn zstd_head(descriptor: u8) -> Vec<u8> {
    [
        &[0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor][..],
        &[0x0b, 0, 0, b'x'],
    ]
    .concat()
}

fn lzma_head(dictionary: u32) -> Vec<u8> {
    let mut packed = lzma(b"x", 1 << 16);
    packed[1..5].copy_from_slice(&dictionary.to_le_bytes());
    packed
}

#[test]
fn windows_are_bounded_in_every_format() {
    let bombs = [
        ("xz.dictionary-1536mib", xz_head(37)),
        ("xz.dictionary-4gib", xz_head(40)),
        ("xz.dictionary-192mib", xz_head(31)),
        (
            "xz.after-a-small-stream",
            [xz(b"small", 1 << 16), xz_head(37)].concat(),
        ),
        ("lzma.dictionary-4gib", lzma_head(u32::MAX)),
        ("lzma.dictionary-1gib", lzma_head(1 << 30)),
        ("zstd.window-256mib", zstd_head(18 << 3)),
        ("zstd.window-2gib", zstd_head(21 << 3)),
        ("zstd.window-3tib", zstd_head(0xff)),
        (
            "zstd.after-a-skippable-frame",
            [skippable(0, b"x"), zstd_head(21 << 3)].concat(),
        ),
        (
            "zstd.after-a-small-frame",
            [zstd::encode_all(&b"x"[..], 1).unwrap(), zstd_head(21 << 3)].concat(),
        ),
    ];
    for (name, bomb) in bombs {
        let error = unpacked(&bomb, Checked::Here, Budget::default()).unwrap_err();
        assert_eq!(
            exceeded(&error),
            Some(Exceeded::Window(128 << 20)),
            "{name}: {error}"
        );
        banger_cases::refused("budget", &format!("window.{name}"));
    }
    // Larger ones are taken from those who ask for them; what follows the head is nothing.
    let large = Budget {
        window: 256 << 20,
        ..Budget::default()
    };
    let taken = unpacked(&zstd_head(18 << 3), Checked::Here, large);
    assert!(taken.err().is_none_or(|error| exceeded(&error).is_none()));
}

#[test]
fn what_is_unpacked_is_bounded_by_bytes_and_by_ratio() {
    let tight = Budget {
        most: 4 << 20,
        ..Budget::default()
    };
    let zeros = vec![0; 8 << 20];
    for (name, bomb) in [
        ("gzip", gzip(&zeros)),
        ("bzip2", bzip2(&zeros)),
        ("xz", xz(&zeros, 1 << 20)),
        ("lzma", lzma(&zeros, 1 << 20)),
        ("zstd", zstd::encode_all(&zeros[..], 1).unwrap()),
        // As many small frames as it takes.
        (
            "zstd-frames",
            zstd::encode_all(&zeros[..1 << 16], 1).unwrap().repeat(128),
        ),
        ("gzip-members", gzip(&zeros[..1 << 16]).repeat(128)),
    ] {
        for checked in [Checked::Here, Checked::ByDigest] {
            let error = unpacked(&bomb, checked, tight).unwrap_err();
            assert_eq!(
                exceeded(&error),
                Some(Exceeded::Bytes(4 << 20)),
                "{name}: {error}"
            );
        }
        banger_cases::refused("budget", &format!("bytes.{name}"));
    }
}
