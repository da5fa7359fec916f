//! The two forms of an x86 kernel: the ELF, and the bzImage that has it compressed (the kernel's `arch/x86/boot.rst`).

use std::io::{self, Cursor, Read};
use std::path::Path;

use banger_bounded::{Budget, Exceeded, exceeded, read_whole};
use banger_store::OfFile;
use liblzma::stream::Stream;

use crate::error::Error;

const ELF: &[u8] = b"\x7fELF";
/// The most bytes that a kernel unpacks to.
pub(crate) const LARGEST: u64 = 1 << 30;
const WHAT: &str = "kernel";

/// A kernel's ELF.
pub(crate) struct Elf {
    pub(crate) bytes: Vec<u8>,
    /// Whether it was in a bzImage.
    pub(crate) compressed: bool,
    /// Its release, such as `6.1.0-56-cloud-amd64`.
    pub(crate) version: String,
}

/// Reads a kernel in either form.
pub(crate) fn read(path: &Path) -> Result<Elf, Error> {
    let file = std::fs::File::open(path).of("open", path)?;
    let bytes = read_whole(WHAT, LARGEST, file).of("read", path)?;
    let fault = |fault: String| Error::NoKernel {
        path: path.to_owned(),
        fault,
    };
    let compressed = !bytes.starts_with(ELF);
    let bytes = if compressed {
        let payload = payload(&bytes).map_err(|why| fault(why.to_owned()))?;
        unpack(payload).map_err(|error| match exceeded(&error) {
            Some(exceeded) => exceeded.into(),
            None => fault(format!("its payload cannot be unpacked: {error}")),
        })?
    } else {
        bytes
    };
    check(&bytes).map_err(|why| fault(why.to_owned()))?;
    // Every Linux kernel has its banner in it, and no other executable looks like one.
    let version =
        version(&bytes).ok_or_else(|| fault("it is an executable, but not a Linux kernel".to_owned()))?;
    Ok(Elf {
        bytes,
        compressed,
        version,
    })
}

/// The release of the kernel in this file.
///
/// # Errors
/// When it is no kernel.
pub fn version_of(path: &Path) -> Result<String, Error> {
    read(path).map(|elf| elf.version)
}

/// The machines that the ELF in this file is for, as in `uname -m` (`e_machine` of the ELF specification).
///
/// # Errors
/// When it cannot be read, or is for an unknown kind of machine.
pub fn arch_of(path: &Path) -> Result<&'static str, Error> {
    let mut header = [0; 20];
    let mut file = std::fs::File::open(path).of("open", path)?;
    file.read_exact(&mut header).of("read", path)?;
    match u16::from_le_bytes([header[18], header[19]]) {
        62 => Ok("x86_64"),
        183 => Ok("aarch64"),
        243 => Ok("riscv64"),
        other => Err(Error::NoKernel {
            path: path.to_owned(),
            fault: format!("it is for an unknown architecture ({other})"),
        }),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The compressed kernel in a bzImage: `payload_offset` and `payload_length` of the setup header count from the end of
/// the real-mode part, which has one sector more than `setup_sects` says.
fn payload(image: &[u8]) -> Result<&[u8], &'static str> {
    const NONE: &str = "it is neither an ELF nor a bzImage";
    if image.get(0x202..0x206) != Some(b"HdrS") {
        return Err(NONE);
    }
    if u16_at(image, 0x206).ok_or(NONE)? < 0x0208 {
        return Err("its boot protocol is older than 2.08 and does not contain the position of the kernel");
    }
    let sectors = match image[0x1f1] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let offset = u32_at(image, 0x248).ok_or(NONE)? as usize;
    let length = u32_at(image, 0x24c).ok_or(NONE)? as usize;
    let start = (sectors + 1) * 512 + offset;
    image
        .get(start..)
        .and_then(|rest| rest.get(..length))
        .ok_or("it is truncated")
}

/// Unpacks by the first bytes. What follows the compressed stream (the kernel's build adds its length) is left.
fn unpack(payload: &[u8]) -> io::Result<Vec<u8>> {
    let from = Cursor::new(payload);
    let budget = Budget::default();
    let reader: Box<dyn Read> = match payload {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(from)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = Stream::new_stream_decoder(budget.dictionary(), 0)?;
            Box::new(liblzma::read::XzDecoder::new_stream(from, stream))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::Decoder::new(from)?.single_frame();
            decoder.window_log_max(budget.window_log())?;
            Box::new(decoder)
        }
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::read::BzDecoder::new(from)),
        [0x5d, 0, 0, ..] => {
            let stream = Stream::new_lzma_decoder(budget.dictionary())?;
            Box::new(liblzma::read::XzDecoder::new_stream(from, stream))
        }
        [0x02, 0x21, 0x4c, 0x18, rest @ ..] => return unpack_lz4(rest),
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its compression is unknown",
            ));
        }
    };
    read_whole(WHAT, LARGEST, reader)
}

/// LZ4's legacy frame (its `doc/lz4_Frame_format.md`): blocks with their compressed size in front, each of 8 MiB but
/// the last. The four bytes that the kernel's build adds are no block.
fn unpack_lz4(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    const BLOCK: usize = 8 << 20;
    let mut bytes = Vec::new();
    while let Some(size) = u32_at(rest, 0) {
        let Some(block) = rest.get(4..4 + size as usize) else {
            break;
        };
        let unpacked = lz4_flex::block::decompress(block, BLOCK).map_err(io::Error::other)?;
        bytes.extend_from_slice(&unpacked);
        if bytes.len() as u64 > LARGEST {
            let (what, most) = (WHAT, LARGEST);
            return Err(Exceeded::Part { what, most }.into());
        }
        rest = &rest[4 + size as usize..];
    }
    Ok(bytes)
}

/// A 64-bit little-endian executable (the ELF specification, `e_ident` and `e_type`).
fn check(elf: &[u8]) -> Result<(), &'static str> {
    if !elf.starts_with(ELF) {
        return Err("its content is not an ELF");
    }
    if elf.get(4..6) != Some(&[2, 1]) {
        return Err("it is not for a 64-bit little-endian machine");
    }
    // Relocatable kernels are marked as shared objects on some architectures.
    match u16_at(elf, 16) {
        Some(2 | 3) => Ok(()),
        _ => Err("its ELF is not an executable"),
    }
}

/// The release in the kernel's banner.
fn version(elf: &[u8]) -> Option<String> {
    let banner = b"Linux version ";
    let at = find(elf, banner)? + banner.len();
    let release = elf[at..]
        .iter()
        .take(128)
        .take_while(|byte| byte.is_ascii_graphic());
    let release: Vec<u8> = release.copied().collect();
    // A format string has the same words in front.
    (!release.contains(&b'%')).then(|| String::from_utf8_lossy(&release).into_owned())
}

/// The configuration that `CONFIG_IKCONFIG` puts into a kernel.
pub(crate) fn embedded_config(elf: &[u8]) -> Option<String> {
    let mark = b"IKCFG_ST";
    let at = find(elf, mark)? + mark.len();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&elf[at..])
        .take(4 << 20)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle[0];
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|&byte| byte == first) {
        at += next;
        if bytes[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// What the ELF itself tells: `pvh` when it has the note that QEMU boots an ELF by (Xen's `XEN_ELFNOTE_PHYS32_ENTRY`).
pub(crate) fn supports(elf: &[u8]) -> Vec<String> {
    if has_pvh_note(elf).unwrap_or_default() {
        vec!["pvh".to_owned()]
    } else {
        Vec::new()
    }
}

fn has_pvh_note(elf: &[u8]) -> Option<bool> {
    const PT_NOTE: u32 = 4;
    const PHYS32_ENTRY: u32 = 18;
    let (table, size) = (
        usize::try_from(u64_at(elf, 32)?).ok()?,
        usize::from(u16_at(elf, 54)?),
    );
    for index in 0..usize::from(u16_at(elf, 56)?) {
        let header = elf.get(table + index * size..)?;
        if u32_at(header, 0)? != PT_NOTE {
            continue;
        }
        let (start, length) = (
            usize::try_from(u64_at(header, 8)?).ok()?,
            usize::try_from(u64_at(header, 32)?).ok()?,
        );
        let mut notes = elf.get(start..start.checked_add(length)?)?;
        while notes.len() >= 12 {
            let (name, value, kind) = (
                u32_at(notes, 0)? as usize,
                u32_at(notes, 4)? as usize,
                u32_at(notes, 8)?,
            );
            if kind == PHYS32_ENTRY && notes.get(12..16) == Some(b"Xen\0") {
                return Some(true);
            }
            let next = 12 + name.next_multiple_of(4) + value.next_multiple_of(4);
            notes = notes.get(next..).unwrap_or_default();
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests;
