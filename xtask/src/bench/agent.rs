//! How large the guest agent is.

use anyhow::{Context, Result};

use super::figure::Figure;
use crate::repository;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let arch = std::env::consts::ARCH;
    let path = repository::root().join(format!(
        "target/{arch}-unknown-linux-musl/agent/banger-vsock-agent"
    ));
    let metadata =
        std::fs::metadata(&path).with_context(|| format!("failed to inspect {}", path.display()))?;
    let mib = metadata.len() as f64 / f64::from(1 << 20);
    Ok(vec![Figure::of("agent.size_mib", &[mib])])
}
