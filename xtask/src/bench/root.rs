//! How much the program is that runs with privileges.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::figure::Figure;
use crate::repository;

/// Lines of Rust.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Lines {
    /// Those that are neither blank nor a comment alone.
    code: f64,
    /// All.
    all: f64,
}

/// What of the network's values and of its plan only daemons use: what users write, what a new VM gets, and what people are told
/// of flows.
const DAEMONS: &str = "daemon";

/// All lines of Rust of ours that the privileged program is made of: its crate but the client, which a daemon links instead;
/// netlink's messages; and the network plan that it decides by, which uses nothing of the model but the network's values. Tests are counted nowhere,
/// and neither are the text of the packet filter, which `filter_text` counts, and what others wrote: `crates` says of how many
/// crates that is.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let crates = repository::root().join("crates");
    let program = lines(&crates.join("root/src"), "rs", &["client.rs"])?;
    let netlink = lines(&crates.join("netlink/src"), "rs", &[])?;
    let model = lines(&crates.join("model/src/network"), "rs", &[DAEMONS])?;
    let plan = crates.join("netplan/src");
    let filter = lines(&plan, "nft", &[])?;
    let plan = lines(&plan, "rs", &[DAEMONS])?;
    let network = Lines {
        code: model.code + plan.code,
        all: model.all + plan.all,
    };
    let all = [program, netlink, network];
    let code = all.iter().map(|lines| lines.code).sum();
    let figure = Figure::of("root.lines", &[code])
        .phase("code", code)
        .phase("with_comments", all.iter().map(|lines| lines.all).sum())
        .phase("code_of_the_program", program.code)
        .phase("code_of_netlink", netlink.code)
        .phase("code_of_the_network_model", network.code)
        .phase("filter_text", filter.all);
    Ok(vec![figure.phase("crates", others()?)])
}

/// How many crates of others are in it, at all depths.
fn others() -> Result<f64> {
    let output = repository::cargo()
        .args(["tree", "--offline", "--locked", "--package", "banger-root"])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "none"])
        .output()
        .context("failed to run `cargo tree`")?;
    ensure!(output.status.success(), "`cargo tree` failed");
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter_map(|line| line.split(' ').next());
    let others: BTreeSet<&str> = names
        .filter(|name| !name.is_empty() && !name.starts_with("banger-"))
        .collect();
    Ok(others.len() as f64)
}

/// The lines below a directory of files with this extension, without those of some names.
fn lines(dir: &Path, extension: &str, without: &[&str]) -> Result<Lines> {
    let mut sum = Lines::default();
    for entry in fs::read_dir(dir).with_context(|| format!("failed to list {}", dir.display()))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let counted = if without.contains(&name) || name == "tests.rs" {
            continue;
        } else if path.is_dir() {
            lines(&path, extension, without)?
        } else if path.extension().is_some_and(|own| own == extension) {
            count(&fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?)
        } else {
            continue;
        };
        sum.code += counted.code;
        sum.all += counted.all;
    }
    Ok(sum)
}

/// The lines of a file up to its tests, which are its last part.
fn count(text: &str) -> Lines {
    let program = text
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .map(str::trim);
    let is_code = |line: &str| !line.is_empty() && !line.starts_with("//");
    program.fold(Lines::default(), |sum, line| Lines {
        code: sum.code + f64::from(u8::from(is_code(line))),
        all: sum.all + 1.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_and_tests_are_no_code() {
        let text =
            "//! What.\n\n/// Why.\nfn f() {\n    // How.\n    g() // so\n}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(count(text), Lines { code: 3.0, all: 7.0 });
    }
}
