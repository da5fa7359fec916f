//! What the guest of a machine of the test says.

use std::collections::BTreeMap;

use banger_guest_api::workspace::Seen;
use banger_guest_api::{Channel, Decoder, FilesDone, FilesEnd, InitKind, Ready, STDIO_MUX, frame};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// That a step fails.
pub(super) fn failure() -> (StatusCode, String) {
    let words = r#"{"message":"it is to fail"}"#.to_owned();
    (StatusCode::INTERNAL_SERVER_ERROR, words)
}

/// It is configured.
pub(super) fn ready() -> String {
    let ready = Ready {
        init: InitKind::Agent,
        kernel: "6.1.0-test".to_owned(),
        os: None,
        phases_ms: BTreeMap::new(),
    };
    serde_json::to_string(&ready).expect("plain data")
}

/// It has no workspace.
pub(super) fn absent() -> String {
    serde_json::to_string(&Seen::Absent).expect("plain data")
}

/// A session runs.
pub(super) fn session() -> String {
    serde_json::json!({
        "name": "bootstrap", "argv": ["/bin/sh"], "cwd": "/root/repo", "user": null, "tty": false, "stdin": "closed",
        "restart": "never", "state": "running", "pid": 1, "started_ms": 1, "ended_ms": null, "exit": null, "restarts": 0,
        "usage": null, "log": {"start": 0, "end": 0, "lost": 0, "max": 1}, "clients": 0, "is_written_to": false,
    })
    .to_string()
}

/// It has ended.
pub(super) fn ended_session() -> String {
    session()
        .replace(r#""state":"running""#, r#""state":"exited""#)
        .replace(r#""pid":1"#, r#""pid":null"#)
        .replace(r#""exit":null"#, r#""exit":{"code":3}"#)
}

/// No session has that name.
pub(super) fn no_session() -> (StatusCode, String) {
    (
        StatusCode::GONE,
        r#"{"message":"there is no such session"}"#.to_owned(),
    )
}

/// It takes all that is written to a workspace.
pub(super) fn workspace(request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(stream) = upgraded.await else { return };
        let mut stream = TokioIo::new(stream);
        let (mut decoder, mut buffer) = (Decoder::new(), vec![0; 64 << 10]);
        loop {
            while let Ok(Some(frame)) = decoder.next_frame() {
                if frame.payload.is_empty() {
                    let end = FilesEnd::Done(FilesDone::default());
                    let end = serde_json::to_vec(&end).expect("plain data");
                    let _ = stream.write_all(&frame::encode(Channel::Control, &end)).await;
                    return;
                }
            }
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => decoder.extend(&buffer[..read]),
                _ => return,
            }
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, STDIO_MUX);
    response.body(Full::default()).expect("plain headers")
}
