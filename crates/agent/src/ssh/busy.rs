//! Whether commands run for a connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use crate::endings::Held;

/// Commands that run. While there are any, a signal to end waits: the guest's power-off asks the commands to end, and we
/// stay to tell how they did.
#[derive(Debug, Default)]
pub(super) struct Busy {
    count: Cell<u32>,
    held: RefCell<Option<Held>>,
    changed: Notify,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Guard(Rc<Busy>);

impl Busy {
    /// One more runs, as long as this is kept.
    pub(super) fn one_more(self: &Rc<Self>) -> Guard {
        if self.count.get() == 0 {
            self.held.replace(Some(Held::hold()));
        }
        self.count.set(self.count.get() + 1);
        Guard(Rc::clone(self))
    }

    /// Waits until there are none.
    pub(super) async fn none(&self) {
        while self.count.get() > 0 {
            self.changed.notified().await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let left = self.0.count.get() - 1;
        self.0.count.set(left);
        if left == 0 {
            self.0.held.take();
            self.0.changed.notify_one();
        }
    }
}
