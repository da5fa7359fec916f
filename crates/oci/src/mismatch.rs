//! In what content differs from what was named.

use banger_store::Digest;

/// Content that is not the one that was named.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// Its digest is another.
    #[error("the digest is sha256:{got}, expected sha256:{wanted}")]
    Digest {
        /// As it was named.
        wanted: Digest,
        /// As it is.
        got: Digest,
    },
    /// It has another length.
    #[error("the size is {got} bytes, expected {wanted}")]
    Size {
        /// As it was announced.
        wanted: u64,
        /// As it is, as far as it was read.
        got: u64,
    },
}
