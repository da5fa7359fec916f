//! What a repository asks for.

use std::path::Path;

use banger_api::Wishes;

use super::ceilings::Ceilings;
use super::error::Error;
use super::files::Files;
use super::names::OWN;
use super::{devcontainer, limits, own};

/// What the repository whose top is `root` asks for, within what repositories may.
pub fn wishes(root: &Path, ceilings: &Ceilings) -> Result<Wishes, Error> {
    let files = Files::of(root)?;
    let mut wishes = match files.chosen {
        Some((name, path, text)) => stated(name, &path, &text)?,
        None => Wishes::default(),
    };
    ceilings.hold(&mut wishes);
    wishes.tools = files.tools;
    wishes.digest = files.digest;
    wishes.root = Some(root.to_owned());
    Ok(wishes)
}

/// The digest of the configuration that the repository at `root` has now.
pub fn digest(root: &Path) -> Result<Option<String>, Error> {
    Ok(Files::of(root)?.digest)
}

fn stated(name: &str, path: &Path, text: &str) -> Result<Wishes, Error> {
    let stated = match name {
        OWN => own::parse(text).map_err(|source| Error::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })?,
        _ => devcontainer::parse(path, text)?,
    };
    limits::within(path, name, stated)
}
