//! The session in which a checkout is prepared, after `VmCreate` began it: how far it is.

use banger_api::{BOOTSTRAP, VmSession};
use banger_guest_api::{Control, SessionOutput, SessionStream};
use banger_model::last_lines;

use crate::client::Client;
use crate::error::ClientError;
use crate::stream::Received;

/// The preparation of a VM's checkout.
#[derive(Debug)]
pub struct Bootstrap;

impl Bootstrap {
    /// How far it is.
    ///
    /// # Errors
    /// When the VM does not tell, as when it has ended.
    pub async fn state(client: &Client, vm: &str) -> Result<VmSession, ClientError> {
        client.session(vm, BOOTSTRAP).await
    }

    /// The end of its log; nothing where that cannot be read.
    pub async fn last_lines(client: &Client, vm: &str) -> Vec<String> {
        let log = end_of_log(client, vm).await;
        last_lines(&log, LINES).map(str::to_owned).collect()
    }
}

/// How many lines of its log are shown.
const LINES: usize = 10;

/// How much of its log is looked at.
const TAIL: u64 = 16 << 10;

async fn end_of_log(client: &Client, vm: &str) -> String {
    let Ok(session) = client.session(vm, BOOTSTRAP).await else {
        return String::new();
    };
    let stream = SessionStream {
        output: SessionOutput::Log,
        since: Some(session.log.end.saturating_sub(TAIL)),
        ..SessionStream::default()
    };
    let Ok(mut joined) = client.join_session(vm, BOOTSTRAP, &stream).await else {
        return String::new();
    };
    let mut bytes = Vec::new();
    while let Ok(Some(received)) = joined.receiver.next().await {
        match received {
            Received::Stdout(more) | Received::Stderr(more) => bytes.extend_from_slice(&more),
            Received::Control(Control::Left { .. } | Control::Exit { .. } | Control::Error { .. }) => break,
            Received::Control(_) => {}
        }
        if bytes.len() as u64 > 2 * TAIL {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
