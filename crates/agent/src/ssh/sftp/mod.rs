//! SFTP, version 3 (draft-ietf-secsh-filexfer-02), with the extensions of OpenSSH's PROTOCOL that clients use. Names are
//! bytes. It blocks, in a thread of its own, with the rights of the user that the process has become.

mod attributes;
mod failed;
mod files;
mod message;
mod names;

use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use banger_ssh::wire::{Reader, Write};

use crate::endings::Held;
use failed::Failed;
use files::Files;
use message::Answer;

/// The longest message of a client: what `limits@openssh.com` tells, and some words.
const MAX_MESSAGE: usize = (256 << 10) + 1024;

/// The protocol's version.
const VERSION: u32 = 3;

/// What we can beside it, each in the version that OpenSSH gives it.
const EXTENSIONS: [(&str, &str); 9] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
];

/// Serves one client, to its end. Relative names are below `home`.
pub(super) fn serve(mut stream: UnixStream, home: &Path) {
    // A signal to end is the process's first thread's matter.
    let _held = Held::hold();
    let mut files = Files::new(home);
    // A client that leaves, or speaks something else, has nobody to tell.
    while let Ok(Some(request)) = receive(&mut stream) {
        let Some(answer) = answer(&mut files, &request) else {
            return;
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// The next message, without its length; none at the end.
fn receive(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

/// The whole answer to a request; nothing when what came is no request.
fn answer(files: &mut Files, request: &[u8]) -> Option<Vec<u8>> {
    let mut from = Reader::new(request);
    let kind = from.byte().ok()?;
    if kind == message::INIT {
        let mut answer = vec![message::VERSION];
        answer.put_number(VERSION);
        for (name, version) in EXTENSIONS {
            answer.put_string(name.as_bytes());
            answer.put_string(version.as_bytes());
        }
        return Some(message::framed(&answer));
    }
    let id = from.number().ok()?;
    let done = perform(files, kind, from).unwrap_or_else(Answer::Failed);
    Some(done.encode(id))
}

fn perform(files: &mut Files, kind: u8, mut from: Reader<'_>) -> Result<Answer, Failed> {
    let from = &mut from;
    match kind {
        message::OPEN => files.open(from),
        message::CLOSE => files.close(from),
        message::READ => files.read(from),
        message::WRITE => files.write(from),
        message::FSTAT => files.fstat(from),
        message::FSETSTAT => files.fsetstat(from),
        message::OPENDIR => files.opendir(from),
        message::READDIR => files.readdir(from),
        message::STAT => files.names().stat(from),
        message::LSTAT => files.names().lstat(from),
        message::SETSTAT => files.names().setstat(from, true),
        message::REMOVE => files.names().remove(from),
        message::MKDIR => files.names().mkdir(from),
        message::RMDIR => files.names().rmdir(from),
        message::REALPATH => files.names().realpath(from),
        message::RENAME => files.names().rename(from),
        message::READLINK => files.names().readlink(from),
        message::SYMLINK => files.names().symlink(from),
        message::EXTENDED => match from.string()? {
            b"posix-rename@openssh.com" => files.names().posix_rename(from),
            b"statvfs@openssh.com" => files.names().statvfs(from),
            b"fstatvfs@openssh.com" => files.fstatvfs(from),
            b"hardlink@openssh.com" => files.names().hardlink(from),
            b"fsync@openssh.com" => files.fsync(from),
            b"lsetstat@openssh.com" => files.names().setstat(from, false),
            b"limits@openssh.com" => Ok(files::limits()),
            b"expand-path@openssh.com" => files.names().expand(from),
            b"copy-data" => files.copy_data(from),
            _ => Err(Failed::Unsupported),
        },
        _ => Err(Failed::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(files: &mut Files, kind: u8, put: impl FnOnce(&mut Vec<u8>)) -> (u8, Vec<u8>) {
        let mut request = vec![kind];
        request.put_number(7);
        put(&mut request);
        let answer = answer(files, &request).unwrap();
        let mut from = Reader::new(&answer);
        assert_eq!(from.number().unwrap() as usize, answer.len() - 4);
        let kind = from.byte().unwrap();
        assert_eq!(from.number().unwrap(), 7);
        (kind, answer[9..].to_vec())
    }

    fn code(answer: (u8, Vec<u8>)) -> u32 {
        assert_eq!(answer.0, message::STATUS);
        Reader::new(&answer.1).number().unwrap()
    }

    #[test]
    fn a_file_of_any_name_is_written_read_and_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path());
        let name = b"na\xffme";
        let (kind, handle) = ask(&mut files, message::OPEN, |to| {
            to.put_string(name);
            to.put_number(0x02 | 0x08 | 0x20);
            to.put_number(4);
            to.put_number(0o640);
        });
        assert_eq!(kind, message::HANDLE);
        let handle = Reader::new(&handle).string().unwrap().to_vec();
        let written = ask(&mut files, message::WRITE, |to| {
            to.put_string(&handle);
            to.put_long(3);
            to.put_string(b"abc");
        });
        assert_eq!(code(written), 0);
        assert_eq!(
            code(ask(&mut files, message::CLOSE, |to| to.put_string(&handle))),
            0
        );
        assert_eq!(
            code(ask(&mut files, message::CLOSE, |to| to.put_string(&handle))),
            4
        );
        // A rename takes nothing's place; the POSIX one does.
        std::fs::write(dir.path().join("there"), "old").unwrap();
        let rename = |to: &mut Vec<u8>| {
            to.put_string(name);
            to.put_string(b"there");
        };
        assert_eq!(code(ask(&mut files, message::RENAME, rename)), 4);
        let posix = ask(&mut files, message::EXTENDED, |to| {
            to.put_string(b"posix-rename@openssh.com");
            rename(to);
        });
        assert_eq!(code(posix), 0);
        assert_eq!(std::fs::read(dir.path().join("there")).unwrap(), b"\0\0\0abc");
        assert_eq!(
            code(ask(&mut files, message::STAT, |to| to.put_string(b"none"))),
            2
        );
    }

    /// Opens a file for reading and writing.
    fn open(files: &mut Files, name: &str) -> Vec<u8> {
        let (kind, handle) = ask(files, message::OPEN, |to| {
            to.put_string(name.as_bytes());
            to.put_number(0x01 | 0x02 | 0x08);
            to.put_number(0);
        });
        assert_eq!(kind, message::HANDLE);
        Reader::new(&handle).string().unwrap().to_vec()
    }

    fn copy(files: &mut Files, from: (&[u8], u64), length: u64, to: (&[u8], u64)) -> u32 {
        code(ask(files, message::EXTENDED, |request| {
            request.put_string(b"copy-data");
            request.put_string(from.0);
            request.put_long(from.1);
            request.put_long(length);
            request.put_string(to.0);
            request.put_long(to.1);
        }))
    }

    #[test]
    fn data_is_copied_between_handles() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path());
        let content: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
        std::fs::write(dir.path().join("from"), &content).unwrap();
        let (from, to) = (open(&mut files, "from"), open(&mut files, "to"));
        let read = |name| std::fs::read(dir.path().join(name)).unwrap();
        // No length is all there is, however long.
        assert_eq!(copy(&mut files, (&from, 0), 0, (&to, 0)), 0);
        assert_eq!(read("to"), content);
        // A part to another place; beyond the end, as much as there is.
        assert_eq!(copy(&mut files, (&from, 10), 5, (&to, 1)), 0);
        assert_eq!(read("to")[..8], [0, 10, 11, 12, 13, 14, 6, 7]);
        assert_eq!(copy(&mut files, (&from, 2_999_999), 9_000, (&to, 3_000_000)), 0);
        assert_eq!(read("to").len(), 3_000_001);
        assert_eq!(copy(&mut files, (&from, u64::MAX), 1, (&to, 0)), 4);
        // Within a file: apart, yes; onto itself, no, by whatever handle.
        std::fs::hard_link(dir.path().join("to"), dir.path().join("link")).unwrap();
        assert_eq!(copy(&mut files, (&to, 0), 4, (&to, 4)), 0);
        assert_eq!(read("to")[..8], [0, 10, 11, 12, 0, 10, 11, 12]);
        let before = read("to");
        let link = open(&mut files, "link");
        for (at, length, to_at) in [(0, 0, 1), (0, 5, 4), (4, 5, 0), (0, 0, 0), (1, u64::MAX, 0)] {
            assert_eq!(
                copy(&mut files, (&to, at), length, (&link, to_at)),
                4,
                "{at} {length} {to_at}"
            );
        }
        assert_eq!(read("to"), before);
        assert_eq!(copy(&mut files, (b"none", 0), 0, (&to, 0)), 4);
    }

    #[test]
    fn handles_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path());
        let mut open = 0;
        while ask(&mut files, message::OPENDIR, |to| to.put_string(b".")).0 == message::HANDLE {
            open += 1;
        }
        assert_eq!(open, files::MAX_HANDLES);
    }

    #[test]
    fn what_is_cut_short_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path());
        for kind in 0..=u8::MAX {
            if kind != message::INIT {
                ask(&mut files, kind, |to| to.put_byte(0));
            }
        }
        assert_eq!(answer(&mut files, &[message::STAT, 0]), None);
    }
}
