//! Options that select a workspace, its comparison base, or the content of a new one.

use std::path::PathBuf;

use banger_api::{WorkspaceQuery, WorkspaceRequest};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
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
    /// The query for the daemon.
    pub(super) fn query(&self) -> WorkspaceQuery {
        WorkspaceQuery {
            path: self.path.clone(),
            ..WorkspaceQuery::default()
        }
    }
}

/// A workspace, and the output format of a report.
#[derive(Debug, clap::Args)]
pub(super) struct Reported {
    #[command(flatten)]
    pub(super) which: Which,
    #[command(flatten)]
    output: Output,
}

impl Reported {
    /// Prints a report as JSON, or with `show`.
    pub(super) fn print<T: Serialize>(&self, report: &T, show: impl FnOnce(&T)) -> Result<i32, Failure> {
        match self.output.json {
            true => print::json(report)?,
            false => show(report),
        }
        Ok(exit::OK)
    }
}

/// A workspace, and the base of its changes.
#[derive(Debug, clap::Args)]
pub(super) struct Changes {
    #[command(flatten)]
    pub(super) which: Which,
    /// Commit to compare with; the copied state if omitted
    #[arg(long, value_name = "COMMIT")]
    base: Option<String>,
}

/// A patch, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Patch {
    /// Bytes that are not UTF-8 are replaced.
    patch: String,
}

impl Changes {
    /// The changes as a patch.
    pub(super) async fn patch(&self, client: &Client) -> Result<Patch, Failure> {
        let mut stream = client.workspace_patch(&self.which.vm, &self.query()).await?;
        let mut patch = Vec::new();
        while let Some(bytes) = stream.next().await? {
            patch.extend_from_slice(&bytes);
        }
        Ok(Patch {
            patch: String::from_utf8_lossy(&patch).into_owned(),
        })
    }

    /// The query for the daemon.
    pub(super) fn query(&self) -> WorkspaceQuery {
        WorkspaceQuery {
            base: self.base.clone(),
            ..self.which.query()
        }
    }
}

/// Which content of a repository is copied into a VM.
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
    /// The request for the daemon.
    pub(crate) fn request(self, path: PathBuf, guest_path: String) -> WorkspaceRequest {
        WorkspaceRequest {
            branch: self.branch,
            from: self.from,
            no_untracked: self.no_untracked,
            include_secrets: self.include_secrets,
            ..WorkspaceRequest::of(path, guest_path)
        }
    }
}
