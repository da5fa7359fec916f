//! Listening to what a guest tells of itself.

use std::time::{Duration, Instant};

use banger_guest_api::{Event, InitState};
use banger_guest_link::{Agent, budget};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How often a stream of events that broke is asked for again, each time after twice the pause. The agent's server is
/// back within a second after it died; a guest that is gone is noticed by its machine's end, not here.
const ATTEMPTS: u32 = 6;

/// A stream that went on as long as this was none that breaks.
const STEADY: Duration = Duration::from_secs(60);

/// Starts listening. The receiver ends with the guest; the task can be aborted.
pub(crate) fn listen(guest: Agent) -> (mpsc::Receiver<InitState>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(8);
    let task = tokio::spawn(async move {
        let mut broken = 0;
        while broken < ATTEMPTS {
            let since = Instant::now();
            if let Ok(mut events) = guest.events().await {
                while let Some(event) = events.next().await {
                    if let Event::Init { state } = event
                        && sender.send(budget::init(state)).await.is_err()
                    {
                        return;
                    }
                }
            }
            if since.elapsed() > STEADY {
                broken = 0;
            }
            broken += 1;
            tokio::time::sleep(Duration::from_millis(50 << broken)).await;
        }
    });
    (receiver, task)
}
