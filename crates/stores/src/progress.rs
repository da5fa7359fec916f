//! How far a job has come.

use std::ops::ControlFlow;

use banger_api::Progress;
use banger_request::Reporter;

/// Tells how far something has come.
pub(super) fn progress(
    say: &Reporter,
    what: impl Into<String>,
) -> impl FnMut(u64, Option<u64>) -> ControlFlow<()> {
    let (say, what) = (say.clone(), what.into());
    move |done, total| {
        let what = what.clone();
        say.report(Progress::Bytes { what, done, total });
        ControlFlow::Continue(())
    }
}
