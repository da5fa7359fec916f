//! Names that some file system takes for `.git`, as git protects them (`core.protectHFS`, `core.protectNTFS`).

/// Code points that HFS+ does not see in a name.
const IGNORED: [(char, char); 5] = [
    ('\u{200c}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{206a}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ad}', '\u{ad}'),
];

/// Whether a part of a path is `.git` in any spelling: of another case, with characters that are not seen, with what NTFS drops
/// from its end, or its short name there.
#[must_use]
pub fn is_git_name(part: &[u8]) -> bool {
    let text = String::from_utf8_lossy(part);
    let is_ignored = |c: &char| IGNORED.iter().any(|(first, last)| (first..=last).contains(&c));
    // A backslash ends a name for NTFS, and a colon begins that of a stream in the file.
    text.split('\\').any(|name| {
        let seen: String = name.chars().filter(|c| !is_ignored(c)).collect();
        let seen = seen.split(':').next().unwrap_or_default();
        let seen = seen.trim_end_matches(['.', ' ']);
        seen.eq_ignore_ascii_case(".git") || seen.eq_ignore_ascii_case("git~1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_git_somewhere_are_known() {
        for name in [
            ".git",
            ".GIT",
            ".gIt",
            ".git.",
            ".git . ",
            ".git::$INDEX_ALLOCATION",
            "git~1",
            "GIT~1",
            ".g\u{200c}it",
            "\u{feff}.git",
            "x\\.git",
            ".git\\hooks",
        ] {
            assert!(is_git_name(name.as_bytes()), "{name}");
        }
        for name in [
            ".gitignore",
            "git",
            "a.git",
            "git~2",
            ".git~1",
            ".gi",
            "",
            ".github",
        ] {
            assert!(!is_git_name(name.as_bytes()), "{name}");
        }
    }
}
