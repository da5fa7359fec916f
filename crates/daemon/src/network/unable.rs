//! What is told when this user cannot have a network of their own.

/// Why there is no such network, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unable {
    pub(super) reason: String,
    pub(super) hint: &'static str,
}
