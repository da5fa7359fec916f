//! Workspaces: git checkouts of the host, placed in guests, and the work that comes back.
//!
//! | | |
//! |---|---|
//! | out | [`plan`] decides which files go, [`snapshot`] makes a commit of them, [`history`] says which commits go along, [`checkout`] makes the guest's repository of that, [`delta`] compares with what the guest has, [`stream`] sends |
//! | back | [`remote`] runs git in the guest, [`quarantine`] takes what it sends apart from the user's repository, [`pull`] moves it over when it is whole |
//!
//! Nothing here writes to the user's repository but [`quarantine`], which adds objects, and references below `refs/banger`.

mod agent;
mod checkout;
mod delta;
mod error;
mod git;
mod history;
mod listing;
mod placed;
mod plan;
mod prepare;
mod remote;
mod second_look;
mod secrets;
mod settings;
mod snapshot;
mod source;
mod stage;
mod stream;

use std::path::Path;

use banger_api::{WorkspacePlan, WorkspaceRequest};

pub(crate) use self::error::Error;
pub(crate) use self::placed::Records;
pub(crate) use self::plan::Plan;
pub(crate) use self::prepare::{Place, place};
pub(crate) use self::source::top_of;

/// What would be placed. Without a repository, a plan that says so.
pub(crate) fn preview(request: &WorkspaceRequest, scratch: &Path) -> Result<WorkspacePlan, Error> {
    let plan = match Plan::make(request, scratch) {
        Ok(plan) => plan,
        Err(Error::NoRepository(_)) => {
            return Ok(WorkspacePlan {
                root: None,
                branch: None,
                head: None,
                files: Vec::new(),
                omitted: Vec::new(),
                bytes: 0,
            });
        }
        Err(error) => return Err(error),
    };
    let mut view = plan.view();
    for (path, module) in plan.modules_of(request) {
        let of_it = preview(&module, scratch)?;
        let below = |file: &str| format!("{}/{file}", String::from_utf8_lossy(&path));
        view.bytes += of_it.bytes;
        view.files.extend(of_it.files.into_iter().map(|mut file| {
            file.path = below(&file.path);
            file
        }));
        view.omitted.extend(of_it.omitted.into_iter().map(|mut omission| {
            omission.path = below(&omission.path);
            omission
        }));
    }
    Ok(view)
}
