//! Commands in a guest, over HTTP.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use banger_api::stream::{HANDED_OVER, STDIO_MUX};

use super::answer::Refused;
use super::{App, streams, upgrade};

pub(crate) async fn exec(
    State(app): State<App>,
    Path(name): Path<String>,
    mut request: Request,
) -> Result<Response, Refused> {
    let client = upgrade::asked(&mut request, &[HANDED_OVER, STDIO_MUX])?;
    let exec = streams::read(request).await?;
    let agent = app.vms.exec(&name, exec).await?;
    Ok(app.streams.connect(client, agent))
}
