//! `--filter`: which objects are listed.

use std::collections::BTreeMap;

use banger_model::{Describe, Description, ErrorCode};

use super::Key;

/// A filter that is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    /// No `=`.
    #[error("invalid filter \"{0}\": expected KEY=VALUE or KEY!=VALUE")]
    Form(String, &'static str),
    /// A key that these objects do not have.
    #[error("unknown key \"{key}\" in filter \"{filter}\"")]
    Key {
        key: String,
        filter: String,
        known: String,
    },
}

impl Describe for Invalid {
    fn describe(&self) -> Description {
        match self {
            Self::Form(_, example) => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("an example: `--filter {example}=web`"),
            ),
            Self::Key { known, .. } => {
                Description::hinted(ErrorCode::InvalidRequest, format!("known keys: {known}"))
            }
        }
    }
}

/// All filters of a list.
#[derive(Debug)]
pub(super) struct Filters<T: 'static> {
    /// One of those of a key has to match, of each key.
    wanted: BTreeMap<&'static str, (&'static Key<T>, Vec<String>)>,
    /// None of these may.
    unwanted: Vec<(&'static Key<T>, String)>,
}

impl<T> Filters<T> {
    pub(super) fn new(filters: &[String], keys: &'static [Key<T>]) -> Result<Self, Invalid> {
        let mut all = Self {
            wanted: BTreeMap::new(),
            unwanted: Vec::new(),
        };
        for filter in filters {
            let first = keys.first().map_or("name", |key| key.name);
            let Some((key, value)) = filter.split_once('=') else {
                return Err(Invalid::Form(filter.clone(), first));
            };
            let (name, is_unwanted) = match key.strip_suffix('!') {
                Some(name) => (name, true),
                None => (key, false),
            };
            let Some(key) = keys.iter().find(|key| key.name == name) else {
                let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                return Err(Invalid::Key {
                    key: name.to_owned(),
                    filter: filter.clone(),
                    known: known.join(", "),
                });
            };
            if is_unwanted {
                all.unwanted.push((key, value.to_owned()));
            } else {
                let wanted = all.wanted.entry(key.name);
                wanted.or_insert((key, Vec::new())).1.push(value.to_owned());
            }
        }
        Ok(all)
    }

    pub(super) fn match_one(&self, one: &T) -> bool {
        let has = |key: &Key<T>, pattern: &str| {
            let values = (key.values)(one);
            // An object without a value matches the empty one.
            (values.is_empty() && pattern.is_empty()) || values.iter().any(|value| matches(pattern, value))
        };
        let mut wanted = self.wanted.values();
        wanted.all(|(key, patterns)| patterns.iter().any(|pattern| has(key, pattern)))
            && !self.unwanted.iter().any(|(key, pattern)| has(key, pattern))
    }
}

/// Whether a text is that of the pattern, in which `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
