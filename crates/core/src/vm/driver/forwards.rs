//! The forwards of a VM's task: at work as long as its machine is.

use std::sync::Arc;
use std::time::Duration;

use banger_api::{ErrorBody, ForwardAdd, ForwardRemove};
use banger_forward::{self as forward, Declared, Route, Status, Watched};
use banger_model::{Forward, VmName, body, chain, validate_forwards};

use super::Driver;
use crate::vm::state::Live;
use crate::vm::{AccessError, Error};

/// How long a guest may take to say that it listens.
const ANSWER: Duration = Duration::from_secs(10);

impl Driver {
    /// Begins every forward of a machine that runs, and tells which could not begin and why. None of them is worth a VM.
    pub(super) async fn open_forwards(&mut self) -> Vec<String> {
        self.close_forwards().await;
        let Some(route) = self.new_route() else {
            return Vec::new();
        };
        let mut declared = self.state.borrow().forwards.clone();
        let mut troubles = Vec::new();
        for entry in &mut declared {
            match forward::begin(&route, entry.forward) {
                Ok(running) => {
                    entry.forward = running.forward;
                    entry.watched = Some(running.watched.clone());
                    self.forwards.push(running);
                }
                Err(error) => {
                    let why = chain(&error);
                    troubles.push(format!("forward `{}` does not work: {why}", entry.forward));
                    entry.watched = Some(Watched::failed(why));
                }
            }
        }
        self.route = Some(route);
        for trouble in &troubles {
            tracing::warn!(vm = %self.name(), trouble);
        }
        // A port that was found for one is kept for it.
        if let Err(error) = self.keep_forwards(&declared) {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not store the port forwards");
        }
        troubles
    }

    /// Ends every forward, and returns when their ports are free.
    pub(super) async fn close_forwards(&mut self) {
        self.route = None;
        for running in std::mem::take(&mut self.forwards) {
            running.end().await;
        }
        self.publish(|state| state.forwards.iter_mut().for_each(|entry| entry.watched = None));
    }

    pub(super) async fn add_forward(&mut self, add: &ForwardAdd) -> Result<Forward, ErrorBody> {
        let name = self.name();
        let refused = |source| {
            body(&AccessError::Forward {
                name: name.clone(),
                source,
            })
        };
        let mut declared = self.state.borrow().forwards.clone();
        if declared.iter().any(|entry| entry.forward == add.forward) {
            return Err(refused(forward::Error::Exists(add.forward)));
        }
        forward::refuse_open(&[add.forward], add.open).map_err(refused)?;
        let all = declared.iter().map(|entry| entry.forward).chain([add.forward]);
        validate_forwards(&all.collect::<Vec<_>>()).map_err(|error| refused(error.into()))?;
        let running = match &self.route {
            Some(route) => Some(forward::begin(route, add.forward).map_err(refused)?),
            None => None,
        };
        let mut entry = Declared::at_rest(add.forward);
        if let Some(running) = &running {
            entry = Declared {
                forward: running.forward,
                watched: Some(running.watched.clone()),
            };
            let settled = tokio::time::timeout(ANSWER, running.watched.settled()).await;
            match settled {
                Ok(Status::Failed(why)) => return Err(refused(forward::Error::Guest(why))),
                Ok(Status::Listening | Status::Starting) => {}
                Err(_) => return Err(refused(forward::Error::Silent)),
            }
        }
        let forward = entry.forward;
        declared.push(entry);
        self.keep_forwards(&declared).map_err(|error| body(&error))?;
        self.forwards.extend(running);
        Ok(forward)
    }

    pub(super) async fn remove_forwards(
        &mut self,
        remove: &ForwardRemove,
    ) -> Result<Vec<Forward>, ErrorBody> {
        let declared = self.state.borrow().forwards.clone();
        let (gone, kept): (Vec<_>, Vec<_>) = declared.into_iter().partition(|entry| match remove {
            ForwardRemove::All => true,
            ForwardRemove::One(asked) => entry.forward.is_named(asked),
        });
        match remove {
            ForwardRemove::One(asked) if gone.len() != 1 => {
                let source = forward::Error::Unknown {
                    asked: *asked,
                    present: gone.iter().chain(&kept).map(|entry| entry.forward).collect(),
                };
                return Err(body(&AccessError::Forward {
                    name: self.name(),
                    source,
                }));
            }
            _ => {}
        }
        self.keep_forwards(&kept).map_err(|error| body(&error))?;
        let gone: Vec<_> = gone.into_iter().map(|entry| entry.forward).collect();
        let (ended, running): (Vec<_>, Vec<_>) = std::mem::take(&mut self.forwards)
            .into_iter()
            .partition(|running| gone.contains(&running.forward));
        self.forwards = running;
        for running in ended {
            running.end().await;
        }
        Ok(gone)
    }

    /// Stores and publishes these forwards.
    fn keep_forwards(&self, declared: &[Declared]) -> Result<(), Error> {
        let before: Vec<_> = self
            .state
            .borrow()
            .forwards
            .iter()
            .map(|entry| entry.forward)
            .collect();
        let now: Vec<_> = declared.iter().map(|entry| entry.forward).collect();
        if before != now {
            let name: VmName = self.name();
            let id = self.state.borrow().spec.id;
            let stored = self.context.database.update_forwards(id, &now);
            stored.map_err(|source| Error::Database { name, source })?;
        }
        self.publish(|state| state.forwards = declared.to_vec());
        Ok(())
    }

    fn new_route(&self) -> Option<Route> {
        let guest = self.state.borrow().live.as_ref().map(Live::guest)?;
        let table = Arc::clone(&self.context.forwards);
        Some(Route::new(table, self.name(), guest))
    }
}
