//! Reports what happened to the work of a VM that was stopped or deleted. The daemon decides; this prints.

use banger_api::VmWork;
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
        print::say!("{vm}: the work at {} was brought back", pulled.guest_path);
        pull::tell(vm, pulled);
    }
    for failure in work.left.iter().filter_map(|left| left.failure.as_ref()) {
        Failure::from(failure.clone()).report();
    }
    for left in work.left.iter().map(|left| &left.workspace) {
        let (path, what) = (&left.guest_path, &left.what);
        let word = shell_word(path);
        match ending {
            Ending::Stopped => {
                print::say!("note: VM {vm} has work at {path} that was not pulled: {what}");
                print::say!(
                    "note: the work is on the VM's disk; bring it back with \
                     `banger vm workspace pull {vm} {word}` when the VM runs"
                );
            }
            Ending::Deleted => {
                print::say!("note: VM {vm} had work at {path} that was not pulled: {what}");
            }
        }
    }
}
