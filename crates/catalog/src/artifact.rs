//! Artifacts: one kernel in a tar with zstd (RFC 8878), laid out as in the store.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use banger_bounded::Budget;
use banger_kernel::{KernelRecord, RECORD};
use banger_model::KernelName;
use banger_store::{Digest, Digesting, OfFile, files};
use tar::{Archive, Builder, Entry, EntryType, Header};

use crate::error::Error;
use crate::fault::{Fault, LARGEST};

/// The most bytes of a record.
const LONGEST_RECORD: u64 = 1 << 20;

/// Kernels are packed once and pulled often; above this level zstd gains little and takes much longer.
const LEVEL: i32 = 12;

/// Packs a kernel, the same way each time, into `to`. Gives the artifact's digest and length.
pub(crate) fn pack(record: &KernelRecord, to: &mut File) -> Result<(Digest, u64), Error> {
    let failed = |source| Error::Pack {
        name: record.name.to_string(),
        source,
    };
    let encoder = zstd::Encoder::new(Digesting::new(to), LEVEL).map_err(failed)?;
    let mut tar = Builder::new(encoder);
    // Of the paths in a record only the last parts matter.
    let portable = record.clone().at(Path::new(""));
    let text = files::record(&portable);
    append(&mut tar, RECORD, text.len() as u64, &text[..]).map_err(failed)?;
    let one = [
        Some(&record.vmlinux),
        record.vmlinuz.as_ref(),
        record.initrd.as_ref(),
    ];
    for path in one.into_iter().flatten() {
        append_file(&mut tar, "", path).map_err(failed)?;
    }
    for module in &record.modules {
        append_file(&mut tar, "modules/", &record.modules_dir.join(module)).map_err(failed)?;
    }
    let encoder = tar.into_inner().map_err(failed)?;
    let mut digesting = encoder.finish().map_err(failed)?;
    digesting.flush().map_err(failed)?;
    let bytes = digesting.bytes();
    Ok((digesting.finish().1, bytes))
}

fn append_file(tar: &mut Builder<impl Write>, dir: &str, path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    append(tar, &format!("{dir}{name}"), bytes, file)
}

fn append(tar: &mut Builder<impl Write>, name: &str, bytes: u64, from: impl Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, Exact { from, left: bytes })
}

/// Exactly so many bytes: a file that shrinks while it is packed would shift all that follows in the tar.
struct Exact<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.from).take(self.left).read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Unpacks an artifact into `dir` and gives its record, whose paths mean nothing yet. Only what a kernel has is taken,
/// so no name of the archive ever becomes another path than one below `dir`.
pub(crate) fn unpack(name: &KernelName, artifact: &Path, dir: &Path) -> Result<KernelRecord, Error> {
    let failed = |source| Error::Unpack {
        name: name.to_string(),
        source,
    };
    let fault = |fault| Error::Artifact {
        name: name.to_string(),
        fault,
    };
    let file = File::open(artifact).of("open", artifact)?;
    let mut decoder = zstd::Decoder::new(file).map_err(failed)?;
    decoder
        .window_log_max(Budget::default().window_log())
        .map_err(failed)?;
    let mut archive = Archive::new(decoder);
    let (mut record, mut all) = (None, 0_u64);
    // As they are: long names and extended headers would be read into memory, whatever length they say.
    for entry in archive.entries().map_err(failed)?.raw(true) {
        let mut entry = entry.map_err(failed)?;
        let part = part(&entry).map_err(fault)?;
        all = all.saturating_add(entry.size());
        if all > LARGEST {
            return Err(fault(Fault::TooLarge));
        }
        match part {
            Part::Modules | Part::Extension => {}
            Part::Record if record.is_some() => return Err(fault(Fault::Twice(RECORD.to_owned()))),
            Part::Record => {
                let mut text = Vec::new();
                (&mut entry)
                    .take(LONGEST_RECORD)
                    .read_to_end(&mut text)
                    .map_err(failed)?;
                let parsed = serde_json::from_slice(&text);
                record = Some(parsed.map_err(|error| fault(Fault::Record(error)))?);
            }
            Part::File(file) => {
                let path = dir.join(&file);
                if path.exists() {
                    return Err(fault(Fault::Twice(file)));
                }
                files::make_dir(path.parent().unwrap_or(dir))?;
                let mut to = files::make_file(&path)?;
                let written = io::copy(&mut entry, &mut to).map_err(failed)?;
                if written != entry.size() {
                    return Err(failed(io::ErrorKind::UnexpectedEof.into()));
                }
                to.sync_all().of("sync", &path)?;
            }
        }
    }
    let modules = dir.join("modules");
    if modules.exists() {
        File::open(&modules)
            .and_then(|dir| dir.sync_all())
            .of("sync", &modules)?;
    }
    record.ok_or_else(|| fault(Fault::Missing(RECORD.to_owned())))
}

/// What an entry is of a kernel.
enum Part {
    Record,
    /// The directory of the modules, which some packers write down.
    Modules,
    /// An extended header, of which a kernel needs nothing.
    Extension,
    /// A file, at this path below the kernel's directory.
    File(String),
}

fn part(entry: &Entry<'_, impl Read>) -> Result<Part, Fault> {
    if matches!(
        entry.header().entry_type(),
        EntryType::XHeader | EntryType::XGlobalHeader
    ) {
        return Ok(Part::Extension);
    }
    let bytes = entry.path_bytes();
    // Shown in messages, so nothing that a terminal would obey.
    let shown = || bytes.escape_ascii().to_string();
    let path = std::str::from_utf8(&bytes).map_err(|_| Fault::Unknown(shown()))?;
    if path.starts_with('/') {
        return Err(Fault::Absolute(shown()));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(Fault::Escapes(shown()));
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    let kind = entry.header().entry_type();
    if kind == EntryType::Directory && matches!(path.trim_end_matches('/'), "modules" | "." | "") {
        return Ok(Part::Modules);
    }
    if kind != EntryType::Regular {
        return Err(Fault::Kind(shown()));
    }
    match path {
        RECORD => Ok(Part::Record),
        "vmlinux" | "vmlinuz" | "initrd" => Ok(Part::File(path.to_owned())),
        _ => match path.strip_prefix("modules/") {
            Some(module) if is_file_name(module) => Ok(Part::File(path.to_owned())),
            _ => Err(Fault::Unknown(shown())),
        },
    }
}

/// Whether a module may have this name: nothing that could be a path.
pub(crate) fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    !matches!(name, "" | "." | "..") && name.bytes().all(plain)
}
