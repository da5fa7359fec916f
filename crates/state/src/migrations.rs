//! The tables, by the steps in which they came to be.

use std::path::Path;

use rusqlite::Connection;

use crate::error::Error;

/// The migrations, in order. `PRAGMA user_version` counts those that were applied.
pub(crate) const MIGRATIONS: &[&str] = &[
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

/// Brings the database at `path` to the current tables.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
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
