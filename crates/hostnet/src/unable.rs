//! What is told when this user cannot have a network of their own.

/// Why there is no such network, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unable {
    pub(crate) reason: String,
    pub(crate) hint: &'static str,
}
