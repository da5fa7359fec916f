//! Which workspace is meant.

use crate::error::Error;
use crate::placed::{Record, Records};

/// The workspace of a VM that a query means.
///
/// # Errors
/// When it has none there, or several and none is named.
pub fn chosen(records: &Records, vm: &str, path: Option<&str>) -> Result<Record, Error> {
    let none = || Error::NoWorkspace {
        vm: vm.to_owned(),
        path: path.map(str::to_owned),
    };
    if let Some(path) = path {
        return records.get(path).ok_or_else(none);
    }
    let all = records.all();
    // Submodules are placed below what they belong to, which is what is meant.
    let is_inside = |record: &Record| {
        all.iter().any(|other| {
            let rest = record.guest_path.strip_prefix(&other.guest_path);
            rest.is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let mut tops: Vec<Record> = all.iter().filter(|record| !is_inside(record)).cloned().collect();
    match (tops.pop(), tops.is_empty()) {
        (None, _) => Err(none()),
        (Some(only), true) => Ok(only),
        (Some(last), false) => Err(Error::Several {
            vm: vm.to_owned(),
            paths: tops
                .into_iter()
                .chain([last])
                .map(|record| record.guest_path)
                .collect(),
        }),
    }
}
