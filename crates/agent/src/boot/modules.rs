//! The kernel modules that banger's initrd brings, named so that their order is the load order.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use banger_guest_api::Failure;
use rustix::io::Errno;

use crate::failure::During;

const DIRECTORY: &str = "/banger/modules";

/// Loads every module. A kernel with everything built in brings none.
pub(super) fn load_all() -> Result<(), Failure> {
    let entries = match std::fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.during("list the modules")?,
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let shown = path.display();
        let file = File::open(&path).during(format!("open {shown}"))?;
        match rustix::system::finit_module(&file, c"", 0) {
            // Some are built in as well, or came with another one.
            Ok(()) | Err(Errno::EXIST) => {}
            // A driver that finds nothing to drive refuses to load: no harm, or a later step says what is missing.
            Err(Errno::NODEV) => eprintln!("banger: module {shown} found no device"),
            Err(error) => return Err(error).during(format!("load {shown}")),
        }
        // The file lies in memory.
        let _ = std::fs::remove_file(&path);
    }
    Ok(())
}
