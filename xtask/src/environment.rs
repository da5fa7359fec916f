//! docs/environment.md against the sources: each variable that a program reads is on the page, and each `BANGER_` variable of the page
//! is read somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::repository::root;

const PAGE: &str = "docs/environment.md";

/// Where variables are read.
const SOURCES: [&str; 5] = ["crates", "e2e", "xtask", "scripts", "Makefile"];

/// How Rust reads a variable.
const READERS: [&str; 3] = ["var(\"", "var_os(\"", "env = \""];

/// A name in a test that nobody reads.
const OTHERS: [&str; 1] = ["BANGER_NO_SUCH_VARIABLE"];

/// Fails when the page and the sources differ.
pub(crate) fn check() -> Result<()> {
    let page =
        std::fs::read_to_string(root().join(PAGE)).with_context(|| format!("failed to read {PAGE}"))?;
    let mut read = BTreeSet::new();
    for source in SOURCES {
        collect(&root().join(source), &mut read)?;
    }
    ensure!(read.len() > 20, "only these variables were found: {read:?}");
    let faults = faults(&page, &read);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

fn faults(page: &str, read: &BTreeSet<String>) -> Vec<String> {
    let listed: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let ours = listed
        .iter()
        .filter(|name| name.starts_with("BANGER_") && !name.ends_with('*'));
    let unread = ours.filter(|name| !read.contains(**name));
    let unlisted = read.iter().filter(|name| !listed.contains(name.as_str()));
    unread
        .map(|name| format!("{PAGE} lists {name}, which nothing reads"))
        .chain(unlisted.map(|name| format!("{name} is read, but {PAGE} does not list it")))
        .collect()
}

fn collect(path: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    if path.is_dir() {
        let entries =
            std::fs::read_dir(path).with_context(|| format!("failed to list {}", path.display()))?;
        for entry in entries {
            collect(&entry?.path(), found)?;
        }
        return Ok(());
    }
    // The Rust in scripts/ is a build script, which reads cargo's variables.
    let is_build = path.starts_with(root().join("scripts"));
    let is_rust = path.extension().is_some_and(|extension| extension == "rs") && !is_build;
    let is_script = path.extension().is_some_and(|extension| extension == "sh") || path.ends_with("Makefile");
    if is_rust || is_script {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        found.extend(variables(&text, is_rust).filter(|name| !OTHERS.contains(&name.as_str())));
    }
    Ok(())
}

/// The variables that a source reads, and all of ours that it names.
fn variables(text: &str, is_rust: bool) -> impl Iterator<Item = String> {
    let name = |rest: &str| {
        let end =
            rest.find(|char: char| !(char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_'));
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    let ours = text
        .split("BANGER_")
        .skip(1)
        .map(move |rest| format!("BANGER_{}", name(rest)));
    let readers = READERS.iter().filter(move |_| is_rust);
    let read = readers.flat_map(move |reader| text.split(reader).skip(1).map(name));
    // A beginning of names, such as `BANGER_` itself, is none.
    ours.chain(read)
        .filter(|name| !name.is_empty() && !name.ends_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_what_is_read() {
        check().unwrap();
    }

    #[test]
    fn what_differs_is_noticed() {
        let source = "std::env::var_os(\"EDITOR\"); const HOME: &str = \"BANGER_HOME\"; \"BANGER_\"";
        let read: BTreeSet<String> = variables(source, true).collect();
        assert_eq!(read, ["BANGER_HOME", "EDITOR"].map(str::to_owned).into());
        assert_eq!(variables(source, false).collect::<Vec<_>>(), ["BANGER_HOME"]);
        let faults = faults("`BANGER_HOME`, `BANGER_NO_SUCH_VARIABLE`, `BANGER_*`", &read);
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
