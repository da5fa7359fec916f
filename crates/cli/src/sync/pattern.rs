//! Patterns of files to ignore, as gitignore(5) defines them.

/// A line of a file of patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    glob: Vec<u8>,
    /// It says what is not ignored.
    pub(super) keeps: bool,
    /// It means directories only.
    directory: bool,
    /// It is of the whole path below the file's directory, not of the last name.
    whole: bool,
}

/// The patterns of a file; what is none is passed over.
pub(super) fn patterns(text: &[u8]) -> Vec<Pattern> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    text.split(|&byte| byte == b'\n').filter_map(pattern).collect()
}

fn pattern(line: &[u8]) -> Option<Pattern> {
    let mut glob = line.strip_suffix(b"\r").unwrap_or(line);
    if glob.starts_with(b"#") {
        return None;
    }
    // Spaces at the end count only behind a backslash.
    while let Some(shorter) = glob.strip_suffix(b" ") {
        if shorter.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1 {
            break;
        }
        glob = shorter;
    }
    let keeps = glob.starts_with(b"!");
    glob = glob.strip_prefix(b"!").unwrap_or(glob);
    let directory = glob.ends_with(b"/");
    glob = glob.strip_suffix(b"/").unwrap_or(glob);
    let whole = glob.contains(&b'/');
    glob = glob.strip_prefix(b"/").unwrap_or(glob);
    (!glob.is_empty()).then(|| Pattern {
        glob: glob.to_vec(),
        keeps,
        directory,
        whole,
    })
}

impl Pattern {
    /// Whether `path` is meant, which is relative to the directory of the pattern's file.
    pub(super) fn means(&self, path: &[u8], is_dir: bool) -> bool {
        if self.directory && !is_dir {
            return false;
        }
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        glob(&self.glob, if self.whole { path } else { name }, true)
    }
}

/// Whether a glob matches a text: `*` and `?` stop at slashes, `**` between slashes is any number of directories.
/// `first` says that the glob begins here, or a slash is before it.
fn glob(glob: &[u8], text: &[u8], first: bool) -> bool {
    match glob {
        [] => text.is_empty(),
        [b'*', b'*'] if first => !text.is_empty(),
        [b'*', b'*', b'/', rest @ ..] if first => {
            let starts = (0..text.len()).filter(|&at| text[at] == b'/').map(|at| at + 1);
            std::iter::once(0)
                .chain(starts)
                .any(|at| self::glob(rest, &text[at..], true))
        }
        [b'*', rest @ ..] => {
            let rest = &rest[rest.iter().take_while(|&&byte| byte == b'*').count()..];
            let end = text.iter().position(|&byte| byte == b'/').unwrap_or(text.len());
            (0..=end).any(|at| self::glob(rest, &text[at..], false))
        }
        [b'?', rest @ ..] => {
            matches!(text, [byte, after @ ..] if *byte != b'/' && self::glob(rest, after, false))
        }
        [b'[', rest @ ..] => match (class(rest, text.first().copied()), text) {
            (Some((true, rest)), [byte, after @ ..]) if *byte != b'/' => self::glob(rest, after, false),
            _ => false,
        },
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
            matches!(text, [first, after @ ..] if first == byte && self::glob(rest, after, *byte == b'/'))
        }
    }
}

/// Whether a byte is of the class that begins behind `[`, and what follows the class; nothing if it has no end.
fn class(glob: &[u8], byte: Option<u8>) -> Option<(bool, &[u8])> {
    let (inverted, mut rest) = match glob {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let byte = byte.unwrap_or_default();
    let mut found = false;
    let mut is_first = true;
    loop {
        let (low, after) = match rest {
            [b']', after @ ..] if !is_first => return Some((found != inverted, after)),
            [b'[', b':', after @ ..] if after.windows(2).any(|end| end == b":]") => {
                let end = after.windows(2).position(|end| end == b":]")?;
                found |= is_of(&after[..end], byte);
                rest = &after[end + 2..];
                is_first = false;
                continue;
            }
            [b'\\', low, after @ ..] | [low, after @ ..] => (*low, after),
            [] => return None,
        };
        is_first = false;
        let (high, after) = match after {
            [b'-', b'\\', high, after @ ..] => (*high, after),
            [b'-', high, after @ ..] if *high != b']' => (*high, after),
            _ => (low, after),
        };
        found |= (low..=high).contains(&byte);
        rest = after;
    }
}

fn is_of(name: &[u8], byte: u8) -> bool {
    match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"lower" => byte.is_ascii_lowercase(),
        b"upper" => byte.is_ascii_uppercase(),
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Every pattern and every path, beside git itself.
    #[test]
    fn git_says_the_same() {
        let globs = [
            "a",
            "/a",
            "a/",
            "a/b",
            "/a/b",
            "*.o",
            "a*",
            "*a*",
            "a/*",
            "a/**",
            "**/b",
            "a/**/b",
            "**",
            "a**b",
            "?",
            "[ab]",
            "[!ab]",
            "[a-c]x",
            "[]a]",
            "\\!a",
            "\\#a",
            "a\\ ",
            "a ",
            "[[:digit:]]",
            "b/c",
            "**/b/c",
            "a/**/",
            "*/b",
            "[a",
            "x[",
            "\\*",
            "a/?/c",
            "*b*c",
            "[\\]]",
            "/*",
            "/**",
            "a//b",
            "dir/**/x.o",
        ];
        let paths = [
            "a",
            "b",
            "a/b",
            "a/b/c",
            "b/c",
            "c/b",
            "x.o",
            "a/x.o",
            "ab",
            "axb",
            "a/x/b",
            "ax",
            "bx",
            "]",
            "!a",
            "#a",
            "a ",
            "1",
            "x",
            "*",
            "abc",
            "x/b/c",
            "dir/x.o",
            "dir/y/x.o",
        ];
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            Command::new("git")
                .arg("-C")
                .arg(dir.path())
                .args(args)
                .output()
                .unwrap()
        };
        git(&["init", "-q"]);
        for line in globs {
            std::fs::write(dir.path().join(".gitignore"), format!("{line}\n")).unwrap();
            let said = git(&[&["check-ignore", "--no-index", "--"], &paths[..]].concat());
            let theirs: Vec<&str> = std::str::from_utf8(&said.stdout).unwrap().lines().collect();
            let pattern = patterns(line.as_bytes()).pop();
            let means =
                |path: &str, is_dir| pattern.as_ref().is_some_and(|p| p.means(path.as_bytes(), is_dir));
            let ours: Vec<&str> = paths
                .into_iter()
                .filter(|path| {
                    // None of them is there, so git takes the last part for a file.
                    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
                    means(path, false) || above.into_iter().any(|dir| means(dir, true))
                })
                .collect();
            let quoted = |paths: Vec<&str>| paths.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(quoted(ours), quoted(theirs), "{line:?}");
        }
    }

    #[test]
    fn comments_and_nothing_are_no_patterns() {
        assert_eq!(patterns(b"\n# a\n/\n  \n!\n").len(), 0);
        assert!(patterns(b"!a\r\n")[0].keeps);
    }
}
