//! Blocking work on repositories, on a thread for it.

use banger_caller::Caller;
use banger_confined::{Cancel, Guard};

use crate::error::Error;

/// Does blocking work, whose children end when nobody waits for it any more.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let cancel = Cancel::new().map_err(Error::Event)?;
    let _guard = Guard(cancel.clone());
    let caller = Caller::current();
    let work = tokio::task::spawn_blocking(move || Caller::scope(caller, || cancel.scope(work)));
    work.await.map_err(|_| Error::Defect(what))?
}
