//! Hints are followed literally: what is between backticks is run by a shell, and then the command that failed succeeds.

use anyhow::{Context, Result};
use banger_e2e::{Backend, Home, Image, committed};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_hint_that_is_followed_makes_the_command_succeed", followed),
    on_the_host("a_hint_that_shows_more_can_be_run", shown),
    on_the_host("hints_about_a_repository_are_followed", of_repository),
];

/// A command that fails, words of its hint, and a command that makes it fail again.
const CASES: [(&str, &str, &str); 11] = [
    ("vm set web --memory 600M", "stop the VM first", "vm start web"),
    ("vm rename web other", "stop the VM first", "vm start web"),
    ("vm exec web true", "start the VM with", "vm stop web"),
    ("vm shell web", "start the VM with", "vm stop web"),
    ("vm ports web", "start the VM with", "vm stop web"),
    ("vm session list web", "start the VM with", "vm stop web"),
    ("vm prune", "confirm with", "vm create --no-start --name old"),
    (
        "system prune --vms",
        "confirm with",
        "vm create --no-start --name old",
    ),
    (
        "system prune --vms --all",
        "confirm with",
        "vm create --no-start --name old",
    ),
    ("vm delete web", "stop the VM with", "vm start web"),
    (
        "vm create --no-start --name web",
        "remove the existing VM",
        "vm create --name web",
    ),
];

fn home() -> Result<Home> {
    let home = Home::new(&[Image::Busybox])?;
    home.own_stores()?;
    home.prefer(Backend::Fake)?;
    Ok(home)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ')
}

fn followed(_: Backend) -> Result<()> {
    let home = home()?;
    for (fails, hint, before) in CASES {
        if home.vm("web").is_err() && !before.starts_with("vm create --name") {
            home.banger(["vm", "create", "--name", "web"])?.ok()?;
        }
        home.banger(words(before))?.ok()?;
        let refused = home.banger(words(fails))?.failed()?;
        // Some say what else can be done: the first command is the one to run.
        let step = home.follow(&refused, hint).with_context(|| fails.to_owned())?;
        step.ok().with_context(|| format!("the hint of `{fails}`"))?;
        // A confirmed command is what was wanted.
        if hint != "confirm with" {
            home.banger(words(fails))?.ok()?;
        }
    }
    home.end()
}

fn shown(_: Backend) -> Result<()> {
    let home = home()?;
    home.banger(["vm", "create", "--name", "web"])?.ok()?;
    for (fails, hint) in [
        ("vm show nope", "lists all VMs"),
        ("vm session logs web nope", "lists the sessions"),
        ("vm session attach web nope", "lists the sessions"),
        ("config show nope", "lists all keys"),
        ("trust show /tmp", "lists trusted repositories"),
        ("vm frobnicate", "lists the commands"),
    ] {
        let refused = home.banger(words(fails))?.failed()?;
        home.follow(&refused, hint)?.ok()?;
    }
    home.end()
}

fn of_repository(_: Backend) -> Result<()> {
    let home = home()?;
    let repository = committed(&[("a", "1\n")])?;
    let here = |line: &str| home.shell(repository.path(), line);
    home.banger(["vm", "create", "--name", "web"])?.ok()?;
    let refused = here("banger vm workspace pull web")?.failed()?;
    here(&refused.hint("create one with")?)?.ok()?;
    home.sh("web", "cd repo && echo 2 > a")?;
    // Its work is pulled, and nothing asks when it goes.
    here("banger vm workspace pull web")?.ok()?;
    here("banger vm delete web -f")?.ok()?;
    here("banger vm run -d --name one")?.ok()?;
    let second = here("banger vm run -d --name two")?.ok()?;
    here(&second.hint("already has this repository")?)?.ok()?;
    home.end()
}
