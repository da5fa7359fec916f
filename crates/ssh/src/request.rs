//! Understanding what clients ask for.

use crate::event::{Listen, Open, Request, Terminal};
use crate::wire::Reader;
use crate::{Error, Refusal};

/// The longest command line that is run.
pub(crate) const MAX_COMMAND: usize = 256 << 10;

/// The longest name of a terminal, a subsystem or a signal.
const MAX_NAME: usize = 256;

/// A name that is text and no longer than names are; nothing when it is none, which refuses the request and no more.
fn name(from: &mut Reader<'_>) -> Result<Option<String>, Error> {
    let text = std::str::from_utf8(from.string()?).ok();
    Ok(text.filter(|text| text.len() <= MAX_NAME).map(str::to_owned))
}

/// What a channel is wanted to: the rest of a CHANNEL_OPEN.
pub(crate) fn open(kind: &[u8], from: &mut Reader<'_>) -> Result<Result<Open, Refusal>, Error> {
    Ok(Ok(match kind {
        b"session" => Open::Session,
        b"direct-tcpip" => match (name(from)?, u16::try_from(from.number()?)) {
            (Some(host), Ok(port)) => Open::Tcp { host, port },
            _ => return Ok(Err(Refusal::Connect)),
        },
        // OpenSSH's PROTOCOL, section 2.4.
        b"direct-streamlocal@openssh.com" => Open::Unix {
            path: from.string()?.to_vec(),
        },
        _ => return Ok(Err(Refusal::Unknown)),
    }))
}

/// Where to listen, and whether to begin or to end; nothing when it is something else.
pub(crate) fn listen(kind: &[u8], from: &mut Reader<'_>) -> Result<Option<(Listen, bool)>, Error> {
    let begin = match kind {
        b"tcpip-forward" | b"streamlocal-forward@openssh.com" => true,
        b"cancel-tcpip-forward" | b"cancel-streamlocal-forward@openssh.com" => false,
        _ => return Ok(None),
    };
    let at = if kind.ends_with(b"streamlocal-forward@openssh.com") {
        Listen::Unix {
            path: from.string()?.to_vec(),
        }
    } else {
        let (Some(address), Ok(port)) = (name(from)?, u16::try_from(from.number()?)) else {
            return Ok(None);
        };
        Listen::Tcp { address, port }
    };
    Ok(Some((at, begin)))
}

/// What is wanted of a session; nothing when nobody knows what it is.
pub(crate) fn session(kind: &[u8], from: &mut Reader<'_>) -> Result<Option<Request>, Error> {
    Ok(Some(match kind {
        b"pty-req" => {
            let kind = name(from)?;
            let (columns, rows) = (from.number()?, from.number()?);
            from.skip(4 + 4)?;
            let Some(kind) = kind else { return Ok(None) };
            Request::Terminal(Terminal {
                kind,
                columns,
                rows,
                modes: modes(from.string()?),
            })
        }
        b"env" => {
            // What is no text is no variable of ours; the command runs all the same.
            let (Ok(name), Ok(value)) = (
                std::str::from_utf8(from.string()?),
                std::str::from_utf8(from.string()?),
            ) else {
                return Ok(None);
            };
            Request::Variable {
                name: name.to_owned(),
                value: value.to_owned(),
            }
        }
        b"auth-agent-req@openssh.com" => Request::Agent,
        b"shell" => Request::Shell,
        b"exec" => {
            let line = from.string()?;
            if line.len() > MAX_COMMAND {
                return Ok(None);
            }
            Request::Command(line.to_vec())
        }
        b"subsystem" => match name(from)? {
            Some(name) => Request::Subsystem(name),
            None => return Ok(None),
        },
        b"window-change" => Request::Resize {
            columns: from.number()?,
            rows: from.number()?,
        },
        b"signal" => match name(from)? {
            Some(name) => Request::Signal(name),
            None => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

/// Terminal modes: a number of one byte and its value, up to a zero or a number that is not of this form.
fn modes(bytes: &[u8]) -> Vec<(u8, u32)> {
    let mut from = Reader::new(bytes);
    let next = || {
        let number = from.byte().ok().filter(|number| (1..160).contains(number))?;
        Some((number, from.number().ok()?))
    };
    std::iter::from_fn(next).collect()
}
