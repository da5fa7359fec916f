//! Which workspace a command is about and beside what it is looked at, or what of a repository becomes one.

use std::path::PathBuf;

use banger_api::{WorkspaceQuery, WorkspaceRequest};
use banger_command::failure::Failure;
use banger_command::{complete, exit, print};

use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Name of the VM
    #[arg(add = complete::vms())]
    pub(super) vm: String,
    /// Directory of the repository in the guest, if the VM has several
    path: Option<String>,
}

impl Which {
    /// As the daemon is asked for it.
    pub(super) fn query(&self) -> WorkspaceQuery {
        WorkspaceQuery {
            path: self.path.clone(),
            ..WorkspaceQuery::default()
        }
    }
}

/// A workspace, and how what is found is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Reported {
    #[command(flatten)]
    pub(super) which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Reported {
    /// Prints a report, for people by `show`.
    pub(super) fn print<T: Serialize>(&self, report: &T, show: impl FnOnce(&T)) -> Result<i32, Failure> {
        match self.json {
            true => print::json(report)?,
            false => show(report),
        }
        Ok(exit::OK)
    }
}

/// A workspace, and what its changes are changes of.
#[derive(Debug, clap::Args)]
pub(super) struct Changes {
    #[command(flatten)]
    pub(super) which: Which,
    /// Commit to compare with; the copied state if omitted
    #[arg(long, value_name = "COMMIT")]
    base: Option<String>,
}

impl Changes {
    /// As the daemon is asked for them.
    pub(super) fn query(&self) -> WorkspaceQuery {
        WorkspaceQuery {
            base: self.base.clone(),
            ..self.which.query()
        }
    }
}

/// What of a repository goes into a VM.
#[derive(Debug, clap::Args)]
pub(crate) struct Taken {
    /// Branch to create in the guest's checkout
    #[arg(long)]
    branch: Option<String>,
    /// Commit to copy, without changes, instead of the working tree
    #[arg(long, value_name = "REF")]
    from: Option<String>,
    /// Do not copy untracked files
    #[arg(long)]
    no_untracked: bool,
    /// Also copy untracked files that look like secrets
    #[arg(long)]
    include_secrets: bool,
}

impl Taken {
    /// As the daemon is asked to place it.
    pub(crate) fn request(self, path: PathBuf, guest_path: String) -> WorkspaceRequest {
        WorkspaceRequest {
            path,
            guest_path,
            branch: self.branch,
            from: self.from,
            no_untracked: self.no_untracked,
            include_secrets: self.include_secrets,
            ..WorkspaceRequest::default()
        }
    }
}
