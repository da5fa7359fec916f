//! Tests that are ignored on this host, with their reasons.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The module of unit tests that only root can run, which the harness of Rust ignores.
pub(super) const NEEDS_ROOT: &str = "needs_root";

/// What nextest lists.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    rust_suites: BTreeMap<String, Suite>,
}

#[derive(Deserialize)]
struct Suite {
    testcases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    ignored: bool,
}

/// The ignored tests of each reason: binaries and names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ignored(BTreeMap<String, Vec<(String, String)>>);

impl Ignored {
    /// Those of a list in nextest's JSON. `is_root` says that those that need root are run.
    pub(super) fn list(json: &str, is_root: bool) -> Result<Self> {
        let listed: Listed =
            serde_json::from_str(json).context("failed to read the list of `cargo nextest`")?;
        let mut ignored = Self::default();
        for (binary, suite) in listed.rust_suites {
            for (name, case) in suite.testcases {
                let Some((reason, name)) = reason(&name, case.ignored, is_root) else {
                    continue;
                };
                ignored.0.entry(reason).or_default().push((binary.clone(), name));
            }
        }
        Ok(ignored)
    }

    /// Without those of scenarios that boot guests.
    pub(super) fn of_the_fake(mut self) -> Self {
        for tests in self.0.values_mut() {
            tests.retain(|(_, name)| !name.starts_with("tcg::") && !name.starts_with("firecracker::"));
        }
        self.0.retain(|_, tests| !tests.is_empty());
        self
    }

    /// Adds them to a JUnit file, which nextest writes without them.
    pub(super) fn write_junit(&self, path: &Path) -> Result<()> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        std::fs::write(path, self.in_junit(&text))
            .with_context(|| format!("failed to write {}", path.display()))
    }

    fn in_junit(&self, text: &str) -> String {
        const END: &str = "</testsuites>";
        let Some(end) = text.rfind(END) else {
            return text.to_owned();
        };
        let count: usize = self.0.values().map(Vec::len).sum();
        if count == 0 {
            return text.to_owned();
        }
        let mut suite = format!(
            "    <testsuite name=\"ignored\" tests=\"{count}\" skipped=\"{count}\" failures=\"0\" errors=\"0\">\n"
        );
        for (reason, tests) in &self.0 {
            for (binary, name) in tests {
                suite += &format!(
                    "        <testcase name=\"{}\" classname=\"{}\"><skipped message=\"{}\"/></testcase>\n",
                    escaped(name),
                    escaped(binary),
                    escaped(reason)
                );
            }
        }
        suite += "    </testsuite>\n";
        format!("{}{suite}{}", &text[..end], &text[end..])
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (reason, tests) in &self.0 {
            writeln!(f, "ignored: {} tests: {reason}", tests.len())?;
        }
        Ok(())
    }
}

/// Why a test is not run, and its name without that, if it is not.
fn reason(name: &str, is_ignored: bool, is_root: bool) -> Option<(String, String)> {
    let begin = format!("[{}", banger_needs::IGNORED);
    if let Some((reason, name)) = name.strip_prefix(&begin).and_then(|rest| rest.split_once("] ")) {
        return Some((reason.to_owned(), name.to_owned()));
    }
    let needs_root = name.split("::").any(|part| part == NEEDS_ROOT);
    (is_ignored && needs_root && !is_root).then(|| ("this user is not root".to_owned(), name.to_owned()))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            char if char.is_control() => escaped.push(' '),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"test-count":4,"rust-suites":{
        "e2e::stories":{"testcases":{
            "[ignored: no `buildah` on PATH] fake::builds":{"kind":"test","ignored":true},
            "fake::runs":{"kind":"test","ignored":false},
            "[ignored: no \"firecracker\" & co] firecracker::runs":{"kind":"test","ignored":true}}},
        "agent":{"testcases":{"peer::tests::needs_root::another":{"kind":"test","ignored":true}}}}}"#;

    #[test]
    fn ignored_tests_are_told_with_their_reasons() {
        let text = Ignored::list(JSON, false).unwrap().to_string();
        assert_eq!(
            text,
            "ignored: 1 tests: no \"firecracker\" & co\nignored: 1 tests: no `buildah` on PATH\n\
             ignored: 1 tests: this user is not root\n"
        );
        let quick = Ignored::list(JSON, true).unwrap().of_the_fake();
        assert_eq!(quick.to_string(), "ignored: 1 tests: no `buildah` on PATH\n");
    }

    #[test]
    fn junit_has_them_as_skipped() {
        let ignored = Ignored::list(JSON, false).unwrap();
        let junit = ignored.in_junit("<testsuites>\n</testsuites>\n");
        assert_eq!(junit.matches("<skipped").count(), 3);
        assert!(
            junit.contains("message=\"no &quot;firecracker&quot; &amp; co\""),
            "{junit}"
        );
        assert!(junit.ends_with("    </testsuite>\n</testsuites>\n"));
        assert_eq!(Ignored::default().in_junit("<testsuites/>"), "<testsuites/>");
    }
}
