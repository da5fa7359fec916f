//! What VMs reached and were refused: what is printed of it, and what is learnt.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use banger_api::{FlowVerdict, VmFlow};
use banger_e2e::{Backend, Home, Image, Internet, SITES};

use crate::networks::{asks, home, reaches};
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("what_a_vm_reached_and_was_refused_is_told", told).by_root(),
    in_guests("what_a_vm_learnt_to_need_is_enough", learnt).by_root(),
];

/// Waits for a flow, as `vm egress --follow` tells of it.
pub(crate) fn until(home: &Home, vm: &str, is_it: impl Fn(&VmFlow) -> bool) -> Result<VmFlow> {
    let args = ["vm", "egress", vm, "--follow", "--json"];
    let mut following = home.command(args).spawn()?;
    let lines = BufReader::new(following.stdout.take().context("its output")?).lines();
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut seen = Vec::new();
    let found = loop {
        let Ok(line) = told.recv_timeout(Duration::from_secs(30)) else {
            break Err(anyhow!("no such flow among {seen:#?}"));
        };
        match serde_json::from_str(&line) {
            Ok(flow) if is_it(&flow) => break Ok(flow),
            _ => seen.push(line),
        }
    };
    following.kill()?;
    following.wait()?;
    found
}

/// What decided on a flow, as the API has it.
fn why(flow: &VmFlow) -> String {
    let why = serde_json::to_value(flow.why).unwrap_or_default();
    why.as_str().unwrap_or_default().to_owned()
}

/// The rules that a VM was found to need.
fn rules(home: &Home, vm: &str) -> Result<Vec<String>> {
    let learned = home.banger(["vm", "egress", vm, "--learned", "--json"])?.ok()?;
    Ok(serde_json::from_slice(&learned.stdout)?)
}

/// A home whose VMs ask a resolver that has one address for all names.
pub(crate) fn home_with_names(internet: &Internet) -> Result<Home> {
    internet.resolve_to(SITES[1])?;
    let home = home(internet)?;
    std::fs::create_dir_all(home.path().join("config"))?;
    std::fs::write(
        home.path().join("config/config.toml"),
        "default_dns = [\"198.51.100.2\"]\n",
    )?;
    Ok(home)
}

pub(crate) fn told(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let home = home_with_names(&internet)?;
    let rule = "*.example.org:80";
    home.create(
        backend,
        Image::Busybox,
        "web",
        &["--net", "allow", "--allow", rule],
    )?;
    asks(&home, "web", "www.example.org")?;
    ensure!(reaches(&home, "web", SITES[1])? && !reaches(&home, "web", SITES[0])?);
    let refused = until(&home, "web", |flow| flow.target == SITES[0])?;
    ensure!(refused.verdict == FlowVerdict::Denied && why(&refused) == "unlisted");
    ensure!(
        refused.allow == Some(format!("{}:80", SITES[0]).parse()?),
        "{refused:?}"
    );
    let reached = until(&home, "web", |flow| flow.target == "www.example.org")?;
    ensure!(reached.verdict == FlowVerdict::Allowed && reached.port == Some(80));
    ensure!(reached.rule == Some(rule.parse()?), "{reached:?}");
    // A name that is not told is refused, too, and what is denied has a way to be allowed.
    asks(&home, "web", "www.example.com")?;
    until(&home, "web", |flow| {
        flow.target == "www.example.com" && flow.protocol == "dns"
    })?;
    let shown = home
        .banger(["vm", "egress", "web", "--denied"])?
        .ok()?
        .saying("banger vm set web --allow '*.example.org:80' --allow www.example.com")?
        .text();
    ensure!(
        shown.contains(SITES[0]) && !shown.contains("www.example.org"),
        "{shown}"
    );
    // A new daemon tells of what comes, and goes on with a new helper. What comes in between nobody tells of.
    let site = SITES[0];
    let line = format!("while sleep 1; do nc -w 1 {site} 80; done </dev/null >/dev/null 2>&1 &");
    home.sh("web", &line)?;
    home.kill_daemon()?;
    home.banger(["vm", "list"])?.ok()?;
    let before = until(&home, "web", |flow| flow.target == site)?;
    internet.kill_helper()?;
    home.banger(["vm", "set", "web", "--allow", rule, "--allow", "host:1"])?
        .ok()?;
    until(&home, "web", |flow| {
        flow.target == site && flow.count > before.count
    })?;
    home.banger(["vm", "delete", "-f", "web"])?.ok()?;
    home.banger(["vm", "egress", "web"])?.exited(3)?;
    home.end()
}

fn learnt(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let home = home_with_names(&internet)?;
    home.create(backend, Image::Busybox, "web", &["--net", "learn"])?;
    home.banger(["vm", "egress", "web", "--learned"])?
        .ok()?
        .saying("has reached nothing yet")?;
    asks(&home, "web", "www.example.org")?;
    ensure!(reaches(&home, "web", SITES[1])?);
    until(&home, "web", |flow| flow.target == "www.example.org")?;
    // It outlives the daemon.
    home.kill_daemon()?;
    let learned = home.banger(["vm", "egress", "web", "--learned"])?.ok()?.text();
    ensure!(
        learned == "banger vm set web --net allow --allow www.example.org:80",
        "{learned}"
    );
    home.banger(learned.split_whitespace().skip(1))?.ok()?;
    ensure!(
        !reaches(&home, "web", SITES[0])?,
        "what it did not need is reached"
    );
    asks(&home, "web", "www.example.org")?;
    ensure!(reaches(&home, "web", SITES[1])?, "what it needs is not reached");
    // What it reaches otherwise is no news; learning again is.
    until(&home, "web", |flow| why(flow) == "answer")?;
    ensure!(rules(&home, "web")? == ["www.example.org:80"]);
    home.banger(["vm", "set", "web", "--net", "learn"])?.ok()?;
    ensure!(rules(&home, "web")?.is_empty());
    ensure!(reaches(&home, "web", SITES[0])?);
    until(&home, "web", |flow| why(flow) == "learn")?;
    ensure!(rules(&home, "web")? == [format!("{}:80", SITES[0])]);
    home.banger(["vm", "delete", "-f", "web"])?.ok()?;
    home.end()
}
