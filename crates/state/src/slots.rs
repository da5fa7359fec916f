//! Which slot of the network a VM has.

use std::collections::{BTreeMap, BTreeSet};

use banger_model::VmId;
use banger_model::network::{Slot, choose_slot};
use rusqlite::{OptionalExtension, params};

use crate::database::Database;
use crate::error::Error;

impl Database {
    /// The slot of a VM in the network, which it keeps until it is deleted; chosen now if it has none. `Ok(None)` when there
    /// are `capacity` VMs with one.
    pub fn slot(&self, vm: VmId, capacity: u16) -> Result<Option<Slot>, Error> {
        if let Some(slot) = self.slot_of(vm)? {
            return Ok(Some(slot));
        }
        let what = "allocate a slot";
        let failed = |source| Error::Statement { what, source };
        let connection = self.connection();
        let (mut taken, mut last) = (BTreeSet::new(), BTreeMap::new());
        {
            let mut statement = connection
                .prepare("SELECT slot, vm IS NOT NULL, since FROM slot")
                .map_err(failed)?;
            let rows = statement
                .query_map([], |row| {
                    Ok((Slot(row.get(0)?), row.get(1)?, row.get::<_, i64>(2)?))
                })
                .map_err(failed)?;
            for row in rows {
                let (slot, is_taken, since) = row.map_err(failed)?;
                if is_taken {
                    taken.insert(slot);
                }
                last.insert(slot, u64::try_from(since).unwrap_or_default());
            }
        }
        let Some(slot) = choose_slot(capacity, &taken, &last) else {
            return Ok(None);
        };
        connection
            .execute(
                "INSERT INTO slot (slot, vm, since) SELECT ?1, ?2, coalesce(max(since), 0) + 1 FROM slot WHERE true
                 ON CONFLICT (slot) DO UPDATE SET vm = excluded.vm, since = excluded.since",
                params![slot.0, vm.to_string()],
            )
            .map_err(failed)?;
        Ok(Some(slot))
    }

    /// The slot of the VM of this name, if it ever had a card.
    pub fn slot_of_name(&self, name: &str) -> Result<Option<Slot>, Error> {
        self.connection()
            .prepare_cached("SELECT slot FROM slot JOIN vm ON slot.vm = vm.id WHERE vm.name = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row(params![name], |row| row.get(0).map(Slot))
                    .optional()
            })
            .map_err(|source| Error::Statement {
                what: "read a slot",
                source,
            })
    }

    /// The slot of a VM, if it ever had a card.
    pub fn slot_of(&self, vm: VmId) -> Result<Option<Slot>, Error> {
        self.connection()
            .prepare_cached("SELECT slot FROM slot WHERE vm = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row(params![vm.to_string()], |row| row.get(0).map(Slot))
                    .optional()
            })
            .map_err(|source| Error::Statement {
                what: "read a slot",
                source,
            })
    }
}
