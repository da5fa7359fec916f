//! What is said of work that was not brought back, before a VM stops or goes.

use banger_api::WorkspaceQuery;
use banger_api::client::Client;
use banger_model::shell_word;

use super::pull;
use crate::exit;
use crate::failure::Failure;
use crate::print;

/// What is about to happen to a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It stops; its disk stays.
    Stop,
    /// It goes, and nobody said that this is all right.
    Delete,
    /// It goes, whatever it has.
    ForcedDelete,
}

/// Says what work of a VM was not brought back, or brings it back where the configuration says so. An error where the work
/// would be lost without anyone having said that it may. Takes a few seconds at most, and nothing where no workspace was
/// placed.
pub(crate) async fn before(client: &Client, vm: &str, ending: Ending) -> Result<(), Failure> {
    let unsaved = client.unsaved_work(vm).await?;
    for workspace in &unsaved.workspaces {
        let (path, what) = (&workspace.guest_path, &workspace.what);
        let word = shell_word(path);
        if unsaved.auto_export {
            let query = WorkspaceQuery {
                path: Some(path.clone()),
                ..WorkspaceQuery::default()
            };
            match pull::pull(client, vm, &query).await {
                Ok(pulled) => {
                    print::say!("{vm}: the work at {path} was brought back");
                    pull::tell(vm, &pulled);
                    continue;
                }
                Err(failure) if ending == Ending::Delete => return Err(failure),
                Err(failure) => drop(failure.report()),
            }
        }
        let hint = format!("bring it back with `banger vm workspace pull {vm} {word}`");
        match ending {
            Ending::Delete => {
                let runs = client.vm(vm).await?.phase == banger_model::Phase::Running;
                let hint = match runs {
                    true => hint,
                    // Only a guest that runs can send it.
                    false => format!(
                        "start it and bring it back: `banger vm start {vm} && banger vm workspace pull {vm} {word}`"
                    ),
                };
                let message = format!("VM `{vm}` has work at {path} that was not brought back: {what}");
                let lose = format!("or lose it with `banger vm delete -f {vm}`");
                return Err(Failure::new(message, &[&hint, &lose]).exiting(exit::CONFLICT));
            }
            Ending::Stop => {
                print::say!("note: {vm} has work at {path} that was not brought back: {what}");
                print::say!("note: it stays on the VM's disk; {hint} when it runs");
            }
            Ending::ForcedDelete => {
                print::say!("note: {vm} had work at {path} that was not brought back: {what}");
            }
        }
    }
    Ok(())
}
