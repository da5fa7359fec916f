//! Verbs that were begun, and where the database was when they were.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use banger_model::{Intent, VmId};
use rusqlite::{OptionalExtension, params};

use crate::database::Database;
use crate::error::Error;
use crate::json::{json, parsed, to_json};

impl Database {
    /// Stores what is to become of a VM, or that nothing is.
    pub fn intend(&self, vm: VmId, intent: Option<Intent>) -> Result<(), Error> {
        self.execute(
            "store the intent for a VM",
            "UPDATE vm SET intent = ?2 WHERE id = ?1",
            params![vm.to_string(), intent.as_ref().map(to_json)],
        )
        .map(drop)
    }

    /// What was begun and not finished.
    pub fn intents(&self) -> Result<BTreeMap<VmId, Intent>, Error> {
        let connection = self.connection();
        let read = || -> rusqlite::Result<BTreeMap<VmId, Intent>> {
            connection
                .prepare("SELECT id, intent FROM vm WHERE intent IS NOT NULL")?
                .query_map([], |row| Ok((parsed(row, 0)?, json(row, 1)?)))?
                .collect()
        };
        read().map_err(|source| Error::Statement {
            what: "read the intents for VMs",
            source,
        })
    }

    /// Whether this database was copied or moved since a daemon last had it: it is another file. Machines of the one that it was
    /// copied from are not its own. From now on it is where it is.
    pub fn was_moved(&self) -> Result<bool, Error> {
        let Ok(metadata) = std::fs::metadata(&self.path) else {
            return Ok(false);
        };
        let now = (metadata.dev().cast_signed(), metadata.ino().cast_signed());
        let earlier: Option<(i64, i64)> = self
            .connection()
            .query_row("SELECT device, inode FROM home", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(|source| Error::Statement {
                what: "read the earlier location of the state",
                source,
            })?;
        self.execute(
            "store the location of the state",
            "INSERT INTO home (one, device, inode) VALUES (1, ?1, ?2)
             ON CONFLICT (one) DO UPDATE SET device = excluded.device, inode = excluded.inode",
            params![now.0, now.1],
        )?;
        Ok(earlier.is_some_and(|earlier| earlier != now))
    }
}
