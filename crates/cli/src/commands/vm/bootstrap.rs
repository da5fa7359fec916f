//! Messages about the preparation of a checkout.

use banger_api::{Awaited, VmSession, VmWait};
use banger_client::Client;
use banger_client::run::Bootstrap;
use banger_command::connection::across_restarts;
use banger_command::failure::Failure;
use banger_command::print;
use banger_command::progress::Display;
use banger_command::work::interruptible;

/// Waits for the preparation, and reports if it failed.
pub(super) async fn end(client: &Client, vm: &str) -> Result<(), Failure> {
    let display = Display::new("");
    display.now("preparing the checkout");
    let wait = VmWait {
        awaited: Awaited::Prepared,
    };
    let waited = across_restarts(async |client| client.wait_for_vm(vm, &wait).await);
    let waited = interruptible(waited).await?;
    drop(display);
    if let Some(session) = &waited.bootstrap {
        print_outcome(client, vm, session).await;
    }
    Ok(())
}

/// Whether it goes on.
pub(super) async fn goes_on(client: &Client, vm: &str) -> bool {
    let state = Bootstrap::state(client, vm).await;
    state.is_ok_and(|session| session.state.is_live())
}

/// Reports the state of the preparation when the user leaves the VM.
pub(super) async fn print_state(client: &Client, vm: &str) {
    // The VM may have ended with the shell, which is no error.
    if let Ok(session) = Bootstrap::state(client, vm).await {
        print_outcome(client, vm, &session).await;
    }
}

async fn print_outcome(client: &Client, vm: &str, session: &VmSession) {
    let log = format!("`banger vm logs --bootstrap {vm}`");
    match (session.state.is_live(), session.exit_code) {
        (false, Some(0)) => {}
        (true, _) => print::notice!("the checkout is still being prepared: see {log}"),
        (false, Some(code)) => {
            print::notice!("note: preparing the checkout failed with exit code {code}: see {log}");
            // Printed here too, because the log is lost with a VM that is removed on exit.
            for line in Bootstrap::last_lines(client, vm).await {
                print::notice!("    | {line}");
            }
        }
        (false, None) => print::notice!("note: preparing the checkout was interrupted: see {log}"),
    }
}
