//! Where catalogs and their artifacts are: at a URL or below a path of this host.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use banger_fetch::{Url, shown};
use serde::{Deserialize, Serialize};

/// The document's name where a location names a directory.
pub(crate) const DOCUMENT: &str = "catalog.json";

/// What is added to the document's name for its signature.
pub(crate) const SIGNATURE: &str = ".minisig";

/// Where a catalog is: an `http` or `https` URL or an absolute path, of its document or of the directory that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location {
    text: String,
    place: Place,
}

/// A text is no location.
#[derive(Debug, thiserror::Error)]
pub enum LocationFault {
    /// It is not a URL.
    #[error("invalid URL `{0}`")]
    Url(String),
    /// Its scheme is not spoken here.
    #[error("unsupported URL `{0}`: expected http or https")]
    Scheme(String),
    /// A relative path means another file for another process.
    #[error("invalid location `{0}`: expected a URL or an absolute path")]
    Relative(String),
    /// An artifact that could be outside its catalog.
    #[error(
        "invalid path `{0}` in a catalog: expected names of letters, digits and `.`, `_`, `-`, `+`, separated by `/`"
    )]
    Escapes(String),
}

/// A file at a URL or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Url(Url),
    Path(PathBuf),
}

impl Location {
    /// Where its document is.
    pub(crate) fn document(&self) -> Place {
        match &self.place {
            Place::Url(url) if url.path().ends_with('/') => Place::Url(joined(url, DOCUMENT)),
            Place::Path(path) if path.is_dir() => Place::Path(path.join(DOCUMENT)),
            place => place.clone(),
        }
    }
}

impl FromStr for Location {
    type Err = LocationFault;

    fn from_str(text: &str) -> Result<Self, LocationFault> {
        let owned = || text.to_owned();
        let place = if text.contains("://") {
            let url = Url::parse(text).map_err(|_| LocationFault::Url(owned()))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(LocationFault::Scheme(owned()));
            }
            Place::Url(url)
        } else if text.starts_with('/') {
            Place::Path(text.into())
        } else {
            return Err(LocationFault::Relative(owned()));
        };
        Ok(Self { text: owned(), place })
    }
}

impl TryFrom<String> for Location {
    type Error = LocationFault;

    fn try_from(text: String) -> Result<Self, LocationFault> {
        text.parse()
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.text
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where an artifact is, relative to its catalog's document. It never leads out of there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativeLocation(String);

impl FromStr for RelativeLocation {
    type Err = LocationFault;

    fn from_str(text: &str) -> Result<Self, LocationFault> {
        // So few characters mean the same as path and as URL, without any escaping.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
        let good = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
        if text.len() <= 512 && text.split('/').all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(LocationFault::Escapes(text.chars().take(512).collect()))
        }
    }
}

impl TryFrom<String> for RelativeLocation {
    type Error = LocationFault;

    fn try_from(text: String) -> Result<Self, LocationFault> {
        text.parse()
    }
}

impl From<RelativeLocation> for String {
    fn from(location: RelativeLocation) -> Self {
        location.0
    }
}

impl Place {
    /// The signature of this document.
    pub(crate) fn signature(&self) -> Self {
        match self {
            Self::Url(url) => {
                let mut url = url.clone();
                url.set_path(&format!("{}{SIGNATURE}", url.path()));
                Self::Url(url)
            }
            Self::Path(path) => {
                let mut path = path.clone().into_os_string();
                path.push(SIGNATURE);
                Self::Path(path.into())
            }
        }
    }

    /// The artifact of this document.
    pub(crate) fn artifact(&self, location: &RelativeLocation) -> Self {
        match self {
            Self::Url(url) => Self::Url(joined(url, &location.0)),
            Self::Path(path) => Self::Path(path.with_file_name(&location.0)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&shown(url)),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// The same URL with another last part. A query belongs to what it was given for.
fn joined(url: &Url, relative: &str) -> Url {
    let mut url = url.clone();
    let directory = url.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    url.set_path(&format!("{directory}/{relative}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_catalog_lie_beside_its_document() {
        let artifact: RelativeLocation = "k/a.tar.zst".parse().unwrap();
        for (location, document, signed, found) in [
            (
                "http://h/c/",
                "http://h/c/catalog.json",
                "http://h/c/catalog.json.minisig",
                "http://h/c/k/a.tar.zst",
            ),
            (
                "http://h/c/my.json?t=1",
                "http://h/c/my.json",
                "http://h/c/my.json.minisig",
                "http://h/c/k/a.tar.zst",
            ),
            (
                "http://u:p@h",
                "http://h/catalog.json",
                "http://h/catalog.json.minisig",
                "http://h/k/a.tar.zst",
            ),
            ("/c/my.json", "/c/my.json", "/c/my.json.minisig", "/c/k/a.tar.zst"),
            ("/", "/catalog.json", "/catalog.json.minisig", "/k/a.tar.zst"),
        ] {
            let place = location.parse::<Location>().unwrap().document();
            let parts = [place.clone(), place.signature(), place.artifact(&artifact)];
            assert_eq!(
                parts.map(|part| part.to_string()),
                [document, signed, found],
                "{location}"
            );
        }
    }

    #[test]
    fn an_artifact_never_leads_out() {
        for bad in [
            "",
            "/a",
            "..",
            "../a",
            "a/../b",
            "a//b",
            "./a",
            "a\\b",
            "a%2fb",
            "http://h/a",
            "a?b",
            "a#b",
            "a b",
            "a/",
        ] {
            assert!(bad.parse::<RelativeLocation>().is_err(), "{bad}");
        }
        for good in ["a", "a/b.tar.zst", "..a", "linux-6.1+deb"] {
            assert!(good.parse::<RelativeLocation>().is_ok(), "{good}");
        }
    }

    #[test]
    fn a_location_is_a_url_or_a_whole_path() {
        for bad in ["", "a/b", "ftp://h/a", "file:///a", "http://"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }
}
