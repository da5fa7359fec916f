//! Secrets of VMs over HTTP: the value goes through to the guest's memory. It is kept, logged and told nowhere here; names are.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use banger_guest_api::secret::{MAX, PutSecret, SecretName};

use super::App;
use super::answer::{BadRequest, Refused};
use crate::progress::Reporter;
use crate::repository::trust;
use crate::vm::{self, Carried, Handle};

pub(crate) async fn put(
    State(app): State<App>,
    Path((name, secret)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    value: Bytes,
) -> Result<StatusCode, Refused> {
    let handle = app.vms.find(&name)?;
    let guest = handle.live()?.guest();
    let secret: SecretName = secret.parse().map_err(BadRequest::Secret)?;
    let mut put = PutSecret::parse(&query.unwrap_or_default()).map_err(BadRequest::SecretQuery)?;
    if value.len() > MAX {
        return Err(BadRequest::LongSecret(secret).into());
    }
    let state = handle.state();
    if let Some(why) = trust::keeps_apart(&app.vms.context().database, &state.spec) {
        return Err(BadRequest::Apart(why).into());
    }
    // Who the VM's commands run as when nobody says it is to read it.
    let user = Some(state.image.config.user).filter(|user| !user.is_empty());
    put.user = put.user.or(user);
    carried(&app, &handle)
        .add_secret(&secret)
        .map_err(|source| vm::Error::File {
            what: "note the name of a secret for",
            path: name.into(),
            source,
        })?;
    guest
        .put_secret(&secret, &put, value)
        .await
        .map_err(vm::Error::of_guest(&state.spec.name))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells which secrets the last run of a VM had that this one does not get.
pub(super) fn started(app: &App, handle: &Handle, given: &[String], say: &Reporter) {
    let mut lost: BTreeSet<String> = carried(app, handle).take_secrets();
    lost.retain(|name| !given.contains(name));
    if lost.is_empty() {
        return;
    }
    let vm = handle.state().spec.name;
    let names: Vec<String> = lost.iter().cloned().collect();
    let options: Vec<String> = lost.iter().map(|name| format!("--secret {name}")).collect();
    say.note(format!(
        "secrets end with the guest that has them, so {} must be given again: `banger vm exec {} {vm} -- true`",
        names.join(", "),
        options.join(" ")
    ));
}

fn carried(app: &App, handle: &Handle) -> Carried {
    Carried::of(app.vms.context().files(handle.state().spec.id).dir())
}
