//! The keys of `config.toml`, as the types that parse it describe them: `banger config show` lists them, and `cargo xtask
//! configuration` writes them into `docs/configuration.md`.
//!
//! A description is a doc comment. The rest comes from `#[schema]`: the type, `format` (the type in words; of a list, what it is a
//! list of), `default`, `example`, and two extensions: `x-default` (a default that depends on the host) and `x-variable` (the
//! environment variable that takes precedence).

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Schema};
use utoipa::openapi::{Object, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::config::Config;

/// Values that only tests use.
const HIDDEN: &str = "fake";

/// A section of the file: the top level, or a table.
#[derive(Debug)]
pub struct Section {
    /// The key of the table; empty for the top level.
    pub name: String,
    /// How often the table stands in the file, and who names what is in it.
    pub form: Form,
    /// The description, in Markdown.
    pub text: String,
    /// The keys; none where the user chooses them.
    pub keys: Vec<Key>,
}

/// The form of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Keys without a table, or `[NAME]`.
    Table,
    /// `[NAME]` with keys that the user chooses.
    Free,
    /// `[NAME."HOST"]`, for each host.
    ByHost,
    /// `[[NAME]]`, which may be repeated.
    List,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// The name in its section.
    pub name: String,
    /// The type in words.
    pub kind: String,
    /// The value of a key that is absent.
    pub default: Default,
    /// The description, in Markdown.
    pub text: String,
    /// A value, which is not the default.
    pub example: Value,
    /// The environment variable that takes precedence.
    pub variable: Option<String>,
}

/// The value of a key that is absent.
#[derive(Debug)]
pub enum Default {
    /// This one.
    Value(Value),
    /// One that depends on the host, in Markdown.
    Described(String),
    /// None: the key must be present.
    Required,
    /// None: nothing is set.
    Absent,
}

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Every section with its keys, in the order of the types.
pub fn sections() -> Vec<Section> {
    let mut found = Vec::new();
    Config::schemas(&mut found);
    let schemas: Schemas = found.into_iter().collect();
    let config = Config::schema();
    let Some(config) = object(&config, &schemas) else {
        return Vec::new();
    };
    let mut sections = vec![Section {
        name: String::new(),
        form: Form::Table,
        text: String::new(),
        keys: Vec::new(),
    }];
    for (name, schema) in &config.properties {
        match table(name, schema, &schemas) {
            Some(table) => sections.push(table),
            None => sections[0].keys.push(key(name, schema, true, &schemas)),
        }
    }
    sections
}

/// The section of a property of the top level, if it is one.
fn table(name: &str, schema: &RefOr<Schema>, schemas: &Schemas) -> Option<Section> {
    let section = |form, object: &Object| Section {
        name: name.to_owned(),
        form,
        text: object.description.clone().unwrap_or_default(),
        keys: match form {
            Form::Free => Vec::new(),
            _ => keys(object, schemas),
        },
    };
    match resolved(schema, schemas)? {
        Schema::Array(array) => {
            let ArrayItems::RefOrSchema(items) = &array.items else {
                return None;
            };
            let items = object(items, schemas).filter(|items| !items.properties.is_empty())?;
            Some(section(Form::List, items))
        }
        Schema::Object(object) if !object.properties.is_empty() => Some(section(Form::Table, object)),
        Schema::Object(map) => {
            let AdditionalProperties::RefOr(values) = map.additional_properties.as_deref()? else {
                return None;
            };
            Some(match object(values, schemas) {
                Some(values) => section(Form::ByHost, values),
                None => section(Form::Free, map),
            })
        }
        _ => None,
    }
}

fn keys(object: &Object, schemas: &Schemas) -> Vec<Key> {
    let keys = object.properties.iter();
    keys.map(|(name, schema)| key(name, schema, !object.required.contains(name), schemas))
        .collect()
}

fn key(name: &str, schema: &RefOr<Schema>, optional: bool, schemas: &Schemas) -> Key {
    // As JSON, every kind of schema has its attributes under the same names.
    let given = serde_json::to_value(schema).unwrap_or_default();
    let full = resolved(schema, schemas).and_then(|schema| serde_json::to_value(schema).ok());
    let full = full.unwrap_or_default();
    let text = |key: &str| given[key].as_str().map(str::to_owned);
    Key {
        name: name.to_owned(),
        kind: kind(&full),
        default: match (text("x-default"), given.get("default")) {
            (Some(words), _) => Default::Described(words),
            (None, Some(value)) if !value.is_null() => Default::Value(value.clone()),
            (None, _) if optional => Default::Absent,
            (None, _) => Default::Required,
        },
        text: text("description").unwrap_or_default(),
        example: match given.get("example") {
            Some(example) => example.clone(),
            None => another(&full, &given["default"]),
        },
        variable: text("x-variable"),
    }
}

/// A value of an enumeration that is not the default. (A field of such a type has no `example`.)
fn another(schema: &Value, default: &Value) -> Value {
    let mut values = schema["enum"].as_array().into_iter().flatten();
    values
        .find(|value| *value != default)
        .cloned()
        .unwrap_or_default()
}

/// The type in words.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter(|value| *value != HIDDEN);
        let values: Vec<String> = values.map(|value| format!("`{value}`")).collect();
        let (last, others) = values
            .split_last()
            .map_or(("", &[][..]), |(last, others)| (last, others));
        return format!("{} or {last}", others.join(", "));
    }
    match schema["type"].as_str() {
        Some("integer") => {
            let bound = |key: &str, word: &str| {
                let bound = schema[key].as_u64().filter(|bound| *bound > 0);
                bound.map(|bound| format!(", {word} {bound}")).unwrap_or_default()
            };
            format!(
                "integer{}{}",
                bound("minimum", "at least"),
                bound("maximum", "at most")
            )
        }
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("string") => schema["format"].as_str().unwrap_or("text").to_owned(),
        other => other.unwrap_or_default().to_owned(),
    }
}

fn object<'s>(schema: &'s RefOr<Schema>, schemas: &'s Schemas) -> Option<&'s Object> {
    match resolved(schema, schemas)? {
        Schema::Object(object) => Some(object),
        _ => None,
    }
}

/// The schema, or the one that it refers to.
fn resolved<'s>(schema: &'s RefOr<Schema>, schemas: &'s Schemas) -> Option<&'s Schema> {
    let name = match schema {
        RefOr::T(schema) => return Some(schema),
        RefOr::Ref(reference) => reference.ref_location.rsplit('/').next()?,
    };
    match schemas.get(name)? {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(_) => None,
    }
}
