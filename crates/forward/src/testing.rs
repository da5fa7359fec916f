//! An agent that does what a test wants: what a guest may do is not what ours does.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use banger_guest_link::{Agent, Dial, Unreachable};
use tokio::io::{self, AsyncReadExt};
use tokio::net::UnixStream;

use crate::route::Route;

type Answer = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// How a request is answered: by its route, on the connection that it came on.
struct Answers(Arc<dyn Fn(String, UnixStream) -> Answer + Send + Sync>);

/// The way to a guest that answers so.
pub(crate) fn route<F>(answer: impl Fn(String, UnixStream) -> F + Send + Sync + 'static) -> Route
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let answers = Answers(Arc::new(move |route, stream| Box::pin(answer(route, stream))));
    Route::new(
        Arc::default(),
        "vm".parse().expect("a name"),
        Agent::new(Arc::new(answers)),
    )
}

/// The answer that a tunnel follows.
pub(crate) fn switched() -> String {
    let protocol = banger_guest_api::TUNNEL;
    format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n")
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answers")
    }
}

#[async_trait]
impl Dial for Answers {
    async fn dial(&self) -> Result<UnixStream, Unreachable> {
        let (ours, mut theirs) = UnixStream::pair()?;
        let answer = Arc::clone(&self.0);
        tokio::spawn(async move {
            // All of these requests are one small JSON object.
            let mut request = Vec::new();
            while request.last() != Some(&b'}') {
                request.push(theirs.read_u8().await?);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let route = request.split(' ').nth(1).unwrap_or_default().to_owned();
            answer(route, theirs).await
        });
        Ok(ours)
    }
}
