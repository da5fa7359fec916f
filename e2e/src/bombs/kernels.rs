//! Kernels and packages of kernels that were made to exhaust whoever takes them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Result;

use super::tars::{entry, gzip, xz_head, zstd_head};

/// Writes all of them into `dir`: their names, and the arguments of `banger kernel import NAME` that take them.
///
/// # Errors
/// When one cannot be written.
pub fn all(dir: &Path) -> Result<Vec<(&'static str, Vec<String>)>> {
    let zeros = zeros(1_200)?;
    let files: Vec<(&'static str, &str, Vec<u8>)> = vec![
        ("zstd-of-1200-mib", "--vmlinuz", bz_image(&zeros)),
        ("xz-dictionary-4gib", "--vmlinuz", bz_image(&xz_head(40))),
        ("zstd-window-3tib", "--vmlinuz", bz_image(&zstd_head(0xff))),
        ("lzma-dictionary-4gib", "--vmlinuz", bz_image(&lzma_head())),
        ("lz4-of-blocks", "--vmlinuz", bz_image(&lz4_blocks())),
        ("payload-beyond-its-end", "--vmlinuz", {
            let mut image = bz_image(&[]);
            image[0x248..0x250].fill(0xff);
            image
        }),
        ("elf-of-many-sections", "--vmlinux", elf_of_many_sections()),
        ("deb-of-zeros", "--deb", deb("data.tar.zst", &zeros)),
        (
            "deb-xz-dictionary-4gib",
            "--deb",
            deb("data.tar.xz", &xz_head(40)),
        ),
        ("deb-of-many-files", "--deb", deb("data.tar.zst", &many_files())),
        (
            "deb-of-a-long-name",
            "--deb",
            deb("data.tar.gz", &gzip(&entry(b'L', "x", &vec![b'x'; 8 << 20]))),
        ),
        ("deb-member-beyond-its-end", "--deb", {
            let mut deb = deb("debian-binary", b"");
            deb[8 + 48..8 + 58].copy_from_slice(b"9999999999");
            deb
        }),
    ];
    let mut made = Vec::new();
    for (name, option, bytes) in files {
        let path = dir.join(name);
        fs::write(&path, bytes)?;
        made.push((name, vec![option.to_owned(), path.display().to_string()]));
    }
    // Files without blocks, as long as a file system allows.
    for (name, option) in [
        ("vmlinux-of-4-tib", "--vmlinux"),
        ("vmlinuz-of-4-tib", "--vmlinuz"),
    ] {
        let path = dir.join(name);
        File::create(&path)?.set_len(4 << 40)?;
        made.push((name, vec![option.to_owned(), path.display().to_string()]));
    }
    let kernel = dir.join("kernel");
    let mut program = Vec::new();
    File::open("/bin/busybox")?.read_to_end(&mut program)?;
    fs::write(&kernel, [&program[..], b"Linux version 0 "].concat())?;
    let initrd = dir.join("vmlinux-of-4-tib");
    let path = |path: &Path| path.display().to_string();
    made.push((
        "initrd-of-4-tib",
        vec![
            "--vmlinux".to_owned(),
            path(&kernel),
            "--initrd".to_owned(),
            path(&initrd),
        ],
    ));
    Ok(made)
}

/// So many MiB of nothing, packed.
fn zeros(mib: usize) -> Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1)?;
    let piece = vec![0; 1 << 20];
    (0..mib).try_for_each(|_| encoder.write_all(&piece))?;
    Ok(encoder.finish()?)
}

/// A bzImage with this payload (the kernel's `arch/x86/boot.rst`, "The Real-Mode Kernel Header").
fn bz_image(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    image.extend_from_slice(payload);
    image
}

/// The head of an LZMA file (the LZMA SDK's `lzma.txt`): its properties, the largest dictionary, and no known length.
fn lzma_head() -> Vec<u8> {
    [
        &[0x5d][..],
        &u32::MAX.to_le_bytes(),
        &u64::MAX.to_le_bytes(),
        &[0; 16],
    ]
    .concat()
}

/// LZ4's legacy frame, whose blocks unpack to 8 MiB each.
fn lz4_blocks() -> Vec<u8> {
    // One literal, then the same again for as long as a block is: 255 is said for each 255 bytes.
    let mut block = vec![0x1f, 0, 1, 0];
    block.extend(std::iter::repeat_n(255, (8 << 20) / 255 - 2));
    block.extend_from_slice(&[0, 0x50, 0, 0, 0, 0, 0]);
    let len = u32::try_from(block.len()).unwrap_or_default().to_le_bytes();
    let one = [&len[..], &block].concat();
    [&[0x02, 0x21, 0x4c, 0x18][..], &one.repeat(150)].concat()
}

fn elf_of_many_sections() -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    elf[18] = 62;
    // Where its sections are, and how many.
    elf[0x28..0x30].fill(0xff);
    elf[0x3a..0x40].fill(0xff);
    elf.extend_from_slice(b"Linux version 0 ");
    elf
}

/// A Debian package (deb(5)) with this one member.
fn deb(name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
        0,
        0,
        0,
        "100644",
        content.len()
    );
    [b"!<arch>\n", head.as_bytes(), content].concat()
}

fn many_files() -> Vec<u8> {
    // Files that are no kernel's, so that none is kept.
    let some: Vec<u8> = (0..1_000)
        .flat_map(|number| entry(b'0', &format!("usr/{number}"), b""))
        .collect();
    zstd::encode_all(&some.repeat(201)[..], 1).unwrap_or_default()
}
