//! Connections that broke.

/// The connection broke, or what came is not HTTP.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Broken(#[from] hyper::Error);
