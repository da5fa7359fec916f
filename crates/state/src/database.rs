//! The open database, and how it is changed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode as SqlCode, ToSql};

use crate::error::Error;
use crate::migrations::migrate;
use crate::reserve::Reserve;

/// The open database.
#[derive(Debug)]
pub struct Database {
    connection: Mutex<Connection>,
    /// Its file.
    pub(crate) path: PathBuf,
    /// Space for what must be stored when the disk is full.
    reserve: Reserve,
}

impl Database {
    /// Opens the database at `path`, makes it when absent, and brings it to the current schema.
    pub fn open(path: &Path) -> Result<Self, Error> {
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

    /// The connection, for one statement or transaction.
    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic in the middle of a statement left no transaction open: they roll back when dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change by one statement; gives how many rows it changed.
    pub(crate) fn execute(
        &self,
        what: &'static str,
        sql: &str,
        values: &[&dyn ToSql],
    ) -> Result<usize, Error> {
        self.changing(what, |connection| connection.prepare_cached(sql)?.execute(values))
    }

    /// Makes a change, once more with the reserve's space when the disk is full.
    pub(crate) fn changing<T>(
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
}

/// Whether there was no space for a change.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(SqlCode::DiskFull)
}
