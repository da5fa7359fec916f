//! One report of a workspace and its submodules.

use banger_api::WorkspaceReport;

/// What is reported of a workspace and those in it.
pub(crate) trait Add {
    /// Adds what was placed of a submodule.
    fn add(&mut self, path: &str, module: Self);
}

impl Add for WorkspaceReport {
    fn add(&mut self, path: &str, module: Self) {
        self.files += module.files;
        self.bytes += module.bytes;
        self.sent_files += module.sent_files;
        self.sent_bytes += module.sent_bytes;
        let below = |file: &String| format!("{path}/{file}");
        self.kept.extend(module.kept.iter().map(below));
        self.notes
            .extend(module.notes.iter().map(|note| format!("{path}: {note}")));
        self.omitted
            .extend(module.omitted.into_iter().map(|mut omission| {
                omission.path = below(&omission.path);
                omission
            }));
    }
}
