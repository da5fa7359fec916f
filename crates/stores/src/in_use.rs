//! What VMs use cannot be removed.

use banger_model::{Describe, Description, ErrorCode};

/// An image or kernel cannot be removed.
#[derive(Debug, thiserror::Error)]
#[error("{kind} `{name}` is used by {}", .by.join(", "))]
pub(crate) struct InUse {
    kind: &'static str,
    name: String,
    by: Vec<String>,
}

/// Refuses when there are VMs that use the `kind` of this name.
pub(crate) fn refuse(kind: &'static str, name: impl ToString, by: Vec<String>) -> Result<(), InUse> {
    if by.is_empty() {
        return Ok(());
    }
    let name = name.to_string();
    Err(InUse { kind, name, by })
}

impl Describe for InUse {
    fn describe(&self) -> Description {
        let by = self.by.join(" ");
        Description::hinted(
            ErrorCode::InUse,
            format!("delete those VMs first: `banger vm stop {by} && banger vm delete {by}`"),
        )
    }
}
