//! Which passt this host has: where it is, and whether its version has a known fault.

use std::path::PathBuf;
use std::process::Command;

use banger_model::network::Finding;

use crate::unable::Unable;

/// Where pasta is.
pub(crate) fn program() -> Result<PathBuf, Unable> {
    banger_vmm::path::find("pasta").ok_or(Unable {
        reason: "`pasta` is not on PATH".to_owned(),
        hint: "sudo apt-get install passt",
    })
}

/// The first pasta that is known to pass on all ends of connections: Debian 13's. Debian 12's, of 20230309, is known not to: it
/// was tried without a VM, too. A date, YYYYMMDD.
const RIGHT: u32 = 20_250_503;

/// What is wrong with it, by what it says of its version.
pub(crate) fn fault() -> Option<Finding> {
    let mut command = Command::new(program().ok()?);
    let said = command.env_clear().arg("--version").output().ok()?;
    fault_of(
        String::from_utf8_lossy(&said.stdout)
            .lines()
            .next()
            .unwrap_or_default(),
    )
}

pub(crate) fn fault_of(line: &str) -> Option<Finding> {
    let which = match dated(line) {
        Some(date) if date >= RIGHT => return None,
        Some(date) => format!("pasta is of {date}"),
        // Such as Debian 12's.
        None => "the version of pasta is unknown".to_owned(),
    };
    Some(Finding {
        problem: format!(
            "{which}, and loses the end of a connection whose client closed its own direction first, or repeats what comes \
             then: programs such as `printf … | nc` get their answer, perhaps twice, and wait on. Clients of HTTP, git and \
             SSH do not do that"
        ),
        hint: "install passt 0.0~git20250503 or later, as Debian 13 has it".to_owned(),
    })
}

/// The date that is a version of passt's: `0.0~git20230309.7c7625d-1`, `0^20250503.g587980c-1`, `2025_05_03.587980c`.
fn dated(line: &str) -> Option<u32> {
    let words = line.split(|c: char| !c.is_ascii_digit() && c != '_');
    let mut numbers = words.map(|word| word.replace('_', ""));
    numbers
        .find(|word| word.len() == 8 && word.starts_with("20"))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_judged_by_its_date() {
        for right in [
            "pasta 0.0~git20250503.587980c-2+deb13u1",
            "pasta 0^20250503.g587980c-1.fc42.x86_64",
            "pasta 2025_06_11.0293c6f",
            "passt 20260101",
        ] {
            assert_eq!(fault_of(right), None);
        }
        let old = fault_of("pasta 0.0~git20230309.7c7625d-1").unwrap();
        assert!(
            old.problem.starts_with("pasta is of 20230309, and loses"),
            "{old:?}"
        );
        for unknown in ["pasta unknown version", "", "pasta 1.2.3"] {
            let fault = fault_of(unknown).unwrap();
            assert!(
                fault.problem.contains("the version of pasta is unknown") && fault.hint.contains("20250503"),
                "{fault:?}"
            );
        }
    }
}
