//! A forward at work.

use banger_model::Forward;
use tokio::task::JoinHandle;

use crate::watched::Watched;

/// A forward at work. Dropping it ends it soon, with its connections.
#[derive(Debug)]
pub struct Running {
    /// What is forwarded.
    pub forward: Forward,
    /// What can be seen of it.
    pub watched: Watched,
    pub(crate) task: JoinHandle<()>,
}

impl Running {
    /// Ends it, and returns when its port is free.
    pub async fn end(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
