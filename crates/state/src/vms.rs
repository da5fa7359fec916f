//! The VMs.

use banger_model::{ErrorBody, Forward, VmId, VmSpec};
use rusqlite::{Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::database::Database;
use crate::error::Error;
use crate::json::{json, optional_json, parsed, to_json};

/// A VM as it is stored. `I` is what is kept of the image that it boots.
#[derive(Debug, Clone)]
pub struct VmRow<I> {
    /// What it is made of.
    pub spec: VmSpec,
    /// The generation of the image it boots, which stays when the image's name moves on.
    pub image: I,
    /// Ports that are forwarded whenever it runs.
    pub forwards: Vec<Forward>,
    /// When it was created.
    pub created: jiff::Timestamp,
    /// Why its last start failed or its last machine ended badly.
    pub last_error: Option<ErrorBody>,
    /// Whether it goes with the command that it was made for.
    pub removes_on_exit: bool,
    /// Whether its creation is not finished: it goes with the request that creates it, and no later daemon keeps it.
    pub unfinished: bool,
}

/// Two bits in the column `removes_on_exit`: that the VM goes with its command, and that it is not finished. A daemon that knows
/// the first alone takes any bit for it.
const GOES: i64 = 1;
const UNFINISHED: i64 = 2;

impl Database {
    /// Stores a VM that is about to get its disks. `Ok(false)` when the name is taken.
    pub fn insert_vm<I: Serialize>(&self, row: &VmRow<I>) -> Result<bool, Error> {
        let added = self.execute(
            "store a VM",
            "INSERT INTO vm (id, name, spec, image, created, forwards, removes_on_exit)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![
                row.spec.id.to_string(),
                row.spec.name.as_str(),
                to_json(&row.spec),
                to_json(&row.image),
                row.created.to_string(),
                to_json(&row.forwards),
                (i64::from(row.removes_on_exit) * GOES) | (i64::from(row.unfinished) * UNFINISHED),
            ],
        )?;
        Ok(added == 1)
    }

    /// Marks a VM's disks as made: from now on it is a VM and not an attempt.
    pub fn complete_vm(&self, id: VmId) -> Result<(), Error> {
        self.execute(
            "complete a VM",
            "UPDATE vm SET complete = 1 WHERE id = ?1",
            params![id.to_string()],
        )
        .map(drop)
    }

    /// Marks a VM's creation as finished: from now on it stays, or goes with its command.
    pub fn finish_vm(&self, id: VmId) -> Result<(), Error> {
        self.execute(
            "finish a VM",
            "UPDATE vm SET removes_on_exit = removes_on_exit & ?2 WHERE id = ?1",
            params![id.to_string(), GOES],
        )
        .map(drop)
    }

    /// Replaces what a VM is made of.
    pub fn update_spec(&self, spec: &VmSpec) -> Result<(), Error> {
        self.execute(
            "update a VM",
            "UPDATE vm SET spec = ?2 WHERE id = ?1",
            params![spec.id.to_string(), to_json(spec)],
        )
        .map(drop)
    }

    /// Replaces what a VM is made of, with its name. `Ok(false)` when the name is taken.
    pub fn rename_vm(&self, spec: &VmSpec) -> Result<bool, Error> {
        let renamed = self.execute(
            "rename a VM",
            "UPDATE OR IGNORE vm SET name = ?2, spec = ?3 WHERE id = ?1",
            params![spec.id.to_string(), spec.name.as_str(), to_json(spec)],
        )?;
        Ok(renamed == 1)
    }

    /// Replaces a VM's forwards.
    pub fn update_forwards(&self, id: VmId, forwards: &[Forward]) -> Result<(), Error> {
        self.execute(
            "store a VM's forwards",
            "UPDATE vm SET forwards = ?2 WHERE id = ?1",
            params![id.to_string(), to_json(&forwards)],
        )
        .map(drop)
    }

    /// Stores why a VM failed, or that it no longer does.
    pub fn set_last_error(&self, id: VmId, error: Option<&ErrorBody>) -> Result<(), Error> {
        self.execute(
            "store a VM's failure",
            "UPDATE vm SET last_error = ?2 WHERE id = ?1",
            params![id.to_string(), error.map(to_json)],
        )
        .map(drop)
    }

    /// Forgets a VM, of which nothing is left, with all that refers to it. Its slot is remembered for as long as there are
    /// others.
    pub fn delete_vm(&self, id: VmId) -> Result<(), Error> {
        let id = id.to_string();
        self.changing("delete a VM", |connection| {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute(
                "UPDATE slot SET vm = NULL, since = (SELECT max(since) + 1 FROM slot) WHERE vm = ?1",
                params![id],
            )?;
            transaction.execute("DELETE FROM machine WHERE vm = ?1", params![id])?;
            transaction.execute("DELETE FROM vm WHERE id = ?1", params![id])?;
            transaction.commit()
        })
    }

    /// All VMs, and the ids of those that a daemon died making.
    pub fn vms<I: DeserializeOwned>(&self) -> Result<(Vec<VmRow<I>>, Vec<VmId>), Error> {
        let what = "read the VMs";
        let statement_error = |source| Error::Statement { what, source };
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT spec, image, created, last_error, forwards, removes_on_exit, complete FROM vm ORDER BY name")
            .map_err(statement_error)?;
        let rows = statement
            .query_map([], |row| Ok((vm_row(row)?, row.get::<_, bool>(6)?)))
            .map_err(statement_error)?;
        let mut whole = Vec::new();
        let mut attempts = Vec::new();
        for row in rows {
            match row.map_err(statement_error)? {
                (row, true) => whole.push(row),
                (row, false) => attempts.push(row.spec.id),
            }
        }
        Ok((whole, attempts))
    }
}

fn vm_row<I: DeserializeOwned>(row: &Row<'_>) -> rusqlite::Result<VmRow<I>> {
    Ok(VmRow {
        spec: json(row, 0)?,
        image: json(row, 1)?,
        created: parsed(row, 2)?,
        last_error: optional_json(row, 3)?,
        forwards: json(row, 4)?,
        removes_on_exit: row.get::<_, i64>(5)? & GOES != 0,
        unfinished: row.get::<_, i64>(5)? & UNFINISHED != 0,
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::migrations::MIGRATIONS;

    #[test]
    fn a_database_of_before_forwards_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("banger.db");
        let spec = r#"{"id":"0707070707070707","name":"web","image":"debian","kernel":"debian","vcpus":1,
            "memory":536870912,"disk_size":8589934592,"vmm":"auto","env":{},"labels":{}}"#;
        let before = Connection::open(&path).unwrap();
        before.execute_batch(MIGRATIONS[0]).unwrap();
        before.pragma_update(None, "user_version", 1).unwrap();
        let row = params![
            "0707070707070707",
            "web",
            spec,
            r#"{"id":"x","work":false}"#,
            "2026-01-01T00:00:00Z"
        ];
        let insert =
            "INSERT INTO vm (id, name, spec, image, created, complete) VALUES (?1, ?2, ?3, ?4, ?5, 1)";
        before.execute(insert, row).unwrap();
        drop(before);

        let forward = Forward::Publish("8080:80".parse().unwrap());
        let database = Database::open(&path).unwrap();
        let (vms, _) = database.vms::<serde_json::Value>().unwrap();
        assert_eq!(vms[0].forwards, []);
        database.update_forwards(vms[0].spec.id, &[forward]).unwrap();
        drop(database);
        let (vms, _) = Database::open(&path).unwrap().vms::<serde_json::Value>().unwrap();
        assert_eq!(vms[0].forwards, [forward]);
    }
}
