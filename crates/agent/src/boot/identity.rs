//! Who a guest is: its name, its machine id, and what its files say of both.

use std::io;
use std::path::Path;

use banger_guest_api::{Configure, Failure};

use crate::failure::During;

/// Gives the guest its identity. Files go below `root`, the guest's `/`.
pub(super) fn assume(configure: &Configure, root: &Path) -> Result<(), Failure> {
    rustix::system::sethostname(configure.hostname.as_bytes()).during("set the host name")?;
    write_files(configure, root).during("write the guest's identity")
}

fn write_files(configure: &Configure, root: &Path) -> io::Result<()> {
    let etc = root.join("etc");
    std::fs::create_dir_all(&etc)?;
    let name = &configure.hostname;
    replace(&etc.join("hostname"), &format!("{name}\n"))?;
    let hosts = std::fs::read_to_string(etc.join("hosts")).unwrap_or_default();
    replace(&etc.join("hosts"), &hosts_with(&hosts, name))?;
    let machine_id = etc.join("machine-id");
    if needs_machine_id(&std::fs::read_to_string(&machine_id).unwrap_or_default()) {
        replace(&machine_id, &format!("{}\n", configure.machine_id))?;
    }
    Ok(())
}

/// An image that is made to be copied has an empty file, or this word (machine-id(5)).
fn needs_machine_id(present: &str) -> bool {
    matches!(present.trim(), "" | "uninitialized")
}

/// Writes a file unless it says so already: an unchanged file is not copied up from the image. A symbolic link (to a
/// file that some service makes) is replaced, not followed.
fn replace(path: &Path, content: &str) -> io::Result<()> {
    let is_link = path.is_symlink();
    if !is_link && std::fs::read_to_string(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if is_link {
        std::fs::remove_file(path)?;
    }
    std::fs::write(path, content)
}

/// The image's hosts with the guest's own name, by Debian's custom at 127.0.1.1.
fn hosts_with(present: &str, name: &str) -> String {
    const OWN: &str = "127.0.1.1";
    let mut lines: Vec<&str> = present
        .lines()
        .filter(|line| line.split_whitespace().next() != Some(OWN))
        .collect();
    for (address, line) in [
        ("127.0.0.1", "127.0.0.1\tlocalhost"),
        ("::1", "::1\tlocalhost ip6-localhost ip6-loopback"),
    ] {
        if !lines
            .iter()
            .any(|line| line.split_whitespace().next() == Some(address))
        {
            lines.push(line);
        }
    }
    let own = format!("{OWN}\t{name}");
    lines.push(&own);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_name_replaces_an_earlier_one_and_nothing_else() {
        let first = hosts_with("10.0.0.1 db\n", "web");
        assert_eq!(
            first,
            "10.0.0.1 db\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tweb\n"
        );
        assert_eq!(hosts_with(&first, "api"), first.replace("web", "api"));
    }

    #[test]
    fn only_an_image_without_a_machine_id_gets_one() {
        assert!(needs_machine_id("") && needs_machine_id("uninitialized\n"));
        assert!(!needs_machine_id("b08dfa6083e7567a1921a715000001fb\n"));
    }
}
