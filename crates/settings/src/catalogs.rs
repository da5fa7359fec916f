//! Which catalogs there are: those of `config.toml`, which its user writes, and those of `catalogs.toml` beside it, which
//! `banger kernel catalog` writes. The first is never changed by us.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use banger_api::Paths;
use banger_catalog::Catalog;
use banger_model::{CatalogName, Describe, Description, ErrorCode};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::config::{self, CatalogEntry, Config};

/// A catalog, and where it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// It.
    pub entry: CatalogEntry,
    /// Whether it is configured in `config.toml`.
    pub in_config: bool,
}

/// `catalogs.toml`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    #[serde(default)]
    catalog: Vec<CatalogEntry>,
}

/// Catalogs could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `config.toml` cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A file.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `catalogs.toml` is not as it was written.
    #[error("failed to parse the list of catalogs {}", .path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The name is taken.
    #[error("catalog `{0}` already exists")]
    Exists(CatalogName),
    /// Nothing has this name.
    #[error("there is no catalog `{name}`")]
    NotFound {
        /// Its name.
        name: CatalogName,
        /// Those there are.
        present: Vec<String>,
    },
    /// Its user's file names it.
    #[error("catalog `{name}` is configured in {}, which banger does not edit", .path.display())]
    InConfig {
        /// Its name.
        name: CatalogName,
        /// Which.
        path: PathBuf,
    },
    /// What was seen of a catalog cannot be forgotten.
    #[error(transparent)]
    Forget(#[from] banger_catalog::Error),
    /// Two with one name.
    #[error("catalog `{name}` is configured twice, the second time in {}", .path.display())]
    Twice {
        /// Its name.
        name: CatalogName,
        /// Which.
        path: PathBuf,
    },
}

/// Requests that change the file come one after the other.
static CHANGING: Mutex<()> = Mutex::new(());

/// Every catalog.
pub fn list(paths: &Paths) -> Result<Vec<Configured>, Error> {
    let config = Config::load(paths)?.catalog.into_iter();
    let added = read(&paths.catalogs_file())?.catalog.into_iter();
    let from = |in_config| move |entry| Configured { entry, in_config };
    let all = config.map(from(true)).chain(added.map(from(false)));
    let mut catalogs: Vec<Configured> = Vec::new();
    for one in all {
        if catalogs.iter().any(|other| other.entry.name == one.entry.name) {
            let path = if one.in_config {
                paths.config_file()
            } else {
                paths.catalogs_file()
            };
            let name = one.entry.name;
            return Err(Error::Twice { name, path });
        }
        catalogs.push(one);
    }
    Ok(catalogs)
}

/// The catalogs to look in: all, or the one of this name.
pub fn chosen(paths: &Paths, name: Option<&CatalogName>) -> Result<Vec<Catalog>, Error> {
    let all = list(paths)?;
    let present = || all.iter().map(|one| one.entry.name.to_string()).collect();
    let wanted: Vec<_> = all
        .iter()
        .filter(|one| name.is_none_or(|name| one.entry.name == *name))
        .map(|one| one.entry.to_catalog(paths))
        .collect();
    match name {
        Some(name) if wanted.is_empty() => Err(Error::NotFound {
            name: name.clone(),
            present: present(),
        }),
        _ => Ok(wanted),
    }
}

/// Adds a catalog.
pub fn add(paths: &Paths, entry: CatalogEntry) -> Result<Configured, Error> {
    let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    if list(paths)?.iter().any(|one| one.entry.name == entry.name) {
        return Err(Error::Exists(entry.name));
    }
    let path = paths.catalogs_file();
    let mut added = read(&path)?;
    added.catalog.push(entry.clone());
    write(&path, &added)?;
    Ok(Configured {
        entry,
        in_config: false,
    })
}

/// Removes a catalog. Kernels that were pulled from it stay.
pub fn remove(paths: &Paths, name: &CatalogName) -> Result<(), Error> {
    let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    // Not by way of `list`: a duplicate name is fixed by removing one.
    let path = paths.catalogs_file();
    let mut added = read(&path)?;
    let before = added.catalog.len();
    let removed: Vec<_> = added
        .catalog
        .extract_if(.., |entry| entry.name == *name)
        .collect();
    if added.catalog.len() < before {
        write(&path, &added)?;
        // Who adds it again starts over.
        for entry in removed {
            entry.to_catalog(paths).forget()?;
        }
        return Ok(());
    }
    let all = list(paths)?;
    let name = name.clone();
    if all.iter().any(|one| one.entry.name == name) {
        let path = paths.config_file();
        return Err(Error::InConfig { name, path });
    }
    let present = all.iter().map(|one| one.entry.name.to_string()).collect();
    Err(Error::NotFound { name, present })
}

impl CatalogEntry {
    /// The catalog, with what was seen of it kept here.
    pub fn to_catalog(&self, paths: &Paths) -> Catalog {
        Catalog {
            name: self.name.to_string(),
            location: self.location.clone(),
            key: self.key.clone(),
            seen_dir: Some(paths.catalogs_seen()),
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { what, path, source }
}

fn read(path: &Path) -> Result<Added, Error> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Added::default()),
        text => text.map_err(failed("read", path))?,
    };
    toml::from_str(&text).map_err(|source| Error::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn write(path: &Path, added: &Added) -> Result<(), Error> {
    const HEAD: &str = "# Written by `banger kernel catalog`; your own go into config.toml.\n\n";
    let text = toml::to_string(added).expect("names, locations and keys are texts");
    let dir = path.parent().unwrap_or(path);
    std::fs::create_dir_all(dir).map_err(failed("create the directory", dir))?;
    let mut file = NamedTempFile::new_in(dir).map_err(failed("create a file in", dir))?;
    file.write_all((HEAD.to_owned() + &text).as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed("write", path))?;
    file.persist(path)
        .map_err(|error| failed("rename a file to", path)(error.error))?;
    std::fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("sync", dir))
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Config(source) => source.describe(),
            Self::Forget(source) => source.describe(),
            Self::Exists(name) => Description::hinted(
                ErrorCode::AlreadyExists,
                format!(
                    "choose another name, or remove the catalog first: `banger kernel catalog rm {name}`"
                ),
            ),
            Self::NotFound { present, .. } if !present.is_empty() => {
                Description::hinted(ErrorCode::NotFound, format!("available: {}", present.join(", ")))
            }
            Self::NotFound { .. } => {
                Description::hinted(ErrorCode::NotFound, "see `banger kernel catalog add --help`")
            }
            Self::InConfig { .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                "remove the catalog's [[catalog]] table from that file",
            ),
            Self::Twice { name, .. } => Description::hinted(
                ErrorCode::Host,
                format!(
                    "remove the catalog from that file, or remove the added one with `banger kernel catalog rm {name}`"
                ),
            ),
            Self::File { .. } | Self::Parse { .. } => ErrorCode::Host.into(),
        }
    }
}

#[cfg(test)]
mod tests;
