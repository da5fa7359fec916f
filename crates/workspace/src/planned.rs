//! What is to be placed, and what will be remembered of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use banger_api::WorkspaceRequest;
use banger_guest_api::query::encoded;

use crate::blocking::blocking;
use crate::error::Error;
use crate::history::History;
use crate::place::Place;
use crate::placed::Record;
use crate::plan::Plan;
use crate::snapshot::{self, Snapshot};
use crate::source_error::SourceError;
use crate::{checkout, filters, listing};

/// What is to be placed.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) base: Snapshot,
    pub(crate) state: String,
    pub(crate) index: String,
    pub(crate) filtered: filters::All,
}

impl Planned {
    /// Plans it.
    pub(crate) async fn make(request: WorkspaceRequest, scratch: PathBuf) -> Result<Self, Error> {
        let work = blocking("planning a workspace", move || {
            let mut plan = Plan::make(&request, &scratch)?;
            if let Some(branch) = &request.branch {
                check_branch(&plan, branch)?;
            }
            let base = snapshot::take(&mut plan)?;
            let state = checkout::state(&plan)?;
            let index = listing::name(&plan.stage.git(&plan.source, "index"))?;
            Ok(Self {
                filtered: filters::of(&plan)?,
                plan,
                base,
                state,
                index,
            })
        });
        work.await
    }

    /// What a user should know of it.
    pub(crate) fn notes(&self) -> Vec<String> {
        let source = &self.plan.source;
        let mut notes = filters::notes(source, &self.filtered);
        if source.promisor().is_some() {
            notes.push(
                "this is a partial clone, so the VM gets a partial clone: missing objects are missing in the VM too"
                    .to_owned(),
            );
        }
        notes
    }

    /// The files and their tags.
    pub(crate) fn tags(&self) -> BTreeMap<&[u8], &str> {
        let files = self.plan.files.iter();
        files.map(|(path, file)| (&path[..], &file.tag[..])).collect()
    }

    /// What will be remembered of it.
    pub(crate) fn record(
        &self,
        place: &Place,
        request: &WorkspaceRequest,
        before: Option<Record>,
        history: History,
    ) -> Record {
        let before = before.unwrap_or_default();
        let source = &self.plan.source;
        let namespace = match before.namespace.is_empty() || before.common != source.common {
            true => place
                .records
                .namespace(&place.vm, &request.guest_path, &source.common, &place.others),
            false => before.namespace,
        };
        Record {
            guest_path: request.guest_path.clone(),
            source: source.root.clone(),
            common: source.common.clone(),
            namespace,
            readonly: request.readonly,
            generation: before.generation,
            state: self.state.clone(),
            index: self.index.clone(),
            head: self.plan.head.clone(),
            base: self.base.commit.clone(),
            base_tree: self.base.tree.clone(),
            has_changes: self.plan.head.as_ref() != Some(&self.base.commit),
            history,
            files: tags_of(&self.plan),
            filtered: self.filtered.clone(),
            pulled: before.pulled,
            checked: None,
        }
    }
}

/// The files and their tags, by percent-encoded path.
pub(crate) fn tags_of(plan: &Plan) -> BTreeMap<String, String> {
    let files = plan.files.iter();
    files
        .map(|(path, file)| (encoded(path), file.tag.clone()))
        .collect()
}

/// Refuses a name that git takes for no branch.
pub(crate) fn check_branch(plan: &Plan, branch: &str) -> Result<(), Error> {
    let checked = plan.source.git().run(
        "check the branch's name",
        ["check-ref-format", "--branch", branch],
    );
    checked.map(drop).map_err(|error| match error {
        banger_git::Error::Failed { .. } => SourceError::BranchName(branch.to_owned()).into(),
        error => error.into(),
    })
}
