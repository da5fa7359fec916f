//! What would be placed.

use std::path::{Path, PathBuf};

use banger_api::{WorkspacePlan, WorkspaceRequest};

use crate::blocking::blocking;
use crate::error::Error;
use crate::plan::Plan;
use crate::planned::check_branch;

/// What would be placed. Without a repository, a plan that says so.
///
/// # Errors
/// When the repository cannot be read, or is one that is not.
pub async fn preview(request: WorkspaceRequest, scratch: PathBuf) -> Result<WorkspacePlan, Error> {
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
        check_branch(&plan, branch)?;
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
