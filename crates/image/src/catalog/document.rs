//! The document: what a catalog has.

use std::collections::BTreeMap;

use banger_model::KernelName;
use serde::{Deserialize, Serialize};

use super::{Digest, RelativeLocation};

/// The format that this version writes and reads. A change that old versions would misread gets another one.
const FORMAT: &str = "banger-catalog-1";

/// The most bytes of a document: some ten thousand kernels.
pub(super) const LONGEST: u64 = 8 << 20;

/// A catalog's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    format: String,
    /// Its kernels, by name.
    #[serde(default)]
    pub kernels: Vec<CatalogKernel>,
    /// What other versions have put into it; kept when it is written again.
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

/// A kernel of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogKernel {
    /// Its name.
    pub name: KernelName,
    /// The distribution it comes from, such as `debian`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distro: Option<String>,
    /// The machines it is for, as in `uname -m`.
    pub arch: String,
    /// Its release, such as `6.1.0-56-cloud-amd64`.
    pub version: String,
    /// Where its artifact is, relative to the document.
    pub location: RelativeLocation,
    /// The artifact's digest.
    pub sha256: Digest,
    /// The artifact's length.
    pub bytes: u64,
    /// What it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Boot arguments that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub append: Vec<String>,
    /// The most virtual CPUs it takes, if there is a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_vcpus: Option<u32>,
}

/// What is wrong with a document that is signed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentFault {
    /// It is no JSON of this shape.
    #[error(transparent)]
    Json(serde_json::Error),
    /// It is of a later version.
    #[error("its format is `{0}`, and this version reads `{FORMAT}`")]
    Format(String),
    /// A text that could deceive a terminal.
    #[error("kernel `{0}` has control characters in a text")]
    Control(KernelName),
    /// Which of the two?
    #[error("kernel `{0}` is in it twice for the same machines")]
    Twice(KernelName),
}

impl Default for Document {
    fn default() -> Self {
        Self {
            format: FORMAT.to_owned(),
            kernels: Vec::new(),
            other: BTreeMap::new(),
        }
    }
}

impl Document {
    /// Understands the text of a document.
    ///
    /// # Errors
    /// See [`DocumentFault`].
    pub fn parse(text: &[u8]) -> Result<Self, DocumentFault> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        // First the version, because only then it is known what else there is.
        let head: Head = serde_json::from_slice(text).map_err(DocumentFault::Json)?;
        if head.format != FORMAT {
            return Err(DocumentFault::Format(head.format));
        }
        let document: Self = serde_json::from_slice(text).map_err(DocumentFault::Json)?;
        for (index, kernel) in document.kernels.iter().enumerate() {
            if kernel.texts().any(|text| text.chars().any(char::is_control)) {
                return Err(DocumentFault::Control(kernel.name.clone()));
            }
            if document.kernels[..index]
                .iter()
                .any(|other| other.is_same(kernel))
            {
                return Err(DocumentFault::Twice(kernel.name.clone()));
            }
        }
        Ok(document)
    }

    /// The text of the document.
    pub fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("documents have only string keys");
        text.push(b'\n');
        text
    }

    /// Adds a kernel, or replaces the one of its name for the same machines.
    pub fn set(&mut self, kernel: CatalogKernel) {
        self.kernels.retain(|other| !other.is_same(&kernel));
        self.kernels.push(kernel);
        self.kernels
            .sort_by(|a, b| (&a.name, &a.arch).cmp(&(&b.name, &b.arch)));
    }

    /// The kernel of this name for these machines.
    pub fn kernel(&self, name: &KernelName, arch: &str) -> Option<&CatalogKernel> {
        let mut kernels = self.kernels.iter();
        kernels.find(|kernel| kernel.name == *name && kernel.arch == arch)
    }
}

impl CatalogKernel {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.arch == other.arch
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let one = [
            Some(&self.arch),
            Some(&self.version),
            self.distro.as_ref(),
            self.description.as_ref(),
        ];
        one.into_iter().flatten().chain(&self.append).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(more: &str) -> String {
        let digest = "0".repeat(64);
        format!(
            r#"{{"name": "k", "arch": "x86_64", "version": "6", "location": "k.tar.zst", "sha256": "{digest}", "bytes": 1{more}}}"#
        )
    }

    fn document(kernels: &str) -> String {
        format!(r#"{{"format": "banger-catalog-1", "kernels": [{kernels}], "later": {{"a": 1}}}}"#)
    }

    #[test]
    fn what_a_later_version_added_is_kept() {
        let text = document(&kernel(r#", "later": 1"#));
        let mut read = Document::parse(text.as_bytes()).unwrap();
        let name = "k".parse().unwrap();
        let mut kernel = read.kernel(&name, "x86_64").unwrap().clone();
        assert!(read.kernel(&name, "aarch64").is_none());
        kernel.bytes = 2;
        read.set(kernel);
        let text = String::from_utf8(read.text()).unwrap();
        assert!(
            text.contains(r#""later": {"#) && text.contains(r#""bytes": 2"#),
            "{text}"
        );
        assert_eq!(Document::parse(text.as_bytes()).unwrap(), read);
    }

    #[test]
    fn a_document_that_could_mislead_is_refused() {
        let escaping = kernel("").replace("k.tar.zst", "../k.tar.zst");
        for (text, words) in [
            (
                r#"{"format": "banger-catalog-2", "kernels": 1}"#.to_owned(),
                "reads `banger-catalog-1`",
            ),
            ("{}".to_owned(), "format"),
            ("<html>".to_owned(), "expected value"),
            (document(&escaping), "does not stay below"),
            (document(&kernel("").replace("00", "0G")), "SHA-256"),
            (document(&kernel("").replace("\"k\"", "\"../k\"")), "not a name"),
            (document(&format!("{0},{0}", kernel(""))), "twice"),
            (
                document(&kernel(r#", "description": "\u001b[2J""#)),
                "control characters",
            ),
        ] {
            let error = Document::parse(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
