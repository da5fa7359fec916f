//! The form of error texts, as the style of this project has it: an error states what failed, in lower case, without a final
//! period, and is no bare imperative.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::repository;

/// What an error text begins with in the source.
const ATTRIBUTE: &str = "#[error(";

/// Directories with the sources that are looked at.
const SOURCES: [&str; 3] = ["crates", "e2e", "xtask"];

/// Verbs that would be a bare imperative as first word: "open the disk" instead of "failed to open the disk".
const IMPERATIVES: &[&str] = &[
    "accept",
    "add",
    "allow",
    "apply",
    "ask",
    "bind",
    "boot",
    "bring",
    "build",
    "change",
    "check",
    "choose",
    "close",
    "compare",
    "configure",
    "connect",
    "convert",
    "copy",
    "create",
    "delete",
    "detach",
    "download",
    "execute",
    "extract",
    "fetch",
    "find",
    "follow",
    "forget",
    "get",
    "give",
    "grow",
    "hear",
    "import",
    "inspect",
    "install",
    "keep",
    "launch",
    "list",
    "listen",
    "load",
    "lock",
    "look",
    "make",
    "mount",
    "move",
    "open",
    "pack",
    "parse",
    "prepare",
    "pull",
    "push",
    "put",
    "reach",
    "read",
    "receive",
    "release",
    "remove",
    "rename",
    "replace",
    "reset",
    "resolve",
    "restart",
    "restore",
    "run",
    "save",
    "see",
    "send",
    "serve",
    "set",
    "show",
    "sign",
    "speak",
    "specify",
    "start",
    "stop",
    "store",
    "stream",
    "sync",
    "take",
    "tell",
    "understand",
    "unpack",
    "update",
    "use",
    "verify",
    "wait",
    "watch",
    "write",
    "name",
];

/// Words and phrases that the style forbids in texts for people.
const FORBIDDEN: [&str; 8] = [
    "mend",
    "told",
    "tell",
    "tells",
    "which is none",
    "anew",
    "its last words",
    "knock",
];

/// Names that may begin a text with one upper-case letter. Acronyms, such as VM and BANGER_HOME, need no entry.
const NAMES: [&str; 3] = ["Firecracker", "Landlock", "Linux"];

/// An error text of the sources.
struct Text {
    line: usize,
    text: String,
}

/// Checks every `#[error("…")]` of the sources.
pub(crate) fn check() -> Result<()> {
    let root = repository::root();
    let (mut seen, mut faults) = (0, Vec::new());
    for file in sources(&root)? {
        let source =
            std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let shown = file.strip_prefix(&root).unwrap_or(&file).display();
        for found in texts(&source) {
            seen += 1;
            faults.extend(
                fault(&found.text).map(|fault| format!("{shown}:{}: `{}`: {fault}", found.line, found.text)),
            );
        }
    }
    ensure!(
        faults.is_empty(),
        "error texts break the style:\n  {}",
        faults.join("\n  ")
    );
    ensure!(seen > 300, "only {seen} error texts were found");
    println!("errors: {seen} texts have the form of the style");
    Ok(())
}

fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut open: Vec<PathBuf> = SOURCES.iter().map(|dir| root.join(dir)).collect();
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        let entries = std::fs::read_dir(&dir).with_context(|| format!("failed to list {}", dir.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to list {}", dir.display()))?;
            let (path, kind) = (entry.path(), entry.file_type());
            let kind = kind.with_context(|| format!("failed to inspect {}", path.display()))?;
            if kind.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                open.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The texts of a source file: the first string of each attribute. Those without a string, such as `transparent`, are left
/// out, and so is this attribute in a comment or a string.
fn texts(source: &str) -> Vec<Text> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices(ATTRIBUTE) {
        let before = &source[..at];
        let of_line = before.rsplit('\n').next().unwrap_or_default();
        if !of_line.trim().is_empty() {
            continue;
        }
        let behind = source[at + ATTRIBUTE.len()..].trim_start();
        if let Some(text) = behind.strip_prefix('"').and_then(literal) {
            let line = before.matches('\n').count() + 1;
            found.push(Text { line, text });
        }
    }
    found
}

/// The string whose opening quote is before `rest`, as it is written, with its lines joined.
fn literal(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                '\n' => while chars.next_if(|char| char.is_whitespace()).is_some() {},
                escaped => text.push(escaped),
            },
            char => text.push(char),
        }
    }
    None
}

/// What is wrong with the form of a text.
fn fault(text: &str) -> Option<String> {
    let is_of_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let first = text
        .split(|char: char| !is_of_word(char))
        .next()
        .unwrap_or_default();
    let mut letters = first.chars();
    let is_upper = letters.next().is_some_and(char::is_uppercase);
    let is_acronym = first.chars().count() == 1 || letters.next().is_some_and(|char| !char.is_lowercase());
    let words: Vec<&str> = text
        .split(|char: char| !char.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let words = format!(" {} ", words.join(" "));
    if IMPERATIVES.contains(&first) {
        Some(format!(
            "begins with the imperative `{first}`: write \"failed to {first} …\""
        ))
    } else if text.ends_with('.') {
        Some("ends with a period".to_owned())
    } else if is_upper && !is_acronym && !NAMES.contains(&first) {
        Some(format!(
            "begins with an upper-case letter, and `{first}` is not a known name"
        ))
    } else {
        let forbidden = FORBIDDEN.iter().find(|word| words.contains(&format!(" {word} ")));
        forbidden.map(|word| format!("contains `{word}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_texts_have_the_form_of_the_style() {
        check().unwrap();
    }

    #[test]
    fn what_breaks_the_style_is_found() {
        for good in [
            "failed to open the disk {}",
            "cannot read the directory",
            "invalid network rule `{0}`: expected HOST[:PORT]",
            "VM `{name}` is {phase}",
            "VMs are attached",
            "BANGER_HOME is not set",
            "Firecracker is not installed",
            "{what}: the process was ended",
            "{0}",
            "",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "open the disk {}",
            "name the secret",
            "failed to open the disk.",
            "Failed to open the disk",
            "a frame of 9 bytes, which is none",
            "the daemon was told to stop",
            "its last words: {0}",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn texts_are_found_where_they_are() {
        let source = "\
            #[error(\"one {}\", .0.display())]\n\
            // #[error(\"in a comment\")]\n\
            #[error(transparent)]\n\
            #[error(\n    \"two \\\n     lines\"\n)]\n\
            #[error(\"a \\\"quoted\\\" word\")]\n";
        let found: Vec<(usize, String)> = texts(source)
            .into_iter()
            .map(|found| (found.line, found.text))
            .collect();
        let expected = [(1, "one {}"), (4, "two lines"), (8, "a \"quoted\" word")];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
    }
}
