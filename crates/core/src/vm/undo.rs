//! The way back out of a start: what each step has to give back, in reverse.

use std::fmt;
use std::pin::Pin;

type Work = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Steps that were taken and how to take them back. Nothing happens when it is dropped: whoever holds it decides,
/// because taking back is itself work that waits.
#[derive(Default)]
pub(crate) struct Undo {
    steps: Vec<(&'static str, Work)>,
}

impl Undo {
    /// Remembers how to take a step back. `what` completes "could not …".
    pub(crate) fn push(
        &mut self,
        what: &'static str,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.steps.push((what, Box::pin(work)));
    }

    /// Takes everything back, the last step first. A step that fails does not keep the others from being taken back;
    /// what is returned are all failures, as sentences.
    pub(crate) async fn run(mut self) -> Vec<String> {
        let mut failures = Vec::new();
        while let Some((what, work)) = self.steps.pop() {
            if let Err(why) = work.await {
                failures.push(format!("could not {what}: {why}"));
            }
        }
        failures
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.steps.iter().map(|(what, _)| what))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn everything_is_taken_back_in_reverse_whatever_fails() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut undo = Undo::default();
        for (step, fails) in [
            ("release the disk", false),
            ("stop the machine", true),
            ("forget it", false),
        ] {
            let seen = Arc::clone(&seen);
            undo.push(step, async move {
                seen.lock().unwrap().push(step);
                if fails {
                    Err("it is stuck".to_owned())
                } else {
                    Ok(())
                }
            });
        }
        assert_eq!(undo.run().await, ["could not stop the machine: it is stuck"]);
        assert_eq!(
            *seen.lock().unwrap(),
            ["forget it", "stop the machine", "release the disk"]
        );
    }
}
