//! The marked block in a user's ssh configuration. The rest of the file belongs to the user.

const BEGIN: &[u8] = b"# BEGIN banger: written by `banger ssh-config --install`";
const END: &[u8] = b"# END banger";

/// The begin mark has no end mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no line `# END banger` after line `# BEGIN banger`")]
pub(crate) struct Unmatched;

/// The configuration with a block that includes `file`, which is already quoted. An existing block is replaced in
/// place; a new block goes to the top, before any line that applies only to some hosts.
pub(crate) fn installed(text: &[u8], file: &str) -> Result<Vec<u8>, Unmatched> {
    let block = [BEGIN, b"\nInclude ", file.as_bytes(), b"\n", END, b"\n"].concat();
    let (before, after) = split(text)?.unwrap_or((b"", text));
    Ok([before, &block, after].concat())
}

/// The configuration without the block.
pub(crate) fn removed(text: &[u8]) -> Result<Vec<u8>, Unmatched> {
    Ok(split(text)?.map_or_else(|| text.to_owned(), |(before, after)| [before, after].concat()))
}

/// The text before and after a block.
type Around<'a> = (&'a [u8], &'a [u8]);

fn split(text: &[u8]) -> Result<Option<Around<'_>>, Unmatched> {
    let mut begin = None;
    let mut at = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let next = at + line.len();
        let is = |mark: &[u8]| line.trim_ascii().starts_with(mark);
        match begin {
            None if is(b"# BEGIN banger") => begin = Some(at),
            Some(begin) if is(END) => return Ok(Some((&text[..begin], &text[next..]))),
            _ => {}
        }
        at = next;
    }
    match begin {
        Some(_) => Err(Unmatched),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_stays_as_it_is() {
        for text in [&b""[..], b"Host *\n\tUser me", b"\r\n# caf\xe9\r\nHost a\r\n"] {
            let with = installed(text, "\"/f\"").unwrap();
            assert_eq!(installed(&with, "\"/f\"").unwrap(), with);
            assert_eq!(removed(&with).unwrap(), text);
            assert_eq!(removed(text).unwrap(), text);
        }
    }

    #[test]
    fn a_block_is_renewed_in_its_place() {
        let text = b"Host a\n# BEGIN banger: old\nInclude x\n# END banger\nHost b\n";
        let with = installed(text, "\"/f\"").unwrap();
        let with = String::from_utf8(with).unwrap();
        assert!(with.starts_with("Host a\n# BEGIN banger: written"), "{with}");
        assert!(with.ends_with("Include \"/f\"\n# END banger\nHost b\n"), "{with}");
    }

    #[test]
    fn half_a_block_is_nobodys() {
        assert_eq!(installed(b"# BEGIN banger\nHost a\n", "f"), Err(Unmatched));
        assert_eq!(removed(b"# BEGIN banger"), Err(Unmatched));
    }
}
