//! Reports what happened to the work of a VM that was stopped or deleted. The daemon decides; this prints.

use banger_api::{VmWork, WorkspaceQuery};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::print;
use banger_model::shell_word;

use super::pull;

/// How a VM ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The VM was stopped; its disk still exists.
    Stopped,
    /// The VM was deleted.
    Deleted,
}

/// Prints which work was brought back, and which was not.
pub(crate) fn report(vm: &str, work: &VmWork, ending: Ending) {
    for pulled in &work.pulled {
        print::notice!("{vm}: the work at {} was brought back", pulled.guest_path);
        pull::print_pulled(vm, pulled);
    }
    for failure in work.left.iter().filter_map(|left| left.failure.as_ref()) {
        Failure::from(failure.clone()).report();
    }
    for left in work.left.iter().map(|left| &left.workspace) {
        let (path, what) = (&left.guest_path, &left.what);
        let word = shell_word(path);
        match ending {
            Ending::Stopped => {
                print::notice!("note: VM {vm} has work at {path} that was not pulled: {what}");
                print::notice!(
                    "note: the work is on the VM's disk; bring it back with \
                     `banger vm workspace pull {vm} {word}` when the VM runs"
                );
            }
            Ending::Deleted => {
                print::notice!("note: VM {vm} had work at {path} that was not pulled: {what}");
            }
        }
    }
}

/// Pulls the work of a VM whose command has ended, where the configuration says so. Returns whether nothing is lost when the VM
/// goes now: with work that did not come, it stays, as it does when nobody attends.
pub(crate) async fn bring_back(client: &Client, vm: &str) -> bool {
    let unsaved = match client.unsaved_work(vm).await {
        Ok(unsaved) if unsaved.auto_export => unsaved.workspaces,
        // One that is gone has none, and what its removal loses is reported then.
        _ => return true,
    };
    let mut is_saved = true;
    for workspace in unsaved {
        let path = &workspace.guest_path;
        let query = WorkspaceQuery {
            path: Some(path.clone()),
            ..WorkspaceQuery::default()
        };
        let left = match pull::pull(client, vm, &query).await {
            Ok(pulled) => {
                print::notice!("{vm}: the work at {path} was brought back");
                pull::print_pulled(vm, &pulled);
                pulled.left
            }
            Err(failure) => {
                failure.report();
                Some(workspace.what)
            }
        };
        if let Some(left) = left {
            is_saved = false;
            print::notice!("note: VM {vm} was kept: it has work at {path} that was not pulled: {left}");
            print::notice!("note: discard the work with `banger vm delete -f {vm}`");
        }
    }
    is_saved
}
