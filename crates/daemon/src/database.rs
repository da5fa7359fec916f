//! The database: which VMs there are, which machines run, and what is known of kernels on this host.
//!
//! One SQLite file in WAL mode. The daemon is its one writer (it holds the lock beside the file, `place.rs`), so a mutex
//! is all the concurrency there is; a statement takes microseconds, so it is called from async code directly.
//!
//! A machine's row is the *intent*: it is stored before anything of the machine exists and deleted when nothing of
//! it is left. So whatever a daemon that dies leaves behind, its successor finds a row that tells where to look.

mod intents;
mod learned;
mod machines;
mod reserve;
mod slots;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use banger_api::ErrorBody;
use banger_image::ImageConfig;
use banger_model::{Describe, ErrorCode, Forward, VmId, VmSpec, VmmKind};
use rusqlite::{Connection, ErrorCode as SqlCode, OptionalExtension, Row, ToSql, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use self::machines::MachineRow;

use self::reserve::Reserve;

/// The migrations, in order. `PRAGMA user_version` counts those that were applied.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE vm (
        id         TEXT PRIMARY KEY,
        name       TEXT NOT NULL UNIQUE,
        spec       TEXT NOT NULL,
        image      TEXT NOT NULL,
        created    TEXT NOT NULL,
        complete   INTEGER NOT NULL DEFAULT 0,
        last_error TEXT
    ) STRICT;
    CREATE TABLE machine (
        vm     TEXT PRIMARY KEY REFERENCES vm(id),
        dir    TEXT NOT NULL,
        record TEXT,
        facts  TEXT
    ) STRICT;
    CREATE TABLE boot_verdict (
        vmm    TEXT NOT NULL,
        kernel TEXT NOT NULL,
        reason TEXT,
        PRIMARY KEY (vmm, kernel)
    ) STRICT;
",
    "
    ALTER TABLE vm ADD COLUMN forwards TEXT NOT NULL DEFAULT '[]';
",
    "
    CREATE TABLE slot (
        slot  INTEGER PRIMARY KEY,
        vm    TEXT,
        since INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX slot_of_vm ON slot (vm);
",
    "
    CREATE TABLE learned (
        vm   TEXT NOT NULL REFERENCES vm(id) ON DELETE CASCADE,
        rule TEXT NOT NULL,
        PRIMARY KEY (vm, rule)
    ) STRICT;
",
    "
    ALTER TABLE vm ADD COLUMN intent TEXT;
    ALTER TABLE vm ADD COLUMN removes_on_exit INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE home (
        one    INTEGER PRIMARY KEY CHECK (one = 1),
        device INTEGER NOT NULL,
        inode  INTEGER NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE trust (
        path   TEXT NOT NULL,
        digest TEXT NOT NULL,
        source TEXT NOT NULL,
        since  TEXT NOT NULL,
        PRIMARY KEY (path, digest)
    ) STRICT;
",
];

/// A VM as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct VmRow {
    /// What it is made of.
    pub(crate) spec: VmSpec,
    /// The generation of the image it boots, which stays when the image's name moves on.
    pub(crate) image: ImageRef,
    /// Ports that are forwarded whenever it runs.
    pub(crate) forwards: Vec<Forward>,
    /// When it was created.
    pub(crate) created: jiff::Timestamp,
    /// Why its last start failed or its last machine ended badly.
    pub(crate) last_error: Option<ErrorBody>,
    /// Whether it goes with the command that it was made for.
    pub(crate) removes_on_exit: bool,
}

/// The image generation that a VM boots. Where its layers are, the store tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRef {
    /// The generation's id.
    pub(crate) id: String,
    /// Whether VMs of it have a second writable disk at `/root`.
    pub(crate) work: bool,
    /// What its maker says of how to run it.
    #[serde(default)]
    pub(crate) config: ImageConfig,
}

/// Whether a kernel boots under a VMM on this host, as a real boot has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It boots.
    Boots,
    /// It does not, for this reason.
    Fails(String),
}

/// The database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file could not be opened or prepared.
    #[error("open the database {}", .path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    /// A newer banger wrote it.
    #[error("the database {} is of a newer banger (schema {found}, this one knows {known})", .path.display())]
    Newer {
        path: PathBuf,
        found: usize,
        known: usize,
    },
    /// A statement failed.
    #[error("{what} in the database")]
    Statement {
        what: &'static str,
        #[source]
        source: rusqlite::Error,
    },
}

/// The open database.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// Space for what must be stored when the disk is full.
    reserve: Reserve,
}

impl Database {
    /// Opens the database at `path`, makes it when absent, and brings it to the current schema.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let open = |source| Error::Open {
            path: path.to_owned(),
            source,
        };
        let mut connection = Connection::open(path).map_err(open)?;
        // With WAL, `NORMAL` loses nothing when this process dies, and only the newest rows when the host does; after
        // that no machine runs, and files without a row are swept.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;",
            )
            .map_err(open)?;
        migrate(&mut connection, path)?;
        Ok(Self {
            connection: Mutex::new(connection),
            reserve: Reserve::beside(path),
            path: path.to_owned(),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic in the middle of a statement left no transaction open: they roll back when dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execute(&self, what: &'static str, sql: &str, values: &[&dyn ToSql]) -> Result<usize, Error> {
        self.changing(what, |connection| connection.prepare_cached(sql)?.execute(values))
    }

    /// Makes a change, once more with the reserve's space when the disk is full.
    fn changing<T>(
        &self,
        what: &'static str,
        change: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let connection = self.connection();
        let mut outcome = change(&connection);
        if outcome.as_ref().is_err_and(is_full) && self.reserve.give() {
            outcome = change(&connection);
        }
        outcome.map_err(|source| Error::Statement { what, source })
    }

    /// Stores a VM that is about to get its disks. `Ok(false)` when the name is taken.
    pub(crate) fn insert_vm(&self, row: &VmRow) -> Result<bool, Error> {
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
                row.removes_on_exit,
            ],
        )?;
        Ok(added == 1)
    }

    /// Marks a VM's disks as made: from now on it is a VM and not an attempt.
    pub(crate) fn complete_vm(&self, id: VmId) -> Result<(), Error> {
        self.execute(
            "complete a VM",
            "UPDATE vm SET complete = 1 WHERE id = ?1",
            params![id.to_string()],
        )
        .map(drop)
    }

    /// Replaces what a VM is made of.
    pub(crate) fn update_spec(&self, spec: &VmSpec) -> Result<(), Error> {
        self.execute(
            "change a VM",
            "UPDATE vm SET spec = ?2 WHERE id = ?1",
            params![spec.id.to_string(), to_json(spec)],
        )
        .map(drop)
    }

    /// Replaces a VM's forwards.
    pub(crate) fn update_forwards(&self, id: VmId, forwards: &[Forward]) -> Result<(), Error> {
        self.execute(
            "store a VM's forwards",
            "UPDATE vm SET forwards = ?2 WHERE id = ?1",
            params![id.to_string(), to_json(&forwards)],
        )
        .map(drop)
    }

    /// Stores why a VM failed, or that it no longer does.
    pub(crate) fn set_last_error(&self, id: VmId, error: Option<&ErrorBody>) -> Result<(), Error> {
        self.execute(
            "store a VM's failure",
            "UPDATE vm SET last_error = ?2 WHERE id = ?1",
            params![id.to_string(), error.map(to_json)],
        )
        .map(drop)
    }

    /// Forgets a VM, of which nothing is left, with all that refers to it. Its slot is remembered for as long as there are
    /// others.
    pub(crate) fn delete_vm(&self, id: VmId) -> Result<(), Error> {
        let id = id.to_string();
        self.changing("forget a VM", |connection| {
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
    pub(crate) fn vms(&self) -> Result<(Vec<VmRow>, Vec<VmId>), Error> {
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

    /// What a boot has shown of this kernel under this VMM.
    pub(crate) fn verdict(&self, vmm: VmmKind, kernel: &str) -> Result<Option<Verdict>, Error> {
        let reason: Option<Option<String>> = self
            .connection()
            .prepare_cached("SELECT reason FROM boot_verdict WHERE vmm = ?1 AND kernel = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row(params![vmm.as_str(), kernel], |row| row.get(0))
                    .optional()
            })
            .map_err(|source| Error::Statement {
                what: "read what a boot has shown",
                source,
            })?;
        Ok(reason.map(|reason| reason.map_or(Verdict::Boots, Verdict::Fails)))
    }

    /// Keeps what a boot has shown.
    pub(crate) fn set_verdict(&self, vmm: VmmKind, kernel: &str, verdict: &Verdict) -> Result<(), Error> {
        let reason = match verdict {
            Verdict::Boots => None,
            Verdict::Fails(reason) => Some(reason),
        };
        self.execute(
            "store what a boot has shown",
            "INSERT INTO boot_verdict (vmm, kernel, reason) VALUES (?1, ?2, ?3)
             ON CONFLICT (vmm, kernel) DO UPDATE SET reason = excluded.reason",
            params![vmm.as_str(), kernel, reason],
        )
        .map(drop)
    }
}

/// Whether there was no space for a change.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(SqlCode::DiskFull)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let open = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(open)?;
    let found = usize::try_from(found).unwrap_or_default();
    let known = MIGRATIONS.len();
    if found > known {
        return Err(Error::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        let transaction = connection.transaction().map_err(open)?;
        transaction.execute_batch(migration).map_err(open)?;
        transaction
            .pragma_update(None, "user_version", index as i64 + 1)
            .map_err(open)?;
        transaction.commit().map_err(open)?;
    }
    Ok(())
}

fn vm_row(row: &Row<'_>) -> rusqlite::Result<VmRow> {
    Ok(VmRow {
        spec: json(row, 0)?,
        image: json(row, 1)?,
        created: parsed(row, 2)?,
        last_error: optional_json(row, 3)?,
        forwards: json(row, 4)?,
        removes_on_exit: row.get(5)?,
    })
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("stored values have only string keys")
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|error| unreadable(column, error))
}

fn optional_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(column, error)))
        .transpose()
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, String>(column)?
        .parse()
        .map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Open { .. } => ErrorCode::Host,
            Self::Newer { .. } => ErrorCode::VersionMismatch,
            Self::Statement { .. } => ErrorCode::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Open { .. } => {
                vec!["see whether the disk is full or read-only: `banger doctor`".to_owned()]
            }
            Self::Newer { .. } => {
                vec!["install that banger again, or set BANGER_HOME to another directory".to_owned()]
            }
            Self::Statement { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (vms, _) = database.vms().unwrap();
        assert_eq!(vms[0].forwards, []);
        database.update_forwards(vms[0].spec.id, &[forward]).unwrap();
        drop(database);
        let (vms, _) = Database::open(&path).unwrap().vms().unwrap();
        assert_eq!(vms[0].forwards, [forward]);
    }
}
