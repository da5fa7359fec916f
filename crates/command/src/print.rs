//! All output of banger: results on standard output, as tables for people and JSON for scripts; notes on standard
//! error.
//!
//! Text that is printed here may come from a guest, an image, a registry or a repository. It reaches a terminal only
//! through [`line()`] (escaped) or [`stream`] (bytes that were asked for); `clippy.toml` beside this crate refuses
//! other ways.

mod line;
pub mod stream;
mod table;

use std::io::Write;

use banger_model::{Describe, Description, ErrorCode, printable_json};
use serde::Serialize;

pub use self::line::{Line, aside, line, lost, notice, prompt, text, written};
pub use self::table::{table, width};
pub use crate::notice;

/// A value that cannot be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("failed to write JSON")]
pub struct NoJson(#[from] serde_json::Error);

impl Describe for NoJson {
    fn describe(&self) -> Description {
        ErrorCode::InvalidRequest.into()
    }
}

/// Prints a value as JSON.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), NoJson> {
    json_text(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a value as JSON, on one line.
pub fn json_line<T: Serialize + ?Sized>(value: &T) -> Result<(), NoJson> {
    json_text(&serde_json::to_string(value)?);
    Ok(())
}

/// Prints a value as one line of JSON on standard error: an error, or a note.
pub(crate) fn json_aside<T: Serialize + ?Sized>(value: &T) {
    // An error of standard error cannot be reported.
    if let Ok(text) = serde_json::to_string(value) {
        let _ = writeln!(stream::stderr(), "{}", printable_json(&text));
    }
}

fn json_text(text: &str) {
    written(writeln!(stream::stdout(), "{}", printable_json(text)));
}

/// Prints text that is escaped already, and may have several lines.
pub(crate) fn escaped(text: &str) {
    written(writeln!(stream::stdout(), "{text}"));
}

/// A part of what is known of an object: its title, and names with values.
pub type Section<'a> = (&'a str, Vec<(&'a str, String)>);

/// Prints names and values below the titles of their sections. A section without a title stands at the margin; one without
/// values is left out.
pub fn sections(sections: &[Section<'_>]) {
    for text in section_lines(sections) {
        line(&text);
    }
}

fn section_lines(sections: &[Section<'_>]) -> Vec<String> {
    let facts = |section: &Section<'_>| -> Vec<(String, String)> {
        let indent = if section.0.is_empty() { "" } else { "  " };
        let known = section.1.iter().filter(|(_, value)| !value.is_empty());
        known
            .map(|(name, value)| (format!("{indent}{name}"), value.clone()))
            .collect()
    };
    let width = sections.iter().flat_map(facts).map(|(name, _)| name.len());
    let width = width.max().unwrap_or_default();
    let mut lines = Vec::new();
    for section in sections {
        let facts = facts(section);
        if !facts.is_empty() && !section.0.is_empty() {
            lines.push(section.0.to_owned());
        }
        lines.extend(
            facts
                .iter()
                .map(|(name, value)| format!("{name:width$}  {value}")),
        );
    }
    lines
}

/// Prints names and values, one pair per line.
pub fn facts(facts: &[(&str, String)]) {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        line(&format!("{name:width$}  {value}"));
    }
}

/// A time for people: how long ago it was, and when.
pub fn ago(rfc3339: &str) -> String {
    format!("{} ago ({rfc3339})", age(rfc3339))
}

/// The age of a time, in one unit.
pub fn age(rfc3339: &str) -> String {
    let Ok(then) = rfc3339.parse::<jiff::Timestamp>() else {
        return "?".to_owned();
    };
    let seconds = jiff::Timestamp::now().as_second() - then.as_second();
    match seconds {
        ..60 => format!("{}s", seconds.max(0)),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// A duration in microseconds, for people.
pub fn micros(micros: u64) -> String {
    match micros {
        ..1000 => format!("{micros} µs"),
        1000..100_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        100_000..1_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::{micros, section_lines};

    #[test]
    fn sections_have_one_column_of_values_and_none_is_empty() {
        let fact = |name, value: &str| (name, value.to_owned());
        let sections = [
            ("", vec![fact("name", "web"), fact("notice", "")]),
            ("Network", vec![fact("addresses", "10.0.0.2")]),
            ("Guest", vec![fact("secrets", "")]),
        ];
        let expected = ["name         web", "Network", "  addresses  10.0.0.2"];
        assert_eq!(section_lines(&sections), expected);
    }

    #[test]
    fn times_have_a_readable_unit() {
        assert_eq!(micros(999), "999 µs");
        assert_eq!(micros(1_500), "1.5 ms");
        assert_eq!(micros(250_000), "250 ms");
        assert_eq!(micros(12_345_678), "12.35 s");
    }
}
