//! Reading a catalog that somebody vouches for.

use banger_fetch::Fetcher;
use jiff::Timestamp;

use crate::configured::Catalog;
use crate::document;
use crate::document::Document;
use crate::error::Error;
use crate::location::Place;

/// The most bytes of a signature: four short lines.
const LONGEST_SIGNATURE: u64 = 8 << 10;

impl Catalog {
    /// What it has, once its signature was verified.
    ///
    /// # Errors
    /// When it is not there, not signed by its key, not a document, too old, or older than one that was seen.
    pub fn read(&self, fetcher: &Fetcher) -> Result<Document, Error> {
        let document = self.read_at(&self.location.document(), fetcher)?;
        self.check_freshness(&document, Timestamp::now())?;
        Ok(document)
    }

    pub(crate) fn read_at(&self, place: &Place, fetcher: &Fetcher) -> Result<Document, Error> {
        let catalog = || self.name.clone();
        let text = place.small(fetcher, document::LONGEST)?;
        let text = text.ok_or_else(|| Error::NoDocument {
            catalog: catalog(),
            place: place.to_string(),
        })?;
        let signature = place.signature().small(fetcher, LONGEST_SIGNATURE)?;
        let signature = signature.ok_or_else(|| Error::Unsigned {
            catalog: catalog(),
            place: place.signature().to_string(),
        })?;
        let signature = String::from_utf8_lossy(&signature);
        self.key.verify(&self.name, &signature, &text)?;
        Document::parse(&text).map_err(|source| Error::Document {
            catalog: catalog(),
            source,
        })
    }
}
