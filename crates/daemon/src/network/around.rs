//! What is around this host, for the resolver: no name leads a VM to the host itself or to its neighbours. The packet filter
//! refuses the same by what its helper sees.

use std::io;
use std::sync::Arc;

use banger_root::kernel::Watch;

use super::Helper;
use super::names::Names;

/// Looks around, and again whenever the host's network changes, for as long as the process lives. A network of this user's own
/// leads out again then where it did not, or not as this host does by now.
pub(super) fn follow(names: &Arc<Names>, helper: &Arc<Helper>) {
    let first = || -> io::Result<Watch> {
        let watch = Watch::open()?;
        names.refuse(watch.look()?.refused());
        Ok(watch)
    };
    let watch = match first() {
        Ok(watch) => watch,
        Err(error) => return cannot(&error),
    };
    let (names, helper) = (Arc::clone(names), Arc::clone(helper));
    std::thread::spawn(move || {
        let ended = watch.follow(|around| {
            names.refuse(around.refused());
            helper.rootless().keep_open();
        });
        ended.unwrap_or_else(|error| cannot(&error));
    });
}

/// The packet filter still refuses what a name leads to.
fn cannot(error: &io::Error) {
    tracing::error!(%error, "failed to follow the host's network; names may lead to its neighbours");
}
