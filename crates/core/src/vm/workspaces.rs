//! The workspaces of a VM: what was prepared in it, and what of its work the host does not have.

use std::path::PathBuf;

use banger_api::{ErrorBody, Paths, Unsaved, UnsavedWorkspace, WorkspaceApplied, WorkspaceQuery};
use banger_model::{VmId, body};
use banger_request::Reporter;
use banger_workspace::{self as workspace, Place, Record, Records, Target};

use super::{Context, Error, Handle, Vms};
use crate::trust;

impl Vms {
    /// The place of a VM's workspaces. The VM has to run.
    pub fn place(&self, name: &str, say: Reporter) -> Result<Place, Error> {
        let handle = self.find(name)?;
        // What comes back needs no configuration.
        let git_identity = self.context.config().is_ok_and(|config| config.git_identity);
        handle.place(&self.context, git_identity, say)
    }

    /// The place, and the workspace that a query means.
    pub fn workspace(
        &self,
        name: &str,
        query: &WorkspaceQuery,
        say: Reporter,
    ) -> Result<(Place, Record), ErrorBody> {
        let place = self.place(name, say).map_err(|error| body(&error))?;
        let record = workspace::chosen(&place.records, &place.vm, query.path.as_deref())
            .map_err(|error| body(&error))?;
        Ok((place, record))
    }

    /// Merges the pulled work of a VM into the work tree on the host. The VM need not run.
    pub async fn apply(&self, name: &str, query: &WorkspaceQuery) -> Result<WorkspaceApplied, ErrorBody> {
        let handle = self.find(name).map_err(|error| body(&error))?;
        let vm = handle.state().spec.name.to_string();
        let records = handle.records(&self.context);
        let scratch = self.context.scratch();
        let applied = async {
            let record = workspace::chosen(&records, &vm, query.path.as_deref())?;
            workspace::apply(vm.clone(), records.clone(), record, scratch).await
        };
        applied.await.map_err(|error| body(&error))
    }

    /// What of a VM's work the host does not have.
    pub async fn unsaved(&self, name: &str) -> Result<Unsaved, Error> {
        let handle = self.find(name)?;
        Ok(Unsaved {
            vm: handle.state().spec.name,
            workspaces: handle.unsaved(&self.context).await,
            auto_export: self.context.exports_attended(),
        })
    }
}

/// Where stages and quarantines of workspaces are made.
pub fn scratch(paths: &Paths) -> PathBuf {
    paths.cache.join("workspaces")
}

impl Context {
    /// Where stages and quarantines of workspaces are made.
    pub fn scratch(&self) -> PathBuf {
        scratch(&self.paths)
    }

    /// What was placed in every VM but this one.
    fn records_but(&self, id: VmId) -> Vec<Records> {
        let ids = self
            .registry
            .list()
            .into_iter()
            .map(|handle| handle.state().spec.id);
        let others = ids.filter(|other| *other != id);
        others.map(|other| Records::of(self.files(other).dir())).collect()
    }
}

impl Handle {
    /// What was placed in the VM.
    pub fn records(&self, context: &Context) -> Records {
        Records::of(context.files(self.state().spec.id).dir())
    }

    /// The workspaces whose work the host does not have. A guest that runs is asked.
    pub(super) async fn unsaved(&self, context: &Context) -> Vec<UnsavedWorkspace> {
        workspace::unsaved(self.target().ok(), &self.records(context)).await
    }

    /// The place of the VM's workspaces, if it runs.
    pub(super) fn place(&self, context: &Context, git_identity: bool, say: Reporter) -> Result<Place, Error> {
        let spec = self.state().spec;
        Ok(Place {
            vm: spec.name.to_string(),
            target: self.target()?,
            records: self.records(context),
            others: context.records_but(spec.id),
            git_identity: git_identity
                && !spec.anonymous
                && trust::keeps_apart(&context.database, &spec).is_none(),
            scratch: context.scratch(),
            say,
        })
    }

    /// The guest, whose workspaces belong to the image's user. The VM has to run.
    fn target(&self) -> Result<Target, Error> {
        let live = self.live()?;
        Ok(Target::new(live.guest(), &self.state().image.config.user))
    }
}
