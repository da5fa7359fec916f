//! Which machines there are, or are to be.

use std::path::{Path, PathBuf};

use banger_model::VmId;
use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::database::Database;
use crate::error::Error;
use crate::json::{optional_json, parsed, to_json};

/// A machine, or the intent to have one. `R` is what is needed to adopt it, `F` what is told of it.
#[derive(Debug, Clone)]
pub struct MachineRow<R, F> {
    /// Whose it is.
    pub vm: VmId,
    /// Its directory.
    pub dir: PathBuf,
    /// What is needed to adopt it; absent until it was launched.
    pub record: Option<R>,
    /// What is told of it; absent until its guest was ready.
    pub facts: Option<F>,
}

impl Database {
    /// Stores the intent to have a machine with this directory.
    pub fn intend_machine(&self, vm: VmId, dir: &Path) -> Result<(), Error> {
        self.execute(
            "store the intent of a machine",
            "INSERT INTO machine (vm, dir) VALUES (?1, ?2)
             ON CONFLICT (vm) DO UPDATE SET dir = excluded.dir, record = NULL, facts = NULL",
            params![vm.to_string(), dir.to_string_lossy()],
        )
        .map(drop)
    }

    /// Stores how to find a launched machine again.
    pub fn record_machine<R: Serialize>(&self, vm: VmId, record: &R) -> Result<(), Error> {
        self.execute(
            "store a machine",
            "UPDATE machine SET record = ?2 WHERE vm = ?1",
            params![vm.to_string(), to_json(record)],
        )
        .map(drop)
    }

    /// Stores what is told of a machine whose guest is ready. With that a restart is done.
    pub fn describe_machine<F: Serialize>(&self, vm: VmId, facts: &F) -> Result<(), Error> {
        let (id, facts) = (vm.to_string(), to_json(facts));
        self.changing("store a machine's facts", |connection| {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute("UPDATE machine SET facts = ?2 WHERE vm = ?1", params![id, facts])?;
            transaction.execute("UPDATE vm SET intent = NULL WHERE id = ?1", params![id])?;
            transaction.commit()
        })
    }

    /// Forgets a machine, of which nothing is left.
    pub fn forget_machine(&self, vm: VmId) -> Result<(), Error> {
        self.execute(
            "delete a machine",
            "DELETE FROM machine WHERE vm = ?1",
            params![vm.to_string()],
        )
        .map(drop)
    }

    /// All machines and intents.
    pub fn machines<R: DeserializeOwned, F: DeserializeOwned>(&self) -> Result<Vec<MachineRow<R, F>>, Error> {
        let what = "read the machines";
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT vm, dir, record, facts FROM machine")
            .map_err(|source| Error::Statement { what, source })?;
        statement
            .query_map([], |row| {
                Ok(MachineRow {
                    vm: parsed(row, 0)?,
                    dir: PathBuf::from(row.get::<_, String>(1)?),
                    record: optional_json(row, 2)?,
                    facts: optional_json(row, 3)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(|source| Error::Statement { what, source })
    }
}
