//! What people type to name an image.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use oci_spec::distribution::Reference;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Where an image is pulled from. As data it is what was understood of the text: the library understands references by regular
/// expressions, whose making takes a process that pulls once longer than the pull of an unchanged image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullSource {
    /// A registry: `alpine`, `registry.example/owner/image:tag`, or `…@sha256:…`.
    Registry(#[serde(with = "parts")] Reference),
    /// An OCI image layout, and the name of an image in it: `oci:DIR[:TAG]`.
    Layout(PathBuf, Option<String>),
    /// A tar of one: `oci-archive:FILE[:TAG]`.
    OciArchive(PathBuf, Option<String>),
    /// What `docker save` writes: `docker-archive:FILE[:NAME]`.
    DockerArchive(PathBuf, Option<String>),
    /// A tar of either kind: `archive:FILE`.
    Archive(PathBuf),
}

/// A reference by its parts.
mod parts {
    use oci_spec::distribution::Reference;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Parts {
        registry: String,
        repository: String,
        tag: Option<String>,
        digest: Option<String>,
    }

    pub(crate) fn serialize<S: Serializer>(reference: &Reference, to: S) -> Result<S::Ok, S::Error> {
        let parts = Parts {
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
            tag: reference.tag().map(str::to_owned),
            digest: reference.digest().map(str::to_owned),
        };
        parts.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Reference, D::Error> {
        let Parts {
            registry,
            repository,
            tag,
            digest,
        } = Parts::deserialize(from)?;
        match (tag, digest) {
            (Some(tag), Some(digest)) => {
                Ok(Reference::with_tag_and_digest(registry, repository, tag, digest))
            }
            (Some(tag), None) => Ok(Reference::with_tag(registry, repository, tag)),
            (None, Some(digest)) => Ok(Reference::with_digest(registry, repository, digest)),
            (None, None) => Err(serde::de::Error::custom("a reference has a tag or a digest")),
        }
    }
}

impl FromStr for PullSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let local = |rest: &str| {
            // A tag has no slash, so that what follows the last colon of a path with slashes may be told from it.
            match rest.rsplit_once(':') {
                Some((path, tag)) if !path.is_empty() && !tag.is_empty() && !tag.contains('/') => {
                    (PathBuf::from(path), Some(tag.to_owned()))
                }
                _ => (PathBuf::from(rest), None),
            }
        };
        Ok(match text.split_once(':') {
            Some(("oci", rest)) => {
                let (path, tag) = local(rest);
                Self::Layout(path, tag)
            }
            Some(("oci-archive", rest)) => {
                let (path, tag) = local(rest);
                Self::OciArchive(path, tag)
            }
            Some(("archive", rest)) => Self::Archive(rest.into()),
            Some(("docker-archive", rest)) => {
                // Names in these archives have a tag of their own: `FILE:NAME:TAG`.
                let (path, name) = match rest.split_once(':') {
                    Some((path, name)) => (PathBuf::from(path), Some(name.to_owned())),
                    None => (PathBuf::from(rest), None),
                };
                Self::DockerArchive(path, name)
            }
            _ => Self::Registry(text.parse().map_err(|source| Error::Reference {
                reference: text.to_owned(),
                source,
            })?),
        })
    }
}

impl PullSource {
    /// The same with its path, if it has one, made absolute by `absolute`.
    ///
    /// # Errors
    /// Those of `absolute`.
    pub fn try_map_path<E>(self, absolute: impl FnOnce(PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Registry(reference) => Self::Registry(reference),
            Self::Layout(path, tag) => Self::Layout(absolute(path)?, tag),
            Self::OciArchive(path, tag) => Self::OciArchive(absolute(path)?, tag),
            Self::DockerArchive(path, name) => Self::DockerArchive(absolute(path)?, name),
            Self::Archive(path) => Self::Archive(absolute(path)?),
        })
    }

    /// A name for the image, when none is given: the last part of where it comes from, with the tag if that is not
    /// `latest`.
    pub fn suggested_name(&self) -> String {
        let of_path = |path: &PathBuf| {
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let (base, tag) = match self {
            Self::Registry(reference) => {
                let repository = reference.repository();
                let last = repository.rsplit('/').next().unwrap_or(repository);
                (last.to_owned(), reference.tag().map(str::to_owned))
            }
            Self::Layout(path, tag) | Self::OciArchive(path, tag) => (of_path(path), tag.clone()),
            Self::DockerArchive(path, None) | Self::Archive(path) => (of_path(path), None),
            Self::DockerArchive(path, Some(name)) => {
                let last = name.rsplit('/').next().unwrap_or(name);
                match last.split_once(':') {
                    Some((last, tag)) => (last.to_owned(), Some(tag.to_owned())),
                    None if last.is_empty() => (of_path(path), None),
                    None => (last.to_owned(), None),
                }
            }
        };
        match tag.filter(|tag| tag != "latest") {
            Some(tag) => plain(&format!("{base}-{tag}")),
            None => plain(&base),
        }
    }
}

/// As close to `text` as names of images allow: lower-case letters, digits and hyphens between them.
fn plain(text: &str) -> String {
    let mut name = String::new();
    for c in text.to_ascii_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '.' | '_' => name.push(c),
            _ if !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.trim_matches(['-', '.', '_']).to_owned()
}

impl fmt::Display for PullSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, path, tag) = match self {
            Self::Registry(reference) => return reference.whole().fmt(formatter),
            Self::Layout(path, tag) => ("oci", path, tag),
            Self::OciArchive(path, tag) => ("oci-archive", path, tag),
            Self::DockerArchive(path, name) => ("docker-archive", path, name),
            Self::Archive(path) => ("archive", path, &None),
        };
        write!(formatter, "{kind}:{}", path.display())?;
        match tag {
            Some(tag) => write!(formatter, ":{tag}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> PullSource {
        text.parse().unwrap()
    }

    #[test]
    fn what_people_type_is_understood() {
        let whole = |text| parsed(text).to_string();
        assert_eq!(whole("alpine"), "docker.io/library/alpine:latest");
        assert_eq!(whole("debian:bookworm"), "docker.io/library/debian:bookworm");
        assert_eq!(whole("localhost:5000/a/b:c"), "localhost:5000/a/b:c");
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(
            whole(&format!("registry.example/o/i@{digest}")),
            format!("registry.example/o/i@{digest}")
        );
        assert_eq!(
            parsed("oci:/a/b:v1"),
            PullSource::Layout("/a/b".into(), Some("v1".to_owned()))
        );
        assert_eq!(parsed("oci:./b"), PullSource::Layout("./b".into(), None));
        assert_eq!(
            parsed("docker-archive:x.tar:a/b:c"),
            PullSource::DockerArchive("x.tar".into(), Some("a/b:c".to_owned()))
        );
        assert!("Upper/Case".parse::<PullSource>().is_err());
    }

    #[test]
    fn a_source_is_the_same_as_data() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for text in [
            "alpine",
            "localhost:5000/a/b:c",
            &format!("registry.example/o/i@{digest}"),
            &format!("registry.example/o/i:v1@{digest}"),
            "oci:/a/b:v1",
            "docker-archive:x.tar:a/b:c",
        ] {
            let source = parsed(text);
            let data = serde_json::to_string(&source).unwrap();
            assert_eq!(
                serde_json::from_str::<PullSource>(&data).unwrap(),
                source,
                "{data}"
            );
        }
        assert!(
            serde_json::from_str::<PullSource>(r#"{"Registry":{"registry":"a","repository":"b"}}"#).is_err()
        );
    }

    #[test]
    fn names_follow_from_sources() {
        let name = |text| parsed(text).suggested_name();
        assert_eq!(name("alpine"), "alpine");
        assert_eq!(name("debian:bookworm"), "debian-bookworm");
        assert_eq!(name("registry.example/o/image"), "image");
        assert_eq!(name("oci:/tmp/my layout:v1"), "my-layout-v1");
        assert_eq!(name("docker-archive:/tmp/save.tar"), "save");
        assert_eq!(name("docker-archive:/tmp/save.tar:a/b:c"), "b-c");
    }
}
