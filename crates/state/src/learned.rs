//! What a VM reached in mode `learn`, as rules. They go with the VM.

use banger_model::VmId;
use banger_model::network::{Allow, MAX_RULES};
use rusqlite::params;

use crate::database::Database;
use crate::error::Error;
use crate::json::parsed;

impl Database {
    /// Keeps rules that a VM was found to need; those that are kept already are no news. One more than a VM may have is kept,
    /// to tell that there were more.
    pub fn learn(&self, vm: VmId, rules: &[Allow]) -> Result<(), Error> {
        for rule in rules {
            self.execute(
                "store the learned destinations of a VM",
                "INSERT INTO learned (vm, rule)
                 SELECT ?1, ?2 WHERE (SELECT count(*) FROM learned WHERE vm = ?1) <= ?3
                 ON CONFLICT DO NOTHING",
                params![vm.to_string(), rule.to_string(), MAX_RULES as i64],
            )?;
        }
        Ok(())
    }

    /// The rules that a VM was found to need, and whether these are all.
    pub fn learned(&self, vm: VmId) -> Result<(Vec<Allow>, bool), Error> {
        let failed = |source| Error::Statement {
            what: "read the learned destinations of a VM",
            source,
        };
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT rule FROM learned WHERE vm = ?1 ORDER BY rowid")
            .map_err(failed)?;
        let mut rules: Vec<Allow> = statement
            .query_map(params![vm.to_string()], |row| parsed(row, 0))
            .and_then(Iterator::collect)
            .map_err(failed)?;
        let complete = rules.len() <= MAX_RULES;
        rules.truncate(MAX_RULES);
        Ok((rules, complete))
    }

    /// Forgets what a VM was found to need: it starts to learn again.
    pub fn unlearn(&self, vm: VmId) -> Result<(), Error> {
        self.execute(
            "delete the learned destinations of a VM",
            "DELETE FROM learned WHERE vm = ?1",
            params![vm.to_string()],
        )
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_vm(dir: &std::path::Path) -> (Database, VmId) {
        let database = Database::open(&dir.join("banger.db")).unwrap();
        let vm = VmId::from_bytes([7; 8]);
        let insert =
            "INSERT OR IGNORE INTO vm (id, name, spec, image, created) VALUES (?1, 'web', '', '', '')";
        database
            .execute("add a VM", insert, params![vm.to_string()])
            .unwrap();
        (database, vm)
    }

    fn rule(text: &str) -> Allow {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_learnt_outlives_the_daemon_and_goes_with_the_vm() {
        let dir = tempfile::tempdir().unwrap();
        let (database, vm) = with_vm(dir.path());
        database.learn(vm, &[rule("x.org:443"), rule("1.2.3.4")]).unwrap();
        database.learn(vm, &[rule("x.org:443")]).unwrap();
        drop(database);
        let (database, _) = with_vm(dir.path());
        let all = (vec![rule("x.org:443"), rule("1.2.3.4")], true);
        assert_eq!(database.learned(vm).unwrap(), all);
        database.delete_vm(vm).unwrap();
        assert_eq!(database.learned(vm).unwrap(), (vec![], true));
        // What comes late is nobody's.
        assert!(database.learn(vm, &[rule("x.org:443")]).is_err());
    }

    #[test]
    fn there_is_room_for_as_many_as_a_vm_may_have() {
        let dir = tempfile::tempdir().unwrap();
        let (database, vm) = with_vm(dir.path());
        for number in 0..2 * MAX_RULES {
            database.learn(vm, &[rule(&format!("n{number}.org"))]).unwrap();
            let (rules, complete) = database.learned(vm).unwrap();
            assert_eq!(
                (rules.len(), complete),
                ((number + 1).min(MAX_RULES), number < MAX_RULES)
            );
        }
        database.unlearn(vm).unwrap();
        assert_eq!(database.learned(vm).unwrap(), (vec![], true));
    }
}
