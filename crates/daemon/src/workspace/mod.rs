//! Workspaces: a git checkout of the host, placed in a guest.
//!
//! [`plan`] decides which files go, [`checkout`] makes a repository of its own for the guest (never writing to the
//! user's), [`stream`] turns both into the tar that the agent unpacks.

mod checkout;
mod git;
mod plan;
mod secrets;
mod stream;

use std::path::PathBuf;

use banger_guest_api::TreeQuery;
use banger_model::ErrorCode;

use banger_api::{WorkspacePlan, WorkspaceReport, WorkspaceRequest};

use crate::error::Describe;
use crate::guest::{self, Guest};

pub(crate) use plan::{Plan, top_of};

/// A workspace could not be planned or placed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The path is no directory.
    #[error("enter {}", .path.display())]
    Enter {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// `git` could not be run.
    #[error("run git to {what}")]
    Run {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// `git` failed, in its own words.
    #[error("git could not {what}: {words}")]
    Git { what: &'static str, words: String },
    /// What git printed is not what it documents.
    #[error("understand git's answer when asked to {what}")]
    Answer { what: &'static str },
    /// The path is in no repository.
    #[error("{} is in no git repository", .0.display())]
    NoRepository(PathBuf),
    /// `--from` without a repository that has it.
    #[error("`{0}` names no commit")]
    NoCommit(String),
    /// A file or directory could not be read or made.
    #[error("{what} {}", .path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The guest refused or went away.
    #[error("place the workspace in the guest")]
    Guest(#[source] guest::Error),
    /// A thread of blocking work panicked.
    #[error("{0} panicked (a defect of banger: see the daemon's log)")]
    Defect(&'static str),
}

/// What would be placed. Without a repository, a plan that says so.
pub(crate) fn preview(request: &WorkspaceRequest) -> Result<WorkspacePlan, Error> {
    match Plan::make(request) {
        Ok(plan) => Ok(plan.view()),
        Err(Error::NoRepository(_)) => Ok(WorkspacePlan {
            root: None,
            branch: None,
            head: None,
            files: Vec::new(),
            omitted: Vec::new(),
            bytes: 0,
        }),
        Err(error) => Err(error),
    }
}

/// Places a workspace in the guest. Dropping the future stops it; the guest then has a part of the files.
pub(crate) async fn place(
    guest: &Guest,
    request: WorkspaceRequest,
    scratch: PathBuf,
) -> Result<WorkspaceReport, Error> {
    let guest_path = request.guest_path.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        let plan = Plan::make(&request)?;
        let checkout = checkout::Checkout::make(&plan, &request, &scratch)?;
        Ok::<_, Error>((plan, checkout))
    });
    let (plan, checkout) = prepared
        .await
        .map_err(|_| Error::Defect("preparing a workspace"))??;
    let omitted = plan.omissions();
    let (body, trouble) = stream::tar(plan, checkout);
    let query = TreeQuery {
        path: guest_path.clone(),
        replace: false,
        owner: Some("0:0".to_owned()),
    };
    let placed = guest.put_tree(&query, body).await;
    // When the host's side failed, the guest only saw the stream end; the host's words say why.
    if let Some(error) = trouble.await.map_err(|_| Error::Defect("reading a workspace"))? {
        return Err(error);
    }
    let done = placed.map_err(Error::Guest)?;
    Ok(WorkspaceReport {
        guest_path,
        files: done.entries,
        bytes: done.bytes,
        omitted,
    })
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Enter { .. } | Self::NoRepository(_) | Self::NoCommit(_) => ErrorCode::InvalidRequest,
            Self::Run { .. } | Self::Git { .. } | Self::Answer { .. } | Self::File { .. } => ErrorCode::Host,
            Self::Guest(source) => source.code(),
            Self::Defect(_) => ErrorCode::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Run { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                "install git: `apt-get install git`"
            }
            Self::NoRepository(_) => "run `git init` there, or name the path of a repository",
            Self::NoCommit(_) => "`git log --all --oneline` lists the commits there are",
            Self::Guest(source) => return source.hints(),
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }

    fn log(&self) -> Option<String> {
        None
    }
}
