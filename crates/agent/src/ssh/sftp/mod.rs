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
mod tests;
