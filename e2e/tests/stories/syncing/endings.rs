//! Who is killed in the middle, and how it goes on.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image};

use super::watching::Watching;
use super::{compare, sh};

/// Of files that are whole or not there: what takes a while.
const LARGE: usize = 24 << 20;

fn kill_daemon(home: &Home) -> Result<()> {
    // Which starts one if the last one that was killed has no successor yet.
    home.banger(["vm", "list"])?.ok()?;
    home.kill_daemon()
}

pub(super) fn the_next_daemon(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path();
    std::fs::write(tree.join("goes"), "")?;
    let mut watching = Watching::start(&home, tree)?;
    // Killed between two changes.
    kill_daemon(&home)?;
    std::fs::write(tree.join("a"), "after a kill")?;
    std::fs::remove_file(tree.join("goes"))?;
    watching.until(|event| event["event"] == "restarted")?;
    watching.settled(tree, "first")?;
    compare(&home, tree)?;
    // Stopped in good order, and started by another command.
    home.banger(["daemon", "stop"])?.ok()?;
    home.banger(["vm", "list"])?.ok()?;
    std::fs::write(tree.join("a"), "after a stop")?;
    watching.settled(tree, "second")?;
    compare(&home, tree)?;
    // Under TCG a daemon that is killed while it dials takes QEMU's vsock device with it (`banger_vmm::hybrid`).
    if backend != Backend::Tcg {
        killed_while_changes_go(&home, tree, &mut watching)?;
    }
    // What is no matter of the daemon's ends it. What a pass has sent may go once more, as changes: not while the VM stops.
    watching.settled(tree, "fourth")?;
    home.banger(["vm", "stop", "vm"])?.ok()?;
    std::fs::write(tree.join("a"), "for nobody")?;
    // A conflict with the VM's state.
    watching.ended(4)?;
    home.end()
}

fn killed_while_changes_go(home: &Home, tree: &Path, watching: &mut Watching) -> Result<()> {
    for round in 0..3_u8 {
        for number in 0..100 {
            std::fs::write(tree.join(format!("f{number}")), [round; 100])?;
        }
        std::fs::write(tree.join("large"), vec![round; LARGE])?;
        std::fs::remove_file(tree.join(format!("f{round}")))?;
        kill_daemon(home)?;
    }
    watching.settled(tree, "third")?;
    compare(home, tree)
}

/// The guest has a whole file under its name, all of it one of these letters, and no other name beside it.
fn whole(home: &Home, of: &[char]) -> Result<()> {
    let mut left = Vec::new();
    for letter in of {
        left.push(sh(home, "app", &format!("tr -d {letter} < large | wc -c"))?);
    }
    ensure!(left.iter().any(|left| left.trim() == "0"), "half of it: {left:?}");
    let seen = sh(home, "app", "ls -A; wc -c < large")?;
    ensure!(seen.trim() == format!("large\n{LARGE}"), "{seen:?}");
    Ok(())
}

pub(super) fn killed_in_the_middle(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = &dir.path().join("tree");
    std::fs::create_dir(tree)?;
    // Whole at once: half of a file that is being written here may go, too.
    let write = |letter: char| {
        let next = dir.path().join("next");
        std::fs::write(&next, letter.to_string().repeat(LARGE))?;
        std::fs::rename(&next, tree.join("large"))
    };
    write('a')?;
    let mut watching = Watching::start(&home, tree)?;
    whole(&home, &['a'])?;
    for (before, after, millis) in [('a', 'b', 40), ('b', 'c', 80), ('c', 'd', 160)] {
        write(after)?;
        std::thread::sleep(Duration::from_millis(millis));
        watching.child.kill()?;
        watching.child.wait()?;
        whole(&home, &[before, after])?;
        watching = begun_again(&home, tree)?;
        whole(&home, &[after])?;
    }
    drop(watching);
    home.end()
}

fn begun_again(home: &Home, tree: &Path) -> Result<Watching> {
    let watching = Watching::start(home, tree)?;
    compare(home, tree)?;
    Ok(watching)
}
