//! Which configurations of which repositories their user trusts.

use banger_api::{TrustRecord, TrustState};
use rusqlite::{OptionalExtension, params};

use super::{Database, Error};

/// How many configurations of one repository are remembered, for those who go from branch to branch.
const MOST: i64 = 64;

impl Database {
    /// Trusts a configuration.
    pub(crate) fn trust(&self, path: &str, digest: &str, source: &str) -> Result<(), Error> {
        self.execute(
            "store what is trusted",
            "INSERT INTO trust (path, digest, source, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![path, digest, source, jiff::Timestamp::now().to_string()],
        )?;
        self.execute(
            "forget what was trusted first",
            "DELETE FROM trust WHERE path = ?1 AND rowid NOT IN
             (SELECT rowid FROM trust WHERE path = ?1 ORDER BY rowid DESC LIMIT ?2)",
            params![path, MOST],
        )
        .map(drop)
    }

    /// Whether a configuration is trusted.
    pub(crate) fn trusts(&self, path: &str, digest: &str) -> Result<bool, Error> {
        let found = self
            .connection()
            .prepare_cached("SELECT 1 FROM trust WHERE path = ?1 AND digest = ?2")
            .and_then(|mut statement| statement.query_row(params![path, digest], |_| Ok(())).optional());
        found
            .map(|found| found.is_some())
            .map_err(|source| Error::Statement {
                what: "read what is trusted",
                source,
            })
    }

    /// Trusts no configuration of a repository any more.
    pub(crate) fn distrust(&self, path: &str) -> Result<(), Error> {
        self.execute(
            "forget what was trusted",
            "DELETE FROM trust WHERE path = ?1",
            params![path],
        )
        .map(drop)
    }

    /// All that is trusted.
    pub(crate) fn trusted(&self) -> Result<Vec<TrustRecord>, Error> {
        let connection = self.connection();
        let rows = connection
            .prepare_cached("SELECT path, digest, source, since FROM trust ORDER BY path, rowid")
            .and_then(|mut statement| {
                let rows = statement.query_map([], |row| {
                    Ok(TrustRecord {
                        path: row.get(0)?,
                        digest: row.get(1)?,
                        source: row.get(2)?,
                        since: row.get(3)?,
                        state: TrustState::Gone,
                    })
                })?;
                rows.collect()
            });
        rows.map_err(|source| Error::Statement {
            what: "read what is trusted",
            source,
        })
    }
}
