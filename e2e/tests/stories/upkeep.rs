//! VMs are renamed, waited for and listed, their logs read, and their space given back.

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image, Registry};

use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_vm_is_renamed_and_waited_for", renamed),
    on_the_host("lists_are_filtered_and_formatted", listed),
    on_the_host("space_is_shown_and_given_back", space),
    everywhere("logs_are_read_in_part", logs),
];

fn listed(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &["--label", "team=core"])?;
    home.create(backend, Image::Busybox, "db", &["--no-start"])?;
    let text = |args: &[&str]| anyhow::Ok(home.banger(args)?.ok()?.text());
    ensure!(text(&["ps", "-q"])? == "web");
    ensure!(text(&["vm", "list", "-q", "--filter", "label=team"])? == "web");
    ensure!(text(&["vm", "list", "-q", "--filter", "phase!=running"])? == "db");
    let formatted = text(&["vm", "list", "--format", "{{ name }}\\t{{ memory | size }}"])?;
    ensure!(formatted == "db\t512 MiB\nweb\t512 MiB", "{formatted}");
    let json = text(&["vm", "list", "--format", "json", "--filter", "name=w*"])?;
    ensure!(json.starts_with('{') && json.lines().count() == 1, "{json}");
    ensure!(text(&["images", "-q", "--filter", "name=busy*x"])? == "busybox");
    ensure!(text(&["image", "list", "-q", "--filter", "vm=web"])? == "busybox");
    ensure!(text(&["kernel", "list", "-q", "--filter", "default=true"])? == "debian");
    // Every list has these options.
    let dir = banger_e2e::repository(&[("banger.toml", "[env]\nA = \"1\"\n")])?;
    let path = dir.path().to_string_lossy().into_owned();
    text(&["trust", "add", &path, "--yes"])?;
    let trusted = text(&["trust", "list", "-q", "--filter", "state=current"])?;
    ensure!(trusted.ends_with(&path), "{trusted}");
    ensure!(text(&["trust", "list", "-q", "--filter", "state!=current"])?.is_empty());
    for list in [
        &["vm", "egress", "web"][..],
        &["vm", "ports", "web"],
        &["image", "list", "--available"],
        &["kernel", "list", "--available"],
        &["vm", "session", "list", "web"],
        &["vm", "forward", "list"],
    ] {
        text(&[list, &["-q"]].concat())?;
        home.banger([list, &["--filter", "nope=1"]].concat())?
            .exited(2)?
            .saying("known keys: ")?;
    }
    home.banger(["vm", "list", "--filter", "state=running"])?
        .exited(2)?
        .saying("known keys: name, id, phase")?;
    home.banger(["vm", "list", "--format", "{{.Name}}"])?
        .exited(2)?
        .saying("write `{{ name }}`")?;
    home.end()
}

fn space(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?.with_env("NO_PROXY", "127.0.0.1");
    home.own_stores()?;
    home.create(backend, Image::Busybox, "web", &[])?;
    home.create(backend, Image::Busybox, "old", &["--no-start"])?;
    let text = |args: &[&str]| anyhow::Ok(home.banger(args)?.ok()?.text());
    let table = text(&["system", "df", "-v"])?;
    for word in [
        "IMAGES", "LAYERS", "KERNELS", "VMS", "CACHES", "busybox", "old", "web",
    ] {
        ensure!(table.contains(word), "{word} is not in {table}");
    }
    let usage: serde_json::Value = serde_json::from_str(&text(&["system", "df", "--json"])?)?;
    let kind = |name: &str| {
        let kinds = usage["kinds"].as_array()?;
        kinds.iter().find(|of| of["kind"] == name).cloned()
    };
    let vms = kind("vms").unwrap_or_default();
    ensure!(vms["count"] == 2 && vms["used"] == 1, "{vms}");
    // What only a VM uses that goes is not in use then: one run removes both.
    let registry = Registry::open()?;
    registry.push(&crate::pulling::image(b"again")?, "x")?;
    text(&["image", "pull", &registry.reference("x"), "--name", "again"])?;
    let image = |name: &str| text(&["image", "list", "-q", "--filter", &format!("name={name}")]);
    text(&[
        "vm",
        "create",
        "--name",
        "of-again",
        "--image",
        "again",
        "--vmm",
        "fake",
        "--kernel",
        "debian",
        "--memory",
        "512M",
        "--no-start",
    ])?;
    let dry = text(&["system", "prune", "--all", "--dry-run"])?;
    ensure!(!dry.contains("image again"), "{dry}");
    let dry = text(&["system", "prune", "--all", "--vms", "--dry-run"])?;
    ensure!(
        dry.contains("VM of-again") && dry.contains("image again"),
        "{dry}"
    );
    ensure!(image("again")? == "again", "it was a dry run");
    text(&["system", "prune", "--all", "--vms", "--yes"])?;
    ensure!(image("again")?.is_empty() && image("busybox")? == "busybox");
    home.create(backend, Image::Busybox, "old", &["--no-start"])?;
    // VMs stay unless they are asked for, and what runs stays in any case.
    let dry = text(&["system", "prune", "--dry-run", "--all"])?;
    ensure!(!dry.contains("VM "), "{dry}");
    home.banger(["system", "prune", "--vms"])?
        .exited(1)?
        .saying("banger system prune --vms --yes")?;
    let pruned = text(&["system", "prune", "--vms", "-f"])?;
    ensure!(pruned.contains("VM old") && !pruned.contains("web"), "{pruned}");
    ensure!(text(&["vm", "list", "-q"])? == "web");
    home.end()
}

fn logs(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &[])?;
    let text = |args: &[&str]| anyhow::Ok(home.banger(args)?.ok()?.text());
    let all = text(&["logs", "web"])?;
    let last = all.lines().last().unwrap_or_default();
    ensure!(text(&["logs", "web", "--tail", "1"])? == last, "{all}");
    ensure!(text(&["logs", "web", "--tail", "0"])?.is_empty());
    let stamped = text(&["logs", "web", "-n", "1", "-t"])?;
    match backend {
        // Its console is a file that the guest writes itself.
        Backend::Fake => {
            ensure!(stamped == format!("- {last}"), "{stamped}");
            home.banger(["logs", "web", "--since", "1h"])?
                .exited(1)?
                .saying("has no times")?;
        }
        _ => {
            ensure!(stamped.ends_with(last) && stamped.starts_with("20"), "{stamped}");
            ensure!(text(&["logs", "web", "--since", "1h"])? == all);
            text(&["vm", "stop", "web"])?;
            ensure!(text(&["logs", "web", "--since", "1d"])?.starts_with(&all));
        }
    }
    home.banger(["logs", "web", "--since", "yesterday"])?.exited(2)?;
    home.banger(["logs", "web", "--vmm", "-t"])?.exited(2)?;
    home.end()
}

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
