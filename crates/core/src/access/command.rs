//! Commands in a guest.

use banger_api::stream::Exec;
use banger_api::{ErrorBody, user_env};
use banger_guest_link::AgentStream;
use banger_model::VmSpec;

use super::of_guest;
use crate::vm::row::ImageRef;
use crate::vm::{self, Context, Vms};

impl Vms {
    /// A connection to the agent on which a command runs, speaking `stdio_mux_v1`.
    pub async fn exec(&self, name: &str, exec: Exec) -> Result<AgentStream, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        let state = handle.state();
        let exec = self.context().with_defaults(exec, &state.spec, &state.image);
        guest.exec(&exec).await.map_err(of_guest(&handle))
    }
}

impl Context {
    /// What the command does not say for itself, with the user's proxies where the configuration passes them on.
    pub(super) fn with_defaults(&self, exec: Exec, spec: &VmSpec, image: &ImageRef) -> Exec {
        let has_user_env = !exec.user_env.is_empty();
        // A configuration with an error in it stops no command.
        let with_proxies = has_user_env && self.config().is_ok_and(|config| config.guest_proxy);
        with_defaults(exec, spec, image, with_proxies)
    }
}

/// What the command does not say for itself: the VM's variables as they are now (`vm set --env` needs no restart), then
/// what the image says, then what the user's own environment has.
fn with_defaults(mut exec: Exec, spec: &VmSpec, image: &ImageRef, with_proxies: bool) -> Exec {
    for (name, value) in vm::variables(spec, image) {
        exec.env.entry(name).or_insert(value);
    }
    let of_user = std::mem::take(&mut exec.user_env);
    for (name, value) in user_env::granted(of_user, with_proxies) {
        exec.env.entry(name).or_insert(value);
    }
    let set = |text: &String| (!text.is_empty()).then(|| text.clone());
    // A directory is the image's choice for its user; for another it may not even be readable.
    if exec.user.is_none() {
        exec.cwd = exec.cwd.or_else(|| set(&image.config.workdir));
    }
    exec.user = exec.user.or_else(|| set(&image.config.user));
    exec
}
