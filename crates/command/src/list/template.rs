//! `--format`: templates in the language of Jinja, over the fields of `--json` (`docs/decisions/0014-list-templates.md`).

use banger_model::{Describe, Description, ErrorCode, printable};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::print;
use crate::progress::bytes;

/// The only name in the environment.
const NAME: &str = "--format";

/// A template that is wrong, or does not fit the objects.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    /// It is one of Go's.
    #[error("invalid template \"{template}\": a field has no dot before its name")]
    Go { template: String, right: String },
    /// It cannot be parsed.
    #[error("invalid template \"{template}\": {why}")]
    Syntax { template: String, why: String },
    /// It names what an object does not have, or uses it as what it is not.
    #[error("failed to print by the template \"{template}\": {why}")]
    Render {
        template: String,
        why: String,
        fields: Vec<String>,
    },
}

impl Describe for Invalid {
    fn describe(&self) -> Description {
        match self {
            Self::Go { right, .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("write `{right}`; the fields are those of `--json`"),
            ),
            Self::Syntax { .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                "an example: `--format '{{ name }}'`; the fields are those of `--json`",
            ),
            Self::Render { fields, .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("fields: {}", fields.join(", ")),
            ),
        }
    }
}

/// A template, understood.
#[derive(Debug)]
pub(super) enum Template {
    /// One line of JSON for each object, as docker has it by this name.
    Json,
    /// The text, and what it is parsed in.
    Text(Box<Environment<'static>>, String),
}

impl Template {
    pub(super) fn new(text: &str) -> Result<Self, Invalid> {
        if text == "json" {
            return Ok(Self::Json);
        }
        if let Some(right) = of_go(text) {
            return Err(Invalid::Go {
                template: text.to_owned(),
                right,
            });
        }
        let mut all = Environment::new();
        all.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        // The terminal of whoever lists is no place for what an image or a guest says.
        all.set_formatter(|out, _, value| {
            if value.is_undefined() {
                return Err(minijinja::ErrorKind::UndefinedError.into());
            }
            if !value.is_none() {
                write!(out, "{}", printable(&shown(value)))?;
            }
            Ok(())
        });
        all.add_filter("size", |count: u64| bytes(count));
        all.add_filter("age", |time: &str| print::age(time));
        all.add_filter("json", |value: &Value| as_json(value));
        // A shell passes these on as they are written.
        let source = text.replace("\\t", "\t").replace("\\n", "\n");
        let parsed = all.add_template_owned(NAME, source);
        parsed.map_err(|error| Invalid::Syntax {
            template: text.to_owned(),
            why: why(&error),
        })?;
        Ok(Self::Text(Box::new(all), text.to_owned()))
    }

    /// The text of one object, escaped.
    pub(super) fn render<T: Serialize>(&self, one: &T) -> Result<String, Invalid> {
        match self {
            Self::Json => Ok(banger_model::printable_json(&as_json(one)).into_owned()),
            Self::Text(all, text) => {
                let rendered = all
                    .get_template(NAME)
                    .and_then(|template| template.render(Serde(one)));
                rendered.map_err(|error| Invalid::Render {
                    template: text.clone(),
                    why: why(&error),
                    fields: fields(one),
                })
            }
        }
    }
}

/// A value as it is printed: all but texts are as in JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| as_json(value), str::to_owned)
}

fn as_json<T: Serialize>(value: &T) -> String {
    // Objects of the API are JSON, and so is all that is in them.
    serde_json::to_string(value).unwrap_or_default()
}

fn fields<T: Serialize>(one: &T) -> Vec<String> {
    match serde_json::to_value(one) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

/// Why, without the name of the template, which is always the same.
fn why(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// The right form of a template of Go, in which fields begin with a dot and a capital letter.
fn of_go(text: &str) -> Option<String> {
    let mut right = String::new();
    let (mut rest, mut is_of_go) = (text.strip_prefix("table ").unwrap_or(text), false);
    while let Some((before, inside)) = rest.split_once("{{") {
        let (inside, after) = inside.split_once("}}")?;
        let words: Vec<String> = inside
            .split_whitespace()
            .map(|word| match word.strip_prefix('.') {
                Some(path) => {
                    is_of_go = true;
                    path.split('.').map(snake).collect::<Vec<_>>().join(".")
                }
                None => word.to_owned(),
            })
            .collect();
        right += &format!("{before}{{{{ {} }}}}", words.join(" "));
        rest = after;
    }
    right += rest;
    is_of_go.then_some(right)
}

/// `DiskUsed` as `disk_used`; docker's names of a name as `name`.
fn snake(word: &str) -> String {
    if matches!(word, "Names" | "Repository") {
        return "name".to_owned();
    }
    let mut out = String::new();
    let mut was_lower = false;
    for letter in word.chars() {
        if letter.is_uppercase() && was_lower {
            out.push('_');
        }
        was_lower = letter.is_lowercase();
        out.extend(letter.to_lowercase());
    }
    out
}
