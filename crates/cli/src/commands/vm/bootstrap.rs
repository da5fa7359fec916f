//! What is said of the preparation of a checkout.

use banger_api::{Vm, VmSession, Wishes};
use banger_client::Client;
use banger_client::run::{Begun, Bootstrap};
use banger_command::failure::Failure;
use banger_command::print;
use banger_command::progress::Display;
use banger_command::work::interruptible;

/// Begins to do what `wishes` asks for in the checkout at `cwd`, and says so. Gives whether there is anything to do. It runs
/// on whatever becomes of this command.
pub(super) async fn begin(client: &Client, vm: &Vm, cwd: &str, wishes: &Wishes) -> bool {
    let bootstrap = Bootstrap::of(vm, wishes);
    if !bootstrap.left_out.is_empty() {
        print::say!(
            "note: VM {} has no network, so the tools that {} names are not installed: use `--nat` to allow access to the \
             Internet, or `--no-bootstrap` to skip the tools",
            vm.name,
            bootstrap.left_out.join(", ")
        );
    }
    let vm = vm.name.as_str();
    match bootstrap.begin(client, vm, cwd).await {
        Begun::Nothing => false,
        Begun::Running => {
            print::say!("preparing the checkout: follow it with `banger vm logs --bootstrap -f {vm}`");
            true
        }
        Begun::NotStarted(error) => {
            print::say!("note: failed to prepare the checkout: {error}");
            false
        }
    }
}

/// Waits until it is done, and tells if it failed.
pub(super) async fn end(client: &Client, vm: &str) -> Result<(), Failure> {
    let display = Display::new("");
    display.now("preparing the checkout");
    let ended = interruptible(async { Ok(Bootstrap::wait(client, vm).await?) }).await?;
    drop(display);
    tell(client, vm, &ended).await;
    Ok(())
}

/// Tells how far it is, to one who leaves the VM.
pub(super) async fn tell_state(client: &Client, vm: &str) {
    // The VM may have ended with the shell, and that is no failure.
    if let Ok(session) = Bootstrap::state(client, vm).await {
        tell(client, vm, &session).await;
    }
}

async fn tell(client: &Client, vm: &str, session: &VmSession) {
    let log = format!("`banger vm logs --bootstrap {vm}`");
    match (session.state.is_live(), session.exit_code) {
        (false, Some(0)) => {}
        (true, _) => print::say!("the checkout is still being prepared: see {log}"),
        (false, Some(code)) => {
            print::say!("note: preparing the checkout failed with exit code {code}: see {log}");
            // Here too: a VM that is removed in the end takes its log along.
            for line in Bootstrap::last_lines(client, vm).await {
                print::say!("    | {line}");
            }
        }
        (false, None) => print::say!("note: preparing the checkout was interrupted: see {log}"),
    }
}
