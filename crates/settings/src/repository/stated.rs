//! What a file says.

use banger_api::Wishes;

/// What a file says, before anything of it is granted.
#[derive(Debug)]
pub(super) struct Stated {
    /// The image, as it is written.
    pub(super) image: Option<String>,
    /// All else.
    pub(super) wishes: Wishes,
}
