//! Running git in the guest: scripts of ours for its shell. What comes back is a stranger's: it has bounds, and what is
//! printed of it has no control characters.

use std::time::Duration;

use banger_guest_api::{Channel, Control, Frame};
use banger_guest_link::Connection;
use banger_guest_link::budget::{self, Budget};

use banger_wire::{FrameReadError, FrameReader, FrameWriter};
use tokio::io::{ReadHalf, WriteHalf};

use crate::error::Error;
use crate::guest_error::GuestError;
use crate::target::Site;

/// The most bytes of a pack or a patch that a guest may send.
pub(crate) const MOST: u64 = 8 << 30;

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// The end of what a command complains is kept.
const WORDS: usize = 4 << 10;

/// How long a guest may take to say whether it has git: the work that is done for a user does not wait for that.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every script begins with: the guest's git is found and told to leave things alone, and there is a directory that
/// goes in the end. Exit codes 96 to 98 are ours.
const PREAMBLE: &str = r#"
command -v git >/dev/null 2>&1 || exit 97
export GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_PAGER=cat LC_ALL=C
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY
git() { command git -c core.fsmonitor=false -c core.splitIndex=false -c core.quotePath=true "$@"; }
[ "$(git rev-parse --show-prefix 2>/dev/null; echo $?)" = "
0" ] || exit 98
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM
"#;

/// What follows in scripts that look at all files: the tree of the work tree as it is, made beside the repository with an
/// index of its own. The guest's index and objects stay as they are. It sets `skipped` where git could not take all that there is:
/// then nobody knows what is unsaved. Names that git takes for `.git` on some file system are left out, which counts as that.
pub(crate) const SNAPSHOT: &str = r#"
objects=$(cd "$(git rev-parse --git-path objects)" && pwd) || exit 98
index=$(git rev-parse --git-path index)
mkdir -p "$tmp/objects/info"
[ ! -f "$index" ] || cp -p "$index" "$tmp/index" || exit 1
GIT_INDEX_FILE="$tmp/index" GIT_OBJECT_DIRECTORY="$tmp/objects" GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects"
export GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
git -c core.safecrlf=false -c core.protectHFS=true -c core.protectNTFS=true add -A --ignore-errors --no-warn-embedded-repo . \
  >/dev/null 2>"$tmp/complaints" || skipped=yes
# Of a directory that it cannot open, git says no more.
[ -z "$(sed -n '/^warning: could not open directory/p' "$tmp/complaints" 2>/dev/null)" ] || skipped=yes
tree=$(git write-tree) || exit 1
"#;

/// A script for the guest's shell.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    /// What it does, as the rest of "git could not".
    pub(crate) what: &'static str,
    /// The parts of its text.
    pub(crate) text: &'a [&'a str],
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// What it reads.
    pub(crate) input: Vec<u8>,
    /// The most bytes that it may print.
    pub(crate) most: u64,
}

impl Script<'_> {
    /// Runs it in the workspace and gives what it prints.
    pub(crate) async fn output(self, site: Site<'_>) -> Result<Vec<u8>, Error> {
        let mut running = self.start(site).await?;
        let mut output = Vec::new();
        while let Some(bytes) = running.next().await? {
            output.extend_from_slice(&bytes);
        }
        Ok(output)
    }

    /// Starts it. Dropping what this gives ends it.
    pub(crate) async fn start(self, site: Site<'_>) -> Result<Running, Error> {
        let text = format!("{PREAMBLE}{}", self.text.concat());
        self.run(site, text, Some(site.path.to_owned())).await
    }

    async fn run(self, site: Site<'_>, text: String, cwd: Option<String>) -> Result<Running, Error> {
        let what = self.what;
        let mut argv = vec!["sh".to_owned(), "-c".to_owned(), text, "banger".to_owned()];
        argv.extend(self.args);
        let (from, to) = tokio::io::split(site.exec(argv, cwd).await?);
        // Input is written beside the reading, or both sides could wait for each other.
        let feeding = tokio::spawn(feed(to, self.input));
        Ok(Running {
            what,
            path: site.path.to_owned(),
            frames: FrameReader::new(from, &[], CHUNK),
            _feeding: tokio_util::task::AbortOnDropHandle::new(feeding),
            words: Vec::new(),
            left: self.most,
            most: self.most,
            ended: false,
        })
    }
}

/// Whether the guest has no git. A guest that does not answer has not said so.
pub(crate) async fn lacks_git(site: Site<'_>) -> bool {
    let script = Script {
        what: "look for git",
        text: &[],
        args: Vec::new(),
        input: Vec::new(),
        most: 0,
    };
    let text = "command -v git >/dev/null 2>&1 || exit 97".to_owned();
    let asked = async {
        match script.run(site, text, None).await {
            Ok(mut running) => matches!(running.next().await, Err(Error::Guest(GuestError::NoGit { .. }))),
            Err(_) => false,
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or(false)
}

async fn feed(to: WriteHalf<Connection>, input: Vec<u8>) -> FrameWriter<WriteHalf<Connection>> {
    let mut to = FrameWriter::new(to);
    // A command that has ended takes no more; how it ended is told.
    if to.payload(Channel::Stdin, &input).await.is_ok() {
        let _ = to.end(Channel::Stdin).await;
    }
    to
}

/// A script that runs.
#[derive(Debug)]
pub(crate) struct Running {
    what: &'static str,
    path: String,
    frames: FrameReader<ReadHalf<Connection>>,
    _feeding: tokio_util::task::AbortOnDropHandle<FrameWriter<WriteHalf<Connection>>>,
    words: Vec<u8>,
    left: u64,
    most: u64,
    ended: bool,
}

impl Running {
    /// What it prints next; nothing when it has ended well.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let what = self.what;
        let nonsense = || GuestError::Answer { what };
        loop {
            let frame = self.frames.next().await.map_err(|error| match error {
                FrameReadError::Stream(error) => GuestError::Stream(error),
                FrameReadError::Frame(_) => nonsense(),
            })?;
            let cut = || GuestError::Stream(std::io::ErrorKind::UnexpectedEof.into());
            let Frame { channel, payload } = frame.ok_or_else(cut)?;
            match channel {
                Channel::Stdout => {
                    let most = self.most;
                    let left = self.left.checked_sub(payload.len() as u64);
                    self.left = left.ok_or(GuestError::TooMuch { what, most })?;
                    return Ok(Some(payload.to_vec()));
                }
                Channel::Stderr => {
                    self.words.extend_from_slice(payload);
                    let spare = self.words.len().saturating_sub(WORDS);
                    self.words.drain(..spare);
                }
                Channel::Control => {
                    let control = budget::decode(payload, Budget::SMALL).map_err(|_| nonsense())?;
                    if self.take(&control)? {
                        self.ended = true;
                        return Ok(None);
                    }
                }
                Channel::Stdin => return Err(nonsense().into()),
            }
        }
    }

    /// Whether it has ended well.
    fn take(&self, control: &Control) -> Result<bool, GuestError> {
        let what = self.what;
        match control {
            Control::Exit { status } => match status.shell_code() {
                0 => Ok(true),
                97 => Err(GuestError::NoGit { what }),
                96 => Err(GuestError::Partial {
                    what,
                    words: printable(&self.words),
                }),
                98 => Err(GuestError::Lost(self.path.clone())),
                code if self.words.iter().all(u8::is_ascii_whitespace) => Err(GuestError::Git {
                    what,
                    words: format!("it ended with {code}"),
                }),
                _ => Err(GuestError::Git {
                    what,
                    words: printable(&self.words),
                }),
            },
            // No shell, no directory: it says which.
            Control::Error { failure, exit_code } => match exit_code {
                127 => Err(GuestError::NoGit { what }),
                _ => Err(GuestError::Git {
                    what,
                    words: printable(budget::failure(failure.clone()).message.as_bytes()),
                }),
            },
            _ => Ok(false),
        }
    }
}

/// A guest's words without what a terminal would obey.
pub(crate) fn printable(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let visible = text.trim().chars().map(|char| match char {
        '\n' => char,
        char if char.is_control() => '\u{fffd}',
        char => char,
    });
    visible.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_words_do_not_reach_the_terminal_as_orders() {
        assert_eq!(
            printable(b"\x1b[2Jfatal:\r x\nb\x07\n"),
            "\u{fffd}[2Jfatal:\u{fffd} x\nb\u{fffd}"
        );
    }
}
