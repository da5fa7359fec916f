//! The document: what a catalog has.

use std::collections::BTreeMap;

use banger_store::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::location::RelativeLocation;
use crate::offered::{CatalogImage, CatalogKernel};

/// The format that this version writes and reads. A change that old versions would misread gets another one.
const FORMAT: &str = "banger-catalog-1";

/// The most bytes of a document: some ten thousand kernels and images.
pub(crate) const LONGEST: u64 = 8 << 20;

/// A catalog's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    format: String,
    /// Grows with each state that is published; 0 in documents of before there were serials.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) serial: u64,
    /// After this it is too old to be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    /// Its kernels, by name.
    #[serde(default)]
    pub kernels: Vec<CatalogKernel>,
    /// Its images, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<CatalogImage>,
    /// What other versions have put into it; kept when it is written again.
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

/// What a catalog offers: kernels and images.
pub(crate) trait Offer: Clone {
    /// What it is called in messages.
    const KIND: &'static str;

    /// All that a document has.
    fn all(document: &Document) -> &Vec<Self>;
    fn all_mut(document: &mut Document) -> &mut Vec<Self>;

    fn name(&self) -> &str;
    fn arch(&self) -> &str;
    fn location(&self) -> &RelativeLocation;
    fn sha256(&self) -> Digest;
    fn bytes(&self) -> u64;

    /// What people read, or a guest's kernel gets.
    fn texts(&self) -> impl Iterator<Item = &str>;
}

macro_rules! offer {
    ($type:ty, $kind:literal, $field:ident, $texts:expr) => {
        impl Offer for $type {
            const KIND: &'static str = $kind;

            fn all(document: &Document) -> &Vec<Self> {
                &document.$field
            }

            fn all_mut(document: &mut Document) -> &mut Vec<Self> {
                &mut document.$field
            }

            fn name(&self) -> &str {
                self.name.as_str()
            }

            fn arch(&self) -> &str {
                &self.arch
            }

            fn location(&self) -> &RelativeLocation {
                &self.location
            }

            fn sha256(&self) -> Digest {
                self.sha256
            }

            fn bytes(&self) -> u64 {
                self.bytes
            }

            fn texts(&self) -> impl Iterator<Item = &str> {
                let texts: fn(&Self) -> Vec<Option<&String>> = $texts;
                texts(self).into_iter().flatten().map(String::as_str)
            }
        }
    };
}

offer!(CatalogKernel, "kernel", kernels, |kernel| {
    let one = [
        Some(&kernel.arch),
        Some(&kernel.version),
        kernel.distro.as_ref(),
        kernel.description.as_ref(),
    ];
    one.into_iter().chain(kernel.append.iter().map(Some)).collect()
});

offer!(CatalogImage, "image", images, |image| vec![
    Some(&image.arch),
    image.os.as_ref(),
    image.description.as_ref(),
]);

/// What is wrong with a document that is signed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentFault {
    /// It is no JSON of this shape.
    #[error(transparent)]
    Json(serde_json::Error),
    /// It is of a later version.
    #[error("unsupported format `{0}`: this version reads `{FORMAT}`")]
    Format(String),
    /// A text that could deceive a terminal.
    #[error("{kind} `{name}` contains control characters")]
    Control {
        /// `kernel` or `image`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Which of the two?
    #[error("{kind} `{name}` is listed twice for the same architecture")]
    Twice {
        /// `kernel` or `image`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(serial: &u64) -> bool {
    *serial == 0
}

impl Default for Document {
    fn default() -> Self {
        Self {
            format: FORMAT.to_owned(),
            serial: 0,
            expires: None,
            kernels: Vec::new(),
            images: Vec::new(),
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
        document.check::<CatalogKernel>()?;
        document.check::<CatalogImage>()?;
        Ok(document)
    }

    /// The text of the document.
    pub fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("documents have only string keys");
        text.push(b'\n');
        text
    }

    /// Adds an offer, or replaces the one of its name for the same machines.
    pub(crate) fn set<T: Offer>(&mut self, offer: T) {
        let all = T::all_mut(self);
        all.retain(|other| !is_same(other, &offer));
        all.push(offer);
        all.sort_by(|a, b| (a.name(), a.arch()).cmp(&(b.name(), b.arch())));
    }

    /// The offer of this name for these machines.
    pub(crate) fn offer<T: Offer>(&self, name: &str, arch: &str) -> Option<&T> {
        let mut all = T::all(self).iter();
        all.find(|offer| offer.name() == name && offer.arch() == arch)
    }

    fn check<T: Offer>(&self) -> Result<(), DocumentFault> {
        let (kind, all) = (T::KIND, T::all(self));
        for (index, offer) in all.iter().enumerate() {
            let name = offer.name().to_owned();
            if offer.texts().any(|text| text.chars().any(char::is_control)) {
                return Err(DocumentFault::Control { kind, name });
            }
            if all[..index].iter().any(|other| is_same(other, offer)) {
                return Err(DocumentFault::Twice { kind, name });
            }
        }
        Ok(())
    }
}

fn is_same<T: Offer>(one: &T, other: &T) -> bool {
    one.name() == other.name() && one.arch() == other.arch()
}

#[cfg(test)]
mod tests;
