//! Workspaces: git checkouts of the host, placed in guests, and the work that comes back.
//!
//! | | |
//! |---|---|
//! | out | [`plan`] decides which files go, [`snapshot`] makes a commit of them, [`history`] says which commits go along, [`checkout`] makes the guest's repository of that, [`delta`] compares with what the guest has, [`stream`] sends |
//! | back | [`remote`] runs git in the guest, [`quarantine`] takes what it sends apart from the user's repository, [`mod@pull`] moves it over when it is whole |
//!
//! Nothing here writes to the user's repository but [`quarantine`], which adds objects, and references below `refs/banger`.

mod apply;
mod checkout;
mod delta;
mod error;
mod filters;
mod history;
mod ignore;
mod inspect;
mod listing;
mod names;
mod patch;
mod placed;
mod plan;
mod prepare;
mod pull;
mod quarantine;
mod remote;
mod report;
mod second_look;
mod settings;
mod snapshot;
mod source;
mod stage;
mod stream;
mod target;

use std::path::{Path, PathBuf};

use banger_api::{WorkspaceApplied, WorkspacePlan, WorkspaceRequest};
use banger_confined::{Cancel, Guard};
use banger_git::Caller;

pub(crate) use self::error::Error;
pub(crate) use self::inspect::{status, unsaved};
pub(crate) use self::patch::patch;
pub(crate) use self::placed::{Record, Records};
pub(crate) use self::plan::Plan;
pub(crate) use self::prepare::{Place, place};
pub(crate) use self::pull::pull;
pub(crate) use self::settings::of_user as git_identity;
pub(crate) use self::source::top_of;
pub(crate) use self::stage::{clear_scratch, scratch};
pub(crate) use self::target::Target;

/// The most bytes of a pack or a patch that a guest may send.
const MOST: u64 = 8 << 30;

/// Does blocking work, whose children end when nobody waits for it any more.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let cancel = Cancel::new().map_err(Error::Event)?;
    let _guard = Guard(cancel.clone());
    let caller = Caller::current();
    let work = tokio::task::spawn_blocking(move || Caller::scope(caller, || cancel.scope(work)));
    work.await.map_err(|_| Error::Defect(what))?
}

/// Takes what was pulled into the work tree of the host.
pub(crate) async fn apply(
    vm: String,
    records: Records,
    record: Record,
    scratch: PathBuf,
) -> Result<WorkspaceApplied, Error> {
    let _hold = records.hold(&record.guest_path)?;
    blocking("applying work", move || apply::apply(&vm, &record, &scratch)).await
}

/// The workspace of a VM that a query means.
pub(crate) fn chosen(records: &Records, vm: &str, path: Option<&str>) -> Result<Record, Error> {
    let none = || Error::NoWorkspace {
        vm: vm.to_owned(),
        path: path.map(str::to_owned),
    };
    if let Some(path) = path {
        return records.get(path).ok_or_else(none);
    }
    let all = records.all();
    // Submodules are placed below what they belong to, which is what is meant.
    let is_inside = |record: &Record| {
        all.iter().any(|other| {
            let rest = record.guest_path.strip_prefix(&other.guest_path);
            rest.is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let mut tops: Vec<Record> = all.iter().filter(|record| !is_inside(record)).cloned().collect();
    match (tops.pop(), tops.is_empty()) {
        (None, _) => Err(none()),
        (Some(only), true) => Ok(only),
        (Some(last), false) => Err(Error::Several {
            vm: vm.to_owned(),
            paths: tops
                .into_iter()
                .chain([last])
                .map(|record| record.guest_path)
                .collect(),
        }),
    }
}

/// What has to be done for the workspaces of a VM that was started: those that are read-only are made so again, and what was
/// seen of their work no longer counts.
pub(crate) async fn started(target: &Target, records: &Records) -> Result<(), Error> {
    for record in records.all() {
        inspect::remember(records, &record.guest_path, |record| record.checked = None);
        if record.readonly {
            target.at(&record.guest_path).protect(true).await?;
        }
    }
    Ok(())
}

/// What would be placed. Without a repository, a plan that says so.
pub(crate) async fn preview(request: WorkspaceRequest, scratch: PathBuf) -> Result<WorkspacePlan, Error> {
    blocking("planning a workspace", move || previewed(&request, &scratch)).await
}

fn previewed(request: &WorkspaceRequest, scratch: &Path) -> Result<WorkspacePlan, Error> {
    let plan = match Plan::make(request, scratch) {
        Ok(plan) => plan,
        Err(Error::Repository(banger_git::Error::NoRepository(_))) => {
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
    // What would fail later fails here, before there is a VM.
    if let Some(branch) = &request.branch {
        prepare::check_branch(&plan, branch)?;
    }
    let mut view = plan.view();
    for (path, module) in plan.modules_of(request) {
        let of_it = previewed(&module, scratch)?;
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
