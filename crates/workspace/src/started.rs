//! What the workspaces of a VM need that was started.

use crate::error::Error;
use crate::inspect::remember;
use crate::placed::Records;
use crate::target::Target;

/// What has to be done for the workspaces of a VM that was started: those that are read-only are made so again, and what was
/// seen of their work no longer counts.
///
/// # Errors
/// When the guest is not reached, or cannot make one read-only.
pub async fn started(target: &Target, records: &Records) -> Result<(), Error> {
    for record in records.all() {
        remember(records, &record.guest_path, |record| record.checked = None);
        if record.readonly {
            target.at(&record.guest_path).protect(true).await?;
        }
    }
    Ok(())
}
