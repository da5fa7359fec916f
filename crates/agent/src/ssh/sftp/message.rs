//! Numbers of messages, and answers.

use banger_ssh::wire::Write;

use super::attributes::Attributes;
use super::failed::Failed;

pub(super) const INIT: u8 = 1;
pub(super) const VERSION: u8 = 2;
pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const WRITE: u8 = 6;
pub(super) const LSTAT: u8 = 7;
pub(super) const FSTAT: u8 = 8;
pub(super) const SETSTAT: u8 = 9;
pub(super) const FSETSTAT: u8 = 10;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const REMOVE: u8 = 13;
pub(super) const MKDIR: u8 = 14;
pub(super) const RMDIR: u8 = 15;
pub(super) const REALPATH: u8 = 16;
pub(super) const STAT: u8 = 17;
pub(super) const RENAME: u8 = 18;
pub(super) const READLINK: u8 = 19;
pub(super) const SYMLINK: u8 = 20;
pub(super) const STATUS: u8 = 101;
pub(super) const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
pub(super) const EXTENDED: u8 = 200;
const EXTENDED_REPLY: u8 = 201;

/// The answer to a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is done.
    Done,
    Failed(Failed),
    Handle(u32),
    Data(Vec<u8>),
    /// Names with what `ls -l` would say and their attributes.
    Names(Vec<(Vec<u8>, String, Attributes)>),
    Attributes(Attributes),
    /// Numbers of an extension.
    Numbers(Vec<u64>),
}

impl Answer {
    /// As a message to the request of this number.
    pub(super) fn encode(self, id: u32) -> Vec<u8> {
        let mut to = Vec::new();
        let mut begin = |kind| {
            to.put_byte(kind);
            to.put_number(id);
        };
        match self {
            Self::Done => {
                begin(STATUS);
                to.put_number(0);
                to.put_string(b"");
                to.put_string(b"");
            }
            Self::Failed(failed) => {
                begin(STATUS);
                let (number, words) = failed.status();
                to.put_number(number);
                to.put_string(words.as_bytes());
                to.put_string(b"");
            }
            Self::Handle(handle) => {
                begin(HANDLE);
                to.put_string(&handle.to_be_bytes());
            }
            Self::Data(data) => {
                begin(DATA);
                to.put_string(&data);
            }
            Self::Names(names) => {
                begin(NAME);
                // As many as were asked of the system at once.
                to.put_number(u32::try_from(names.len()).unwrap_or(u32::MAX));
                for (name, long, attributes) in names {
                    to.put_string(&name);
                    to.put_string(long.as_bytes());
                    attributes.put(&mut to);
                }
            }
            Self::Attributes(attributes) => {
                begin(ATTRS);
                attributes.put(&mut to);
            }
            Self::Numbers(numbers) => {
                begin(EXTENDED_REPLY);
                for number in numbers {
                    to.put_long(number);
                }
            }
        }
        framed(&to)
    }
}

/// A message with its length before it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    framed.put_string(message);
    framed
}
