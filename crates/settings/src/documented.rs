//! The reference of the keys ([`crate::reference`]) against the parser: it has the keys that `config.toml` takes, and no others,
//! and its examples are valid.
//!
//! The keys of a section are those that the parser names when it refuses an unknown one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::Config;
use crate::reference::{Default, Form, Section, sections};

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// A key that no section has.
const UNKNOWN: &str = "zz_no_such_key";

/// The line that begins a section of the file.
fn head(section: &Section) -> String {
    match (section.form, section.name.as_str()) {
        (_, "") => String::new(),
        (Form::Table | Form::Free, name) => format!("[{name}]"),
        (Form::ByHost, name) => format!("[{name}.\"registry.example\"]"),
        (Form::List, name) => format!("[[{name}]]"),
    }
}

/// The keys that the parser takes where an unknown one stands in this file.
fn accepted(head: &str) -> BTreeSet<String> {
    let error = toml::from_str::<Config>(&format!("{head}\n{UNKNOWN} = 1\n")).unwrap_err();
    let message = error.message();
    assert!(message.starts_with("unknown field"), "{head}: {message}");
    let quoted = message.split('`').skip(1).step_by(2);
    quoted.filter(|key| *key != UNKNOWN).map(str::to_owned).collect()
}

#[test]
fn the_reference_has_the_keys_that_the_parser_takes() {
    let sections = sections();
    let tables: Vec<String> = sections.iter().skip(1).map(|table| table.name.clone()).collect();
    assert!(tables.len() > 6, "{tables:?}");
    for section in sections.iter().filter(|section| section.form != Form::Free) {
        let mut keys: BTreeSet<String> = section.keys.iter().map(|key| key.name.clone()).collect();
        if section.name.is_empty() {
            keys.extend(tables.iter().cloned());
        }
        let head = head(section);
        assert_eq!(keys, accepted(&head), "the keys of {head}");
    }
}

/// Each example is valid, beside the examples of the keys that its section requires, and each is another value than the default.
#[test]
fn every_key_is_described_and_its_example_is_valid() {
    for section in sections() {
        let line =
            |name: &str, value: &Value| format!("{name} = {}\n", toml::Value::try_from(value).unwrap());
        for key in &section.keys {
            let name = format!("{} {}", head(&section), key.name);
            assert!(key.text.ends_with('.'), "{name}: {:?}", key.text);
            assert!(!key.kind.is_empty(), "{name} has no type");
            assert!(!key.example.is_null(), "{name} has no example");
            if let Default::Value(default) = &key.default {
                assert_ne!(default, &key.example, "{name}");
            }
            let required = section.keys.iter().filter(|other| other.name != key.name);
            let required = required.filter(|other| matches!(other.default, Default::Required));
            let mut file = head(&section) + "\n" + &line(&key.name, &key.example);
            file.extend(required.map(|other| line(&other.name, &other.example)));
            if let Err(error) = toml::from_str::<Config>(&file) {
                panic!("{file}\n{error}");
            }
        }
    }
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
