//! Command lines as users of Docker and Lima type them.

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, repository};

use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("a_command_needs_no_dashes", no_dashes),
    on_the_host("scripts_get_json", scripts_get_json),
    on_the_host("a_guest_has_the_time_zone_of_its_user", environment),
    on_the_host("the_configuration_is_changed_by_commands", configuration),
    on_the_host("short_forms_are_the_long_ones", short_forms),
    on_the_host("a_command_runs_where_one_stands", where_one_stands),
    on_the_host("a_word_that_is_no_command_gets_the_right_one", right_ones),
];

fn no_dashes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let text = |args: &[&str]| anyhow::Ok(home.banger(args)?.ok()?.text());
    ensure!(text(&["vm", "exec", "vm", "echo", "-n", "--", "-e", "a"])? == "-- -e a");
    ensure!(text(&["exec", "vm", "-e", "A=b", "sh", "-c", "echo $A"])? == "b");
    ensure!(
        text(&[
            "exec", "-e", "A=a", "-e", "A=b", "vm", "--", "sh", "-c", "echo $A"
        ])? == "b"
    );
    home.banger(["exec", "vm", "--no-such-option", "true"])?
        .exited(2)?
        .saying("unexpected argument \"--no-such-option\"")?;
    home.banger(["vm", "session", "start", "vm", "--nmae", "s", "true"])?
        .exited(2)?
        .saying("unexpected argument \"--nmae\"")?;
    home.banger([
        "vm", "session", "start", "vm", "--name", "s", "sh", "-c", "exit 3",
    ])?
    .ok()?;
    home.banger(["vm", "session", "wait", "vm", "s"])?.exited(3)?;
    home.end()
}

fn short_forms(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(Backend::Fake, Image::Busybox, "vm", &[])?;
    home.create(Backend::Fake, Image::Busybox, "other", &[])?;
    home.banger(["vm", "stop", "other"])?.ok()?;
    let text = |args: &[&str]| anyhow::Ok(home.banger(args)?.ok()?.text());
    ensure!(text(&["ps", "-q"])? == "vm");
    ensure!(text(&["ps", "-aq"])? == text(&["vm", "list", "-q"])?);
    std::fs::write(home.path().join("file"), "copied")?;
    let file = home.path().join("file");
    text(&["cp", &file.to_string_lossy(), "vm:/root/file"])?;
    let back = home.path().join("back");
    text(&["cp", "vm:/root/file", &back.to_string_lossy()])?;
    ensure!(std::fs::read_to_string(&back)? == "copied");
    ensure!(text(&["vm", "inspect", "vm", "--json"])? == text(&["vm", "show", "vm", "--json"])?);
    text(&["logs", "vm"])?;
    // Of options that exclude repetition, the last one counts.
    home.create(
        Backend::Fake,
        Image::Busybox,
        "large",
        &["--memory", "300M", "--memory", "400M"],
    )?;
    ensure!(home.vm("large")?.memory.as_mib() == 400);
    text(&["rm", "-f", "vm", "other", "large"])?;
    ensure!(text(&["ps", "-aq"])?.is_empty());
    home.end()
}

fn where_one_stands(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = repository(&[("src/deep/file", "x"), ("top", "y")])?;
    std::fs::create_dir(dir.path().join("empty"))?;
    let run = |below: &str, more: &[&str]| {
        let line = [
            "run", "--rm", "--vmm", "fake", "--image", "busybox", "--kernel", "debian",
        ];
        let mut command = home.command([&line, more].concat());
        command.current_dir(dir.path().join(below));
        anyhow::Ok(home.finish(command, Vec::new())?.ok()?.text())
    };
    let top = run("", &["pwd"])?;
    ensure!(top.ends_with("/root/repo"), "{top}");
    ensure!(run("src/deep", &["--", "cat", "file"])? == "x");
    ensure!(run("src/deep", &["-w", "src", "ls"])? == "deep");
    // A directory that git does not know is not in the guest.
    ensure!(run("empty", &["cat", "top"])? == "y");
    ensure!(run("", &["src", "ls"])? == "deep");
    ensure!(run("src", &["--entrypoint", "echo", "--", "ls", "-l"])? == "ls -l");
    home.end()
}

fn right_ones(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = repository(&[("file", "x")])?;
    let refused = |args: &[&str], hint: &str| {
        let mut command = home.command(args);
        command.current_dir(dir.path());
        home.finish(command, Vec::new())?.exited(2)?.saying(hint)
    };
    refused(&["run", "busybox"], "`banger vm run --image busybox`")?;
    refused(
        &["run", "alpine:3.20"],
        "`banger image pull alpine:3.20 --name alpine`",
    )?;
    refused(&["run", "alpine:3.20"], "goes after `--`")?;
    refused(&["top"], "`banger vm exec web top`")?;
    refused(&["start"], "`banger vm start`")?;
    refused(&["vm", "lsit"], "did you mean `list`?")?;
    ensure!(home.banger(["vm", "list", "-q"])?.ok()?.text().is_empty());
    home.end()
}

/// Results on standard output and errors on standard error are JSON, and nothing else is printed.
fn scripts_get_json(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(Backend::Fake, Image::Busybox, "vm", &[])?;
    let result = |line: &str| -> Result<serde_json::Value> {
        let done = home.banger(line.split(' '))?.ok()?;
        serde_json::from_str(&done.text()).with_context(|| format!("{line}: {}", done.text()))
    };
    let phase = |done: &serde_json::Value| done[0]["phase"].as_str().map(str::to_owned);
    ensure!(phase(&result("vm stop vm --json")?).as_deref() == Some("stopped"));
    let set = result("vm set vm --label a=b --json")?;
    ensure!(set["labels"]["a"] == "b", "{set}");
    ensure!(phase(&result("vm start vm --json")?).as_deref() == Some("running"));
    ensure!(phase(&result("vm restart vm --json")?).as_deref() == Some("running"));
    ensure!(phase(&result("vm kill vm --json")?).as_deref() == Some("stopped"));
    ensure!(result("vm prune --dry-run --json")?["names"] == serde_json::json!(["vm"]));
    ensure!(result("image default --json")?["name"] == "busybox");
    ensure!(result("image history busybox --json")?.is_array());
    let created = result("vm show vm --json")?["created"].clone();
    let created = created.as_str().unwrap_or_default();
    ensure!(created.len() == "2026-11-30T14:05:09Z".len(), "{created}");

    let failures = [
        ("vm start nope --json", 3, "not_found"),
        ("vm stop nope --json", 3, "not_found"),
        ("vm kill nope --json", 3, "not_found"),
        ("vm restart nope --json", 3, "not_found"),
        ("vm delete nope --json", 3, "not_found"),
        ("vm show nope --json", 3, "not_found"),
        ("vm set nope --label a=b --json", 3, "not_found"),
        ("vm create --name vm --json", 4, "already_exists"),
        ("vm ports nope --json", 3, "not_found"),
        ("vm forward rm nope --all --json", 3, "not_found"),
        ("vm session stop nope a --json", 3, "not_found"),
        ("vm session list nope --json", 3, "not_found"),
        ("vm workspace diff nope --json", 3, "not_found"),
        ("vm egress nope --json", 3, "not_found"),
        ("vm commit nope --name a --json", 3, "not_found"),
        ("vm prune --json", 1, "invalid_request"),
        ("image delete nope --json", 3, "not_found"),
        ("image diff nope --json", 3, "not_found"),
        ("image tag nope new --json", 3, "not_found"),
        ("kernel rm nope --json", 3, "not_found"),
        ("kernel default nope --json", 3, "not_found"),
        ("image catalog rm nope --json", 3, "not_found"),
        ("vm delete vm --no-such-option --json", 2, "invalid_request"),
        ("vm frobnicate --json", 2, "invalid_request"),
        ("vm delete --json", 2, "invalid_request"),
    ];
    for (line, code, kind) in failures {
        let failed = home.banger(line.split(' '))?.exited(code)?;
        let error: serde_json::Value =
            serde_json::from_str(&failed.stderr).with_context(|| format!("{line}: {}", &failed.stderr))?;
        ensure!(error["code"] == kind, "{line}: {error}");
        ensure!(
            error["message"].as_str().is_some_and(|text| !text.is_empty()),
            "{line}: {error}"
        );
    }
    // One of two fails: the result has the other.
    let both = home.banger(["vm", "delete", "vm", "nope", "--json"])?.exited(1)?;
    let gone: serde_json::Value = serde_json::from_str(&both.text())?;
    ensure!(
        gone[0]["name"] == "vm" && gone.as_array().map(Vec::len) == Some(1),
        "{gone}"
    );
    home.end()
}

/// Of the user's environment, a command has the time zone; proxies where the configuration says so; and nothing else.
fn environment(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(
        Backend::Fake,
        Image::Busybox,
        "vm",
        &["--env", "no_proxy=of-the-vm"],
    )?;
    let variables = || -> Result<Vec<String>> {
        let mut command = home.command(["exec", "vm", "env"]);
        command.envs([
            ("TZ", "Europe/Berlin"),
            ("COLORTERM", "truecolor"),
            ("https_proxy", "http://proxy.example:3128"),
            ("no_proxy", "of-the-user"),
            ("SECRET_OF_THE_USER", "x"),
        ]);
        let text = home.finish(command, Vec::new())?.ok()?.text();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let of_every_guest = [
            "HOME=", "LANG=", "LOGNAME=", "PATH=", "PWD=", "SHELL=", "USER=", "SHLVL=",
        ];
        lines.retain(|line| !of_every_guest.iter().any(|name| line.starts_with(name)));
        lines.sort();
        Ok(lines)
    };
    let without = variables()?;
    ensure!(
        without == ["TZ=Europe/Berlin", "no_proxy=of-the-vm"],
        "{without:?}"
    );
    let config = home.path().join("config");
    std::fs::create_dir_all(&config)?;
    std::fs::write(config.join("config.toml"), "guest_proxy = true\n")?;
    let with = variables()?;
    ensure!(
        with == [
            "TZ=Europe/Berlin",
            "https_proxy=http://proxy.example:3128",
            "no_proxy=of-the-vm"
        ],
        "{with:?}"
    );
    home.end()
}

/// `config` shows what holds and why, changes the file, and names the line of a mistake that somebody else made.
fn configuration(_: Backend) -> Result<()> {
    let home = Home::new(&[])?;
    let file = home.path().join("config/config.toml");
    home.banger(["config", "check"])?.ok()?;
    home.banger(["config", "set", "vm_defaults.memory", "512M"])?
        .ok()?;
    home.banger(["config", "set", "vmm", "fake"])?.ok()?;
    let text = std::fs::read_to_string(&file)?;
    ensure!(
        text == "vmm = \"fake\"\n[vm_defaults]\nmemory = \"512M\"\n",
        "{text}"
    );
    home.banger(["config", "set", "vmm", "vbox"])?
        .exited(1)?
        .saying("error: failed to set vmm to \"vbox\"")?;
    home.banger(["config", "set", "default_nte", "nat"])?
        .exited(1)?
        .saying("hint: did you mean `default_net`?")?;
    ensure!(std::fs::read_to_string(&file)? == text);

    let mut command = home.command(["config", "show", "--json"]);
    command.env("BANGER_QEMU", "/opt/qemu");
    let shown: serde_json::Value = serde_json::from_slice(&home.finish(command, Vec::new())?.ok()?.stdout)?;
    let source = |key: &str| {
        let entries = shown.as_array().into_iter().flatten();
        let mut entries = entries.filter(|entry| entry["key"] == key);
        entries
            .next()
            .map(|entry| entry["source"].clone())
            .unwrap_or_default()
    };
    ensure!(
        source("vmm") == "config.toml" && source("vm_defaults.memory") == "config.toml",
        "{shown}"
    );
    ensure!(
        source("qemu_bin") == "environment" && source("subnet") == "default",
        "{shown}"
    );
    home.banger(["config", "show", "nope"])?.exited(3)?;

    std::fs::write(&file, "# one\nvmm = \"fake\"\nmemory = 4\n")?;
    home.banger(["config", "check"])?
        .exited(1)?
        .saying("config.toml:3")?;
    home.banger(["config", "unset", "memory"])?.ok()?;
    home.banger(["config", "check"])?.ok()?;
    home.end()
}
