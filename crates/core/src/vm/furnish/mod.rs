//! What a VM gets between its first start and its first command: secrets, then a checkout, then what the checkout needs.
//!
//! It is a part of the VM's creation: until all of it is there, the VM goes with the request, also when the daemon dies meanwhile. Only
//! what the checkout needs is begun and not waited for; that it fails is told, and the VM stays.

mod bootstrap;

use std::collections::BTreeMap;

use banger_api::stream::PutSecret;
use banger_api::stream::secret::{MAX, SecretName};
use banger_api::{
    ErrorBody, NewSecret, Progress, REPOSITORY_LABEL, VmCreate, WORKSPACE_LABEL, Wishes, WishesQuery,
    WorkspaceReport, WorkspaceRequest,
};
use banger_git::Repository;
use banger_model::Described;
use banger_request::{Reporter, blocking};
use banger_workspace as workspace;
use bytes::Bytes;

use self::bootstrap::Bootstrap;
use super::{CreateError, Handle, Vms};

/// What a request wants in its VM.
#[derive(Debug)]
pub(super) struct Furnishing {
    secrets: Vec<(SecretName, Bytes)>,
    workspace: Option<WorkspaceRequest>,
    bootstraps: bool,
    user_env: BTreeMap<String, String>,
}

/// What a VM got.
#[derive(Debug, Default)]
pub(super) struct Furnished {
    pub(super) workspace: Option<WorkspaceReport>,
    pub(super) bootstrap: bool,
}

impl Furnishing {
    /// Takes it out of a request, before anything is made; nothing where nothing is wanted. The VM's labels tell of the workspace.
    pub(super) async fn take(request: &mut VmCreate) -> Result<Option<Self>, ErrorBody> {
        let secrets = std::mem::take(&mut request.secrets).into_iter().map(secret);
        let secrets: Vec<_> = secrets.collect::<Result<_, _>>().described()?;
        let workspace = request.workspace.take();
        if secrets.is_empty() && workspace.is_none() {
            return Ok(None);
        }
        if request.no_start {
            return Err(CreateError::NeedsStart).described();
        }
        if let Some(workspace) = &workspace {
            let path = workspace.path.clone();
            let repository = blocking("finding a repository", move || Repository::around(&path)).await?;
            let labels = &mut request.labels;
            labels.insert(WORKSPACE_LABEL.to_owned(), workspace.guest_path.clone());
            let root = repository.root.to_string_lossy().into_owned();
            labels.insert(REPOSITORY_LABEL.to_owned(), root);
        }
        Ok(Some(Self {
            secrets,
            workspace,
            bootstraps: request.bootstrap,
            user_env: std::mem::take(&mut request.user_env),
        }))
    }

    /// Gives it to the guest of a VM that runs. `granted` is what a trusted repository has asked for.
    pub(super) async fn give(
        self,
        vms: &Vms,
        vm: &Handle,
        granted: Option<Wishes>,
        say: &Reporter,
    ) -> Result<Furnished, ErrorBody> {
        for (name, value) in self.secrets {
            vms.give_secret(vm, name, PutSecret::default(), value).await?;
        }
        let Some(request) = self.workspace else {
            return Ok(Furnished::default());
        };
        say.report(Progress::Step {
            what: "copying the repository".to_owned(),
        });
        let context = vms.context();
        let config = context.config().described()?;
        let place = vm.place(context, config.git_identity, say.clone()).described()?;
        let repository = request.path.clone();
        let report = workspace::prepare(place, request).await.described()?;
        let bootstrap = self.bootstraps && {
            let wishes = match granted {
                Some(wishes) => wishes,
                None => vms.ungranted(repository).await,
            };
            let needs = Needs {
                wishes,
                cwd: report.guest_path.clone(),
                user_env: self.user_env,
            };
            begin(vms, vm, needs, say).await
        };
        Ok(Furnished {
            workspace: Some(report),
            bootstrap,
        })
    }
}

impl Vms {
    /// What a repository would ask for to which nothing is granted: its tools may be worth a note.
    async fn ungranted(&self, path: std::path::PathBuf) -> Wishes {
        let query = WishesQuery {
            path,
            ..WishesQuery::default()
        };
        let wishes = self.wishes(query).await.unwrap_or_default();
        Wishes {
            trusted: false,
            ..wishes
        }
    }
}

/// What a checkout needs, where it is, and for whom.
struct Needs {
    wishes: Wishes,
    cwd: String,
    user_env: BTreeMap<String, String>,
}

/// Begins what a checkout needs. Whether there is anything to do, and it runs.
async fn begin(vms: &Vms, vm: &Handle, needs: Needs, say: &Reporter) -> bool {
    let view = vm.view(vms.context());
    let bootstrap = Bootstrap::of(&view.network, &needs.wishes);
    if !bootstrap.left_out.is_empty() {
        say.note(format!(
            "VM {} has no network, so the tools that {} names are not installed: use `--nat` to allow access to the \
             Internet, or `--no-bootstrap` to skip the tools",
            view.name,
            bootstrap.left_out.join(", ")
        ));
    }
    let Some(session) = bootstrap.session(needs.cwd, needs.user_env) else {
        return false;
    };
    match vms.begin_session(vm, session).await {
        Ok(_) => true,
        // An image without a shell has no use for tools either.
        Err(error) => {
            say.note(format!("failed to prepare the checkout: {}", error.message));
            false
        }
    }
}

/// A secret of a request, as the guest gets it.
fn secret(new: NewSecret) -> Result<(SecretName, Bytes), CreateError> {
    let name: SecretName = new.name.parse()?;
    match new.bytes() {
        None => Err(CreateError::SecretValue(name)),
        Some(value) if value.len() > MAX => Err(CreateError::SecretSize(name)),
        Some(value) => Ok((name, value.into())),
    }
}
