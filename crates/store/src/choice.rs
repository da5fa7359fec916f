//! Which image or kernel of a store is taken when none is named: the one that a user chose, or else the first that came.
//! What is added later changes nothing about it.

use std::path::PathBuf;

use crate::error::Error;
use crate::files::{OfFile, read_record, record, replace};

/// The file of a store that says it. Callers that write hold the store's lock.
pub struct Choice(PathBuf);

impl Choice {
    /// The choice that is kept in this file.
    pub const fn in_file(path: PathBuf) -> Self {
        Self(path)
    }

    /// The name that is taken among those `present`: the chosen one, or the only one.
    pub fn among(&self, present: &[String]) -> Result<Option<String>, Error> {
        let chosen: Option<String> = read_record(&self.0)?;
        Ok(match (chosen, present) {
            (Some(chosen), _) if present.contains(&chosen) => Some(chosen),
            (_, [only]) => Some(only.clone()),
            _ => None,
        })
    }

    /// Makes this name the chosen one.
    pub fn set(&self, name: &str) -> Result<(), Error> {
        replace(&self.0, &record(&name))
    }

    /// After a name is gone: it is not the chosen one any more, whatever gets the name later.
    pub fn forget(&self, name: &str) -> Result<(), Error> {
        let chosen: Option<String> = read_record(&self.0)?;
        if chosen.as_deref() != Some(name) {
            return Ok(());
        }
        std::fs::remove_file(&self.0).of("remove", &self.0)
    }

    /// Before a name is added to those `present`: what is taken now is taken from then on, too.
    pub fn keep(&self, present: &[String], added: &str) -> Result<(), Error> {
        let now = match present {
            [] => Some(added.to_owned()),
            present => self.among(present)?,
        };
        now.map_or(Ok(()), |now| self.set(&now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_first_stays_until_another_is_chosen_or_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let choice = Choice::in_file(dir.path().join("default.json"));
        let among = |present: &[&str]| choice.among(&names(present)).unwrap();
        assert_eq!(among(&[]), None);
        // A store of before has no file.
        assert_eq!(among(&["a"]).as_deref(), Some("a"));
        assert_eq!(among(&["a", "b"]), None);
        choice.keep(&names(&["b"]), "a").unwrap();
        assert_eq!(among(&["a", "b"]).as_deref(), Some("b"));
        choice.keep(&names(&["a", "b"]), "c").unwrap();
        assert_eq!(among(&["a", "b", "c"]).as_deref(), Some("b"));
        choice.forget("a").unwrap();
        assert_eq!(among(&["b", "c"]).as_deref(), Some("b"));
        choice.set("c").unwrap();
        assert_eq!(among(&["a", "b", "c"]).as_deref(), Some("c"));
        assert_eq!(among(&["a", "b"]), None);
        assert_eq!(among(&["b"]).as_deref(), Some("b"));
        choice.forget("c").unwrap();
        assert_eq!(among(&["b", "c"]), None);
        // The first of an empty store, whatever was chosen in it before.
        choice.keep(&[], "d").unwrap();
        assert_eq!(among(&["d", "e"]).as_deref(), Some("d"));
    }
}
