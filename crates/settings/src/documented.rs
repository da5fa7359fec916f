//! That `docs/configuration.md` lists the keys that `config.toml` takes, and no others.
//!
//! The keys of a section are those that the parser names when it refuses an unknown one, so the types are the only list.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// A key that no section has.
const UNKNOWN: &str = "zz_no_such_key";

/// The sections of the page whose keys are fixed, and a file that has an unknown key in each.
const SECTIONS: [(&str, &str); 8] = [
    ("Top level", ""),
    ("[vm_defaults]", "[vm_defaults]"),
    ("[[file_sync]]", "[[file_sync]]"),
    ("[repository]", "[repository]"),
    ("[pull]", "[pull]"),
    ("[registry.\"HOST\"]", "[registry.\"registry.example\"]"),
    ("[fetch]", "[fetch]"),
    ("[[catalog]]", "[[catalog]]"),
];

/// The section with keys that its user chooses.
const FREE: &str = "[allow]";

fn text_of_heading(line: &str) -> Option<String> {
    Some(line.strip_prefix("## ")?.replace('`', ""))
}

/// The keys of the page: the first cells of the rows below each heading.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut sections = BTreeMap::<String, BTreeSet<String>>::new();
    let mut section = String::new();
    for line in PAGE.lines() {
        if let Some(heading) = text_of_heading(line) {
            section = heading;
        } else if let Some((key, _)) = line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
            let is_new = sections
                .entry(section.clone())
                .or_default()
                .insert(key.to_owned());
            assert!(is_new, "{section} lists `{key}` twice");
        }
    }
    sections
}

/// The keys that the parser takes where an unknown one stands in this file.
fn accepted(head: &str) -> BTreeSet<String> {
    let error = toml::from_str::<Config>(&format!("{head}\n{UNKNOWN} = 1\n")).unwrap_err();
    let message = error.message();
    assert!(message.starts_with("unknown field"), "{head}: {message}");
    let quoted = message.split('`').skip(1).step_by(2);
    quoted.filter(|key| *key != UNKNOWN).map(str::to_owned).collect()
}

/// The key of `config.toml` that a section is the value of.
fn key_of(section: &str) -> &str {
    let inner = section.trim_matches(['[', ']']);
    inner.split_once('.').map_or(inner, |(key, _)| key)
}

#[test]
fn the_page_lists_the_keys_that_the_parser_takes() {
    let mut documented = documented();
    let sections = SECTIONS.iter().map(|(section, _)| *section).skip(1);
    let tables: Vec<&str> = sections.chain([FREE]).collect();
    for section in &tables {
        let heading = format!("## `{section}`");
        assert!(
            PAGE.lines().any(|line| line == heading),
            "there is no heading {heading}"
        );
    }
    for (section, head) in SECTIONS {
        let mut keys = documented.remove(section).unwrap_or_default();
        if head.is_empty() {
            keys.extend(tables.iter().map(|table| key_of(table).to_owned()));
        }
        assert_eq!(keys, accepted(head), "the keys of {section}");
    }
    assert!(
        documented.is_empty(),
        "keys that are in no known section: {documented:?}"
    );
}

#[test]
fn the_examples_of_the_page_are_taken() {
    // Every second part is between fences.
    let blocks = PAGE.split("```").skip(1).step_by(2);
    let examples: Vec<&str> = blocks.filter_map(|block| block.strip_prefix("toml\n")).collect();
    assert!(examples.len() > 4, "only {} were found", examples.len());
    for example in examples {
        if let Err(error) = toml::from_str::<Config>(example) {
            panic!("{example}\n{error}");
        }
    }
}
