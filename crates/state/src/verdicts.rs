//! Which kernels boot under which VMM on this host.

use banger_model::VmmKind;
use rusqlite::{OptionalExtension, params};

use crate::database::Database;
use crate::error::Error;

/// Whether a kernel boots under a VMM on this host, as a real boot has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It boots.
    Boots,
    /// It does not, for this reason.
    Fails(String),
}

impl Database {
    /// What a boot has shown of this kernel under this VMM.
    pub fn verdict(&self, vmm: VmmKind, kernel: &str) -> Result<Option<Verdict>, Error> {
        let reason: Option<Option<String>> = self
            .connection()
            .prepare_cached("SELECT reason FROM boot_verdict WHERE vmm = ?1 AND kernel = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row(params![vmm.as_str(), kernel], |row| row.get(0))
                    .optional()
            })
            .map_err(|source| Error::Statement {
                what: "read the result of an earlier boot",
                source,
            })?;
        Ok(reason.map(|reason| reason.map_or(Verdict::Boots, Verdict::Fails)))
    }

    /// Keeps what a boot has shown.
    pub fn set_verdict(&self, vmm: VmmKind, kernel: &str, verdict: &Verdict) -> Result<(), Error> {
        let reason = match verdict {
            Verdict::Boots => None,
            Verdict::Fails(reason) => Some(reason),
        };
        self.execute(
            "store the result of a boot",
            "INSERT INTO boot_verdict (vmm, kernel, reason) VALUES (?1, ?2, ?3)
             ON CONFLICT (vmm, kernel) DO UPDATE SET reason = excluded.reason",
            params![vmm.as_str(), kernel, reason],
        )
        .map(drop)
    }
}
