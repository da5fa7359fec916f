//! Members of gzip, whole, many and broken.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use super::*;

fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn member(builder: GzBuilder, content: &[u8]) -> Vec<u8> {
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn unpacked(packed: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Members::new(io::BufReader::with_capacity(piece, packed), true).read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn members_follow_each_other_whatever_their_headers_hold() {
    let content = content();
    let described = GzBuilder::new()
        .filename("layer.tar")
        .comment("a comment")
        .extra(vec![7; 300]);
    let packed = [
        member(described, &content),
        member(GzBuilder::new(), b""),
        member(GzBuilder::new(), b"end"),
    ]
    .concat();
    let whole = [content, b"end".to_vec()].concat();
    for piece in [1, 7, 4096, packed.len()] {
        assert!(unpacked(&packed, piece).unwrap() == whole, "pieces of {piece}");
    }
}

#[test]
fn a_header_s_own_checksum_is_passed_over() {
    let mut packed = member(GzBuilder::new(), b"abc");
    packed[3] |= flag::HEADER_CRC;
    packed.splice(10..10, [1, 2]);
    assert_eq!(unpacked(&packed, 4096).unwrap(), b"abc");
}

#[test]
fn what_follows_the_last_member_is_passed_over_to_the_end() {
    for follows in [&[0; 10_240][..], b"garbage", b"\x1f", b"\x1f\x1f\x8b", &[0; 1]] {
        let packed = [member(GzBuilder::new(), b"abc"), follows.to_vec()].concat();
        for piece in [1, 4096] {
            let mut from = io::BufReader::with_capacity(piece, &packed[..]);
            let mut out = Vec::new();
            Members::new(&mut from, true).read_to_end(&mut out).unwrap();
            assert!(
                out == b"abc" && from.fill_buf().unwrap().is_empty(),
                "{follows:?}"
            );
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    let packed = member(GzBuilder::new().filename("name"), &content()[..5000]);
    for len in 0..packed.len() {
        assert!(unpacked(&packed[..len], 4096).is_err(), "cut at {len}");
    }
}

#[test]
fn what_is_no_gzip_is_refused() {
    let packed = member(GzBuilder::new(), b"abc");
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = packed.clone();
        change(&mut changed);
        unpacked(&changed, 4096).unwrap_err().to_string()
    };
    assert!(refused(&|packed| packed[2] = 7).contains("not a gzip header"));
    assert!(refused(&|packed| packed[3] = 0x80).contains("unknown flags"));
    assert!(
        refused(&|packed| packed.extend([0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 0])).contains("not a gzip header")
    );
    assert!(refused(&|packed| *packed.iter_mut().nth_back(5).unwrap() ^= 1).contains("a wrong checksum"));
    assert!(refused(&|packed| *packed.last_mut().unwrap() = 1).contains("a wrong length"));
    assert!(refused(&|packed| packed[10] = 0xFF).contains("deflate"));
}
