//! Which configurations of which repositories their user trusts.

use rusqlite::{OptionalExtension, params};

use crate::database::Database;
use crate::error::Error;

/// How many configurations of one repository are remembered, for those who go from branch to branch.
const MOST: i64 = 64;

/// A configuration that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRow {
    /// Of which repository.
    pub path: String,
    /// Its digest.
    pub digest: String,
    /// What it was read from.
    pub source: String,
    /// Since when.
    pub since: String,
}

impl Database {
    /// Trusts a configuration.
    pub fn trust(&self, path: &str, digest: &str, source: &str) -> Result<(), Error> {
        self.execute(
            "store a trusted repository",
            "INSERT INTO trust (path, digest, source, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![path, digest, source, format!("{:.0}", jiff::Timestamp::now())],
        )?;
        self.execute(
            "remove the oldest trusted repository",
            "DELETE FROM trust WHERE path = ?1 AND rowid NOT IN
             (SELECT rowid FROM trust WHERE path = ?1 ORDER BY rowid DESC LIMIT ?2)",
            params![path, MOST],
        )
        .map(drop)
    }

    /// Whether a configuration is trusted.
    pub fn trusts(&self, path: &str, digest: &str) -> Result<bool, Error> {
        let found = self
            .connection()
            .prepare_cached("SELECT 1 FROM trust WHERE path = ?1 AND digest = ?2")
            .and_then(|mut statement| statement.query_row(params![path, digest], |_| Ok(())).optional());
        found
            .map(|found| found.is_some())
            .map_err(|source| Error::Statement {
                what: "read the trusted repositories",
                source,
            })
    }

    /// Trusts no configuration of a repository any more.
    pub fn distrust(&self, path: &str) -> Result<(), Error> {
        self.execute(
            "remove a trusted repository",
            "DELETE FROM trust WHERE path = ?1",
            params![path],
        )
        .map(drop)
    }

    /// All that is trusted.
    pub fn trusted(&self) -> Result<Vec<TrustRow>, Error> {
        let connection = self.connection();
        let rows = connection
            .prepare_cached("SELECT path, digest, source, since FROM trust ORDER BY path, rowid")
            .and_then(|mut statement| {
                let rows = statement.query_map([], |row| {
                    Ok(TrustRow {
                        path: row.get(0)?,
                        digest: row.get(1)?,
                        source: row.get(2)?,
                        since: row.get(3)?,
                    })
                })?;
                rows.collect()
            });
        rows.map_err(|source| Error::Statement {
            what: "read the trusted repositories",
            source,
        })
    }
}
