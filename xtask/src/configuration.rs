//! docs/configuration.md: its sections are written from the types that parse `config.toml`. What stands above [`BEGIN`] is written by
//! hand.

use anyhow::{Context, Result, ensure};
use banger_settings::reference::{Default, Form, Key, Section, sections};
use serde_json::Value;

use crate::repository::root;

const PAGE: &str = "docs/configuration.md";

const BEGIN: &str = "<!-- From here on, `cargo xtask configuration` writes this page from the types in crates/settings/src/config.rs. -->\n";

/// Writes the page.
pub(crate) fn write() -> Result<()> {
    let path = root().join(PAGE);
    std::fs::write(&path, page(&read()?)?).with_context(|| format!("failed to write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Fails when the page is not what would be written.
pub(crate) fn check() -> Result<()> {
    let there = read()?;
    ensure!(
        there == page(&there)?,
        "{PAGE} is not what the types say: run `cargo xtask configuration`"
    );
    Ok(())
}

fn read() -> Result<String> {
    let path = root().join(PAGE);
    std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
}

/// The page, with what is written by hand in this one.
fn page(there: &str) -> Result<String> {
    let (by_hand, _) = there
        .split_once(BEGIN)
        .with_context(|| format!("{PAGE} has no line {BEGIN}"))?;
    let sections = sections();
    ensure!(sections.len() > 1, "the configuration has no sections");
    let sections: Vec<String> = sections.iter().map(section).collect::<Result<_>>()?;
    Ok(format!("{by_hand}{BEGIN}\n{}", sections.join("\n")))
}

fn section(section: &Section) -> Result<String> {
    let name = &section.name;
    let heading = match section.form {
        Form::Table if name.is_empty() => "Top level".to_owned(),
        Form::Table | Form::Free => format!("`[{name}]`"),
        Form::ByHost => format!("`[{name}.\"HOST\"]`"),
        Form::List => format!("`[[{name}]]`"),
    };
    // Examples stand below the keys.
    let (text, example) = match section.text.split_once("```") {
        Some((text, example)) => (text.trim(), format!("\n```{example}\n")),
        None => (section.text.trim(), String::new()),
    };
    let mut out = format!("## {heading}\n");
    if !text.is_empty() {
        out += &format!("\n{text}\n");
    }
    if !section.keys.is_empty() {
        out += "\n| key | type | default | meaning | example |\n|---|---|---|---|---|\n";
        for key in &section.keys {
            out += &row(key)?;
        }
    }
    Ok(out + &example)
}

fn row(key: &Key) -> Result<String> {
    let name = &key.name;
    let default = match &key.default {
        Default::Value(value) => format!("`{}`", toml(value)?),
        Default::Described(words) => words.clone(),
        Default::Required => "required".to_owned(),
        Default::Absent => "none".to_owned(),
    };
    let mut meaning = key.text.replace('\n', " ");
    if let Some(variable) = &key.variable {
        meaning += &format!(" `{variable}` takes precedence.");
    }
    let example = toml(&key.example).with_context(|| format!("the example of {name}"))?;
    Ok(format!(
        "| `{name}` | {} | {default} | {meaning} | `{name} = {example}` |\n",
        key.kind
    ))
}

fn toml(value: &Value) -> Result<String> {
    Ok(toml::Value::try_from(value)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_types_say() {
        check().unwrap();
    }

    #[test]
    fn a_page_that_differs_is_noticed() {
        let there = read().unwrap();
        assert_ne!(page(&there).unwrap(), there.replace("| `vmm` |", "| `vm` |"));
        assert!(page("no marker").is_err());
    }
}
