//! An agent for tests.

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::dial::{Dial, Unreachable};

/// An agent that answers everything with these bytes, and keeps the connection.
#[derive(Debug)]
pub(crate) struct Answers(pub(crate) Vec<u8>);

#[async_trait]
impl Dial for Answers {
    async fn dial(&self) -> Result<UnixStream, Unreachable> {
        let (ours, mut theirs) = UnixStream::pair()?;
        let answer = self.0.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(theirs.read_u8().await?);
            }
            theirs.write_all(&answer).await?;
            // What else comes is not read.
            std::future::pending::<std::io::Result<()>>().await
        });
        Ok(ours)
    }
}
