//! VMs are renamed, waited for and listed, their logs read, and their space given back.

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::{Story, on_the_host};

pub(crate) const STORIES: &[Story] = &[on_the_host("a_vm_is_renamed_and_waited_for", renamed)];

fn renamed(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &[])?;
    home.create(
        backend,
        Image::Busybox,
        "db",
        &["--allow", "vm:web", "--no-start"],
    )?;
    let text = |args: &[&str]| anyhow::Ok(home.banger(args)?.ok()?.text());
    home.banger(["vm", "rename", "web", "frontend"])?
        .exited(4)?
        .saying("`banger vm stop web`")?;
    ensure!(text(&["vm", "wait", "web", "--for", "running"])? == "running");
    home.banger(["vm", "wait", "web", "--timeout", "100ms"])?
        .exited(124)?
        .saying("waiting for VM web to stop")?;
    text(&["vm", "stop", "web"])?;
    ensure!(text(&["vm", "wait", "web", "db"])? == "stopped\nstopped");
    home.banger(["vm", "rename", "web", "db"])?
        .exited(4)?
        .saying("already exists")?;
    home.banger(["vm", "rename", "web", "We b"])?.exited(2)?;
    home.banger(["vm", "rename", "web", "frontend"])?
        .ok()?
        .saying("a network rule of VM db allows `vm:web`")?;
    ensure!(text(&["vm", "list", "-q"])? == "db\nfrontend");
    home.banger(["vm", "show", "web"])?.exited(3)?;
    // It starts by its new name.
    text(&["vm", "start", "frontend"])?;
    ensure!(text(&["vm", "rename", "frontend", "frontend"])? == "frontend");
    text(&["rm", "-f", "frontend"])?;
    ensure!(text(&["vm", "wait", "frontend", "--for", "deleted"])? == "deleted");
    home.banger(["vm", "wait", "frontend"])?.exited(3)?;
    home.end()
}
