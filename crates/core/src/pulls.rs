//! Which images are being pulled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use banger_model::ImageName;
use tokio::sync::Mutex as Turn;

/// A turn for each name: two pulls of one image do not download it twice.
#[derive(Debug, Default)]
pub struct Pulls {
    turns: Mutex<BTreeMap<ImageName, Weak<Turn<()>>>>,
}

impl Pulls {
    /// The turn of a name. Whoever holds it locked pulls.
    pub fn turn(&self, name: &ImageName) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(name.clone(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_turn() {
        let pulls = Pulls::default();
        let name = |name: &str| name.parse::<ImageName>().unwrap();
        let turn = pulls.turn(&name("a"));
        let held = turn.try_lock().unwrap();
        assert!(pulls.turn(&name("a")).try_lock().is_err());
        assert!(pulls.turn(&name("b")).try_lock().is_ok());
        drop(held);
        assert!(pulls.turn(&name("a")).try_lock().is_ok());
    }
}
