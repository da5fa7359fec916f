//! Files of VMs over HTTP: what comes is passed on, to the agent and from it. Nothing of it is looked at or kept.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use banger_api::stream::{Channel, Decoder, FilesDone, FilesEnd, frame, routes};
use futures_util::StreamExt;
use http::Method;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_stream::wrappers::ReceiverStream;

use super::App;
use super::answer::Refused;
use crate::guest::{self, Guest, Tunnel};
use crate::vm;

/// Chunks that are under way at most, and the bytes of one.
const AHEAD: usize = 4;
const CHUNK: usize = 256 << 10;

pub(crate) async fn put(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<FilesDone>, Refused> {
    let asked = "copy files";
    let (guest, failed) = of(&app, &name)?;
    let query = query.unwrap_or_default();
    let done = async {
        let Tunnel { stream, sent } = guest.files(asked, Method::PUT, routes::FILES, &query).await?;
        let (from, to) = stream.into_split();
        // It is read to its end even if the agent takes no more of it: a client that is stopped in the middle of its request
        // would not see the answer. When the client leaves, the connection breaks off in the middle of an archive.
        let _sending = tokio::spawn(pass_in(request.into_body(), to));
        end(asked, from, &sent).await
    };
    Ok(Json(done.await.map_err(failed)?))
}

pub(crate) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    names: Bytes,
) -> Result<Json<FilesDone>, Refused> {
    let (guest, failed) = of(&app, &name)?;
    let names = BodyExt::boxed(Full::new(names).map_err(|never| match never {}));
    let done = guest.remove_files(&query.unwrap_or_default(), names).await;
    Ok(Json(done.map_err(failed)?))
}

pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    stream(&app, &name, query, routes::FILES, "copy files").await
}

pub(crate) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    stream(&app, &name, query, routes::FILES_LIST, "list files").await
}

/// The agent's frames as the body of an answer.
async fn stream(
    app: &App,
    name: &str,
    query: Option<String>,
    route: &'static str,
    asked: &'static str,
) -> Result<Response, Refused> {
    let (guest, failed) = of(app, name)?;
    let query = query.unwrap_or_default();
    let tunnel = guest
        .files(asked, Method::GET, route, &query)
        .await
        .map_err(failed)?;
    let (to, chunks) = tokio::sync::mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let Tunnel { mut stream, sent } = tunnel;
        let mut chunk = Vec::from(sent);
        loop {
            if !chunk.is_empty() && to.send(Ok(Frame::data(Bytes::from(chunk)))).await.is_err() {
                return;
            }
            chunk = Vec::with_capacity(CHUNK);
            let read = tokio::select! {
                read = stream.read_buf(&mut chunk) => read,
                () = to.closed() => return,
            };
            match read {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return drop(to.send(Err(error)).await),
            }
        }
    });
    Ok(Response::new(Body::new(StreamBody::new(ReceiverStream::new(
        chunks,
    )))))
}

/// The agent of a VM, and what its failures are.
fn of(app: &App, name: &str) -> Result<(Guest, impl FnOnce(guest::Error) -> vm::Error), Refused> {
    let handle = app.vms.find(name)?;
    let guest = handle.live()?.guest();
    let failed = move |source| vm::Error::Guest {
        name: handle.state().spec.name,
        source: Box::new(source),
        console: None,
    };
    Ok((guest, failed))
}

/// Passes a client's body on to the agent, as frames of standard input. Gives the direction back, because closing it could
/// close both before the agent has said how it went.
async fn pass_in(body: Body, mut to: OwnedWriteHalf) -> Option<OwnedWriteHalf> {
    let mut chunks = body.into_data_stream();
    let mut takes = true;
    while let Some(chunk) = chunks.next().await {
        let mut chunk = chunk.ok()?;
        while takes && !chunk.is_empty() {
            let part = chunk.split_to(chunk.len().min(frame::MAX_PAYLOAD));
            let header = frame::header(Channel::Stdin, part.len());
            takes = to.write_all(&header).await.is_ok() && to.write_all(&part).await.is_ok();
        }
    }
    // An agent that takes no more has said why.
    let _ = to.write_all(&frame::header(Channel::Stdin, 0)).await;
    Some(to)
}

/// What the agent says at the end.
async fn end(asked: &'static str, mut from: OwnedReadHalf, sent: &[u8]) -> Result<FilesDone, guest::Error> {
    let mut decoder = Decoder::new();
    decoder.extend(sent);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let frame = decoder.next_frame().map_err(|_| guest::Error::Ended { asked })?;
        if let Some(frame) = frame {
            let end = serde_json::from_slice(frame.payload);
            return match end.map_err(|source| guest::Error::Answer { asked, source })? {
                FilesEnd::Done(done) => Ok(done),
                FilesEnd::Failed(failure) => Err(guest::Error::refused(asked, failure)),
            };
        }
        match from.read(&mut buffer).await {
            Ok(read) if read > 0 => decoder.extend(&buffer[..read]),
            _ => return Err(guest::Error::Ended { asked }),
        }
    }
}
