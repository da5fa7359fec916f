//! Kernels as ELF files and packed ones.

use std::io::Write;

use super::*;

fn elf() -> Vec<u8> {
    let mut elf = vec![0; 4096];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[16] = 2;
    elf.extend_from_slice(b"Linux version 6.1.0-test (me@here)");
    elf
}

fn image(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024 + 16];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
    let length = u32::try_from(payload.len() + 4).unwrap();
    image[0x24c..0x250].copy_from_slice(&length.to_le_bytes());
    image.extend_from_slice(payload);
    // The unpacked length that the kernel's build adds.
    image.extend_from_slice(&u32::try_from(elf().len()).unwrap().to_le_bytes());
    image
}

fn payloads() -> Vec<(&'static str, Vec<u8>)> {
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&elf()).unwrap();
        encoder.finish().unwrap()
    };
    let bzip2 = {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
        encoder.write_all(&elf()).unwrap();
        encoder.finish().unwrap()
    };
    let xz = liblzma::encode_all(Cursor::new(elf()), 1).unwrap();
    let lzma = {
        let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(&elf()).unwrap();
        encoder.finish().unwrap()
    };
    let lz4 = {
        let block = lz4_flex::block::compress(&elf());
        let size = u32::try_from(block.len()).unwrap().to_le_bytes();
        [&[0x02, 0x21, 0x4c, 0x18][..], &size, &block].concat()
    };
    vec![
        ("gzip", gzip),
        ("bzip2", bzip2),
        ("xz", xz),
        ("lzma", lzma),
        ("lz4", lz4),
        ("zstd", zstd::encode_all(&elf()[..], 1).unwrap()),
    ]
}

#[test]
fn a_kernel_comes_out_of_every_compression() {
    let dir = tempfile::tempdir().unwrap();
    for (name, payload) in payloads() {
        let path = dir.path().join(name);
        std::fs::write(&path, image(&payload)).unwrap();
        let read = read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(read.compressed && read.bytes == elf(), "{name}");
        assert_eq!(read.version, "6.1.0-test", "{name}");
    }
}

#[test]
fn what_is_no_kernel_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for (bytes, reason) in [
        (b"hello".to_vec(), "neither an ELF nor a bzImage"),
        (image(b"garbage"), "compression is unknown"),
        (image(&payloads()[0].1)[..1100].to_vec(), "truncated"),
        (b"\x7fELF\x01\x01".to_vec(), "64-bit"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let Err(error) = read(&path) else {
            panic!("{reason}")
        };
        assert!(error.to_string().contains(reason), "{error}");
    }
}
