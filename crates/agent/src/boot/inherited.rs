//! The identity of the VM that an image was committed from: its disk is a layer of this guest, which is another machine.
//!
//! Where the uppermost layer that has such a file is a VM's disk, the file is hidden by this VM's own disk. What was
//! written here since is there and not looked at, so that nothing need be remembered of a first boot.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use banger_archive::machine::{FILES, LEASES, MACHINE_ID, OfMachine, of_machine};

/// Hides what other machines left. The layers, the lowest first, each with whether it is a VM's disk, and the disk of this
/// VM are those that are mounted as `root`.
pub(super) fn hide(layers: &[(&Path, bool)], upper: &Path, root: &Path) -> io::Result<()> {
    if !layers.iter().any(|(_, of_vm)| *of_vm) {
        return Ok(());
    }
    let files = FILES.iter().map(|(file, _)| PathBuf::from(file));
    for file in files.chain(kept_below(root, &LEASES)) {
        let Some(how) = of_machine(file.as_os_str().as_encoded_bytes()) else {
            continue;
        };
        if is_there(&upper.join(&file)) || !is_left(layers, &file, how) {
            continue;
        }
        match fs::remove_file(root.join(&file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if file == Path::new(MACHINE_ID)
            && let Some(id) = of_image(layers)
        {
            fs::write(root.join(&file), id)?;
        }
    }
    Ok(())
}

/// The files in directories, which an image may not have.
fn kept_below<'a>(root: &'a Path, dirs: &'a [&str]) -> impl Iterator<Item = PathBuf> + 'a {
    dirs.iter().flat_map(move |dir| {
        let names = fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        names.map(move |name| Path::new(dir).join(name.file_name()))
    })
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether what the layers show at a path is of another machine. The agent's own lines of hosts(5) are replaced later.
fn is_left(layers: &[(&Path, bool)], file: &Path, how: OfMachine) -> bool {
    let uppermost = layers.iter().rev().find(|(layer, _)| is_there(&layer.join(file)));
    let Some((layer, true)) = uppermost else {
        return false;
    };
    let path = layer.join(file);
    let has_content = path
        .symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() > 0);
    has_content
        && match how {
            OfMachine::Whole => true,
            OfMachine::Beginning(mark) => begins(&path, mark).unwrap_or(false),
            OfMachine::Hosts => false,
        }
}

fn begins(path: &Path, mark: &str) -> io::Result<bool> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(mark.len() as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes == mark.as_bytes())
}

/// The machine id that the image itself has, below the disks of VMs.
fn of_image(layers: &[(&Path, bool)]) -> Option<String> {
    let trees = layers.iter().rev().filter(|(_, of_vm)| !of_vm);
    let mut ids = trees.filter_map(|(tree, _)| fs::read_to_string(tree.join(MACHINE_ID)).ok());
    ids.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree, a VM's disk on it, this VM's disk, and what a kernel would show of them, with `lines` of "LAYER FILE TEXT".
    struct Stack(tempfile::TempDir);

    impl Stack {
        fn new(files: &[(&str, &str, &str)]) -> Self {
            let stack = Self(tempfile::tempdir().unwrap());
            for layer in ["tree", "vm", "upper", "root"] {
                fs::create_dir(stack.at(layer)).unwrap();
            }
            for layer in ["tree", "vm", "upper"] {
                for (_, file, text) in files.iter().filter(|(of, _, _)| *of == layer) {
                    for place in [stack.at(layer), stack.at("root")] {
                        let path = place.join(file);
                        fs::create_dir_all(path.parent().unwrap()).unwrap();
                        fs::write(path, text).unwrap();
                    }
                }
            }
            stack
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn hide(&self) {
            let (tree, vm) = (self.at("tree"), self.at("vm"));
            let layers = [(tree.as_path(), false), (vm.as_path(), true)];
            hide(&layers, &self.at("upper"), &self.at("root")).unwrap();
        }

        fn seen(&self, file: &str) -> Option<String> {
            fs::read_to_string(self.at("root").join(file)).ok()
        }
    }

    #[test]
    fn what_a_vm_left_is_hidden_and_all_else_stays() {
        let stack = Stack::new(&[
            ("vm", "etc/machine-id", "of the vm"),
            ("vm", "var/lib/systemd/random-seed", "seed"),
            ("vm", "var/lib/dhcp/dhclient.leases", "lease"),
            ("vm", "etc/resolv.conf", banger_archive::machine::RESOLVERS),
            ("vm", "etc/mine", "mine"),
            ("tree", "etc/hostname", "of the image"),
        ]);
        stack.hide();
        for file in [
            "etc/machine-id",
            "var/lib/systemd/random-seed",
            "var/lib/dhcp/dhclient.leases",
            "etc/resolv.conf",
        ] {
            assert_eq!(stack.seen(file), None, "{file}");
        }
        assert_eq!(stack.seen("etc/mine").as_deref(), Some("mine"));
        assert_eq!(stack.seen("etc/hostname").as_deref(), Some("of the image"));
    }

    #[test]
    fn what_was_written_here_stays() {
        let stack = Stack::new(&[
            ("vm", "etc/machine-id", "of the vm"),
            ("upper", "etc/machine-id", "ours"),
            ("vm", "etc/resolv.conf", "nameserver 10.0.0.53\n"),
        ]);
        stack.hide();
        assert_eq!(stack.seen("etc/machine-id").as_deref(), Some("ours"));
        assert!(stack.seen("etc/resolv.conf").is_some(), "one that a person wrote");
    }

    #[test]
    fn an_image_that_has_a_machine_id_keeps_it() {
        let stack = Stack::new(&[
            ("tree", "etc/machine-id", "of the image"),
            ("vm", "etc/machine-id", "of the vm"),
        ]);
        stack.hide();
        assert_eq!(stack.seen("etc/machine-id").as_deref(), Some("of the image"));
        let stack = Stack::new(&[("tree", "etc/machine-id", "id"), ("vm", "etc/machine-id", "")]);
        stack.hide();
        assert_eq!(
            stack.seen("etc/machine-id").as_deref(),
            Some(""),
            "emptied on purpose"
        );
    }
}
