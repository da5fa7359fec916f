//! Shell completion of names, from the running daemon. No daemon is started for it.

use std::ffi::OsStr;
use std::time::Duration;

use banger_api::Paths;
use banger_client::Client;
use banger_client::daemon::listening;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};

use crate::print::stream::is_candidate;

/// Names of VMs.
pub fn vms() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        names(current, async |client| {
            let vms = client.vms().await.unwrap_or_default();
            vms.into_iter().map(|vm| vm.name.to_string()).collect()
        })
    })
}

/// Names of the sessions of the VM that precedes the word.
pub fn sessions() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let words: Vec<String> = std::env::args().collect();
        let Some(vm) = vm_of_session(&words) else {
            return Vec::new();
        };
        names(current, async |client| {
            let sessions = client.sessions(vm).await.unwrap_or_default();
            sessions.into_iter().map(|session| session.name).collect()
        })
    })
}

/// The VM in `… session VERB [OPTIONS] VM …`.
fn vm_of_session(words: &[String]) -> Option<&str> {
    let at = words.iter().position(|word| word == "session")?;
    let mut rest = words[at + 1..].iter().skip(1);
    rest.find(|word| !word.starts_with('-')).map(String::as_str)
}

/// Local paths, and names of VMs followed by a colon.
pub fn places() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut all = PathCompleter::any().complete(current);
        all.extend(names(current, async |client| {
            let vms = client.vms().await.unwrap_or_default();
            vms.into_iter().map(|vm| format!("{}:", vm.name)).collect()
        }));
        all
    })
}

/// Trusted repositories, and local paths.
pub fn repositories() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut all = names(current, async |client| {
            let records = client.trusted().await.unwrap_or_default();
            records.into_iter().map(|record| record.path).collect()
        });
        all.extend(PathCompleter::dir().complete(current));
        all
    })
}

/// Names of images.
pub fn images() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        names(current, async |client| {
            let images = client.images().await.unwrap_or_default();
            images.into_iter().map(|image| image.name.to_string()).collect()
        })
    })
}

/// Names of kernels.
pub fn kernels() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        names(current, async |client| {
            let kernels = client.kernels().await.unwrap_or_default();
            kernels
                .into_iter()
                .map(|kernel| kernel.name.to_string())
                .collect()
        })
    })
}

/// Names of catalogs.
pub fn catalogs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        names(current, async |client| {
            let catalogs = client.catalogs().await.unwrap_or_default();
            catalogs
                .into_iter()
                .map(|catalog| catalog.name.to_string())
                .collect()
        })
    })
}

/// Time limit for names that come over the network.
const PATIENCE: Duration = Duration::from_secs(2);

/// Names of kernels that can be pulled.
pub fn available_kernels() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        names(current, async |client| {
            let Ok(Ok(available)) = tokio::time::timeout(PATIENCE, client.available_kernels()).await else {
                return Vec::new();
            };
            available
                .kernels
                .into_iter()
                .map(|available| available.kernel.name.to_string())
                .collect()
        })
    })
}

fn names(current: &OsStr, ask: impl AsyncFnOnce(Client) -> Vec<String>) -> Vec<CompletionCandidate> {
    let Ok(paths) = Paths::from_env() else {
        return Vec::new();
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let current = current.to_string_lossy();
    let Some(socket) = listening(&paths) else {
        return Vec::new();
    };
    let names = runtime.block_on(ask(Client::new(socket)));
    names
        .into_iter()
        // A name with control characters is not completed.
        .filter(|name| name.starts_with(&*current) && is_candidate(name))
        .map(CompletionCandidate::new)
        .collect()
}
