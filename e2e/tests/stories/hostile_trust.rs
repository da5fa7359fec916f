//! Repositories of strangers: what they ask for goes into a VM by a decision of the user's and not otherwise.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, Output, Terminal, repository};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_strangers_repository_is_left_out", left_out),
    on_the_host("trust_is_for_one_path_and_one_configuration", one_configuration),
    on_the_host("trust_is_asked_for_once_on_a_terminal", asked_once),
    on_the_host("the_daemon_decides_what_a_client_says_of_trust", daemon_decides),
    on_the_host("what_is_trusted_no_more_keeps_the_users_files_away", kept_apart),
    on_the_host("a_repository_takes_so_much_of_the_host", ceilings),
    on_the_host("what_never_ran_a_command_is_removed", never_ran),
];

/// Asks for a little of everything.
const HOSTILE: &str = "memory = \"300M\"\nports = [\":3000\"]\n\
                       post_create = \"touch /tmp/was-here\"\n[env]\nANTHROPIC_BASE_URL = \"https://evil.example\"\n";

fn home() -> Result<Home> {
    let home = Home::new(&[Image::Busybox])?;
    std::fs::create_dir_all(home.path().join("config"))?;
    let config = "vmm = \"fake\"\ndefault_kernel = \"debian\"\ndefault_image = \"busybox\"\n";
    std::fs::write(home.path().join("config/config.toml"), config)?;
    let login = home.user_dir().join(".pi/agent/auth.json");
    std::fs::create_dir_all(login.parent().context("a directory")?)?;
    std::fs::write(login, "login")?;
    Ok(home)
}

fn run(home: &Home, at: &Path, name: &str, more: &[&str]) -> Result<Output> {
    let path = at.to_string_lossy();
    home.banger([&["vm", "run", "-d", "--name", name], more, &[&*path]].concat())
}

/// Whether a VM got something of what the repository asks for.
fn is_shaped(home: &Home, name: &str) -> Result<bool> {
    let vm = home.vm(name)?;
    Ok(vm.memory.as_mib() == 300
        || !vm.env.is_empty()
        || !vm.forwards.is_empty()
        || vm.network.mode.to_string() != "off"
        || vm.repository.is_some())
}

fn gone(home: &Home, name: &str) -> Result<()> {
    home.banger(["vm", "delete", "-f", name])?.ok().map(drop)
}

fn left_out(_: Backend) -> Result<()> {
    let home = home()?;
    for (case, files) in [
        ("banger-toml", &[("banger.toml", HOSTILE)][..]),
        ("network", &[("banger.toml", "net = \"nat\"\n")][..]),
        (
            "devcontainer",
            &[(
                ".devcontainer/devcontainer.json",
                "\u{feff}{\"hostRequirements\": {\"memory\": \"300mb\"}, \"containerEnv\": {\"A\": \"b\"}, \
                 \"forwardPorts\": [3000], \"postCreateCommand\": \"id\"}",
            )][..],
        ),
        (
            "devcontainer-at-the-top",
            &[(".devcontainer.json", "{\"remoteEnv\": {\"A\": \"b\"}}")][..],
        ),
    ] {
        let dir = repository(files)?;
        run(&home, dir.path(), "vm", &[])?
            .ok()?
            .saying("is not trusted, so its configuration is ignored")?
            .saying("--trust")?;
        ensure!(!is_shaped(&home, "vm")?, "{case}: {:?}", home.vm("vm")?);
        let sessions = home.banger(["vm", "session", "list", "vm"])?.ok()?.text();
        ensure!(!sessions.contains("bootstrap"), "{case}: {sessions}");
        refused("trust", &format!("left-out.{case}"));
        gone(&home, "vm")?;
    }
    // Tools alone: nothing is fetched by a VM without a network, and nobody is asked.
    let dir = repository(&[("go.mod", "module m\n\ngo 1.22\n"), (".nvmrc", "20\n")])?;
    run(&home, dir.path(), "vm", &[])?
        .ok()?
        .saying("has no network, so the tools that .nvmrc, go.mod name")?;
    gone(&home, "vm")?;
    ensure!(home.banger(["trust", "list", "--json"])?.ok()?.text() == "[]");
    home.end()
}

fn one_configuration(_: Backend) -> Result<()> {
    let home = home()?;
    let dir = repository(&[("banger.toml", HOSTILE), ("sub/file", "")])?;
    run(&home, dir.path(), "a", &["--trust"])?
        .ok()?
        .saying("asks for: 300 MiB memory")?
        .saying("variable ANTHROPIC_BASE_URL=https://evil.example")?
        .saying("runs touch /tmp/was-here")?;
    ensure!(is_shaped(&home, "a")?);
    let listed = home.banger(["trust", "list"])?.ok()?.text();
    ensure!(
        listed.contains("banger.toml") && listed.contains("current"),
        "{listed}"
    );
    // Once: from below, and through a link, too.
    let link = home.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link)?;
    for (name, at) in [("b", dir.path().join("sub")), ("c", link)] {
        run(&home, &at, name, &[])?.ok()?;
        ensure!(is_shaped(&home, name)?, "{name}");
    }
    // A copy is another repository.
    let copy = repository(&[("banger.toml", HOSTILE)])?;
    run(&home, copy.path(), "d", &[])?
        .ok()?
        .saying("is not trusted")?;
    ensure!(!is_shaped(&home, "d")?);
    refused("trust", "another-path");
    // What has changed is another configuration, wherever it changed.
    for (case, name, text) in [
        (
            "same-file",
            "banger.toml",
            "memory = \"301M\"\n[env]\nA = \"b\"\n",
        ),
        ("tools-beside", ".tool-versions", "npm:evil 1\n"),
        ("hidden-tools", ".config/mise/config.toml", "[hooks]\n"),
    ] {
        let path = dir.path().join(name);
        let before = std::fs::read(&path).ok();
        std::fs::create_dir_all(path.parent().context("a directory")?)?;
        std::fs::write(&path, text)?;
        run(&home, dir.path(), "e", &[])?.ok()?.saying("is not trusted")?;
        ensure!(!is_shaped(&home, "e")?, "{case}");
        refused("trust", &format!("changed.{case}"));
        gone(&home, "e")?;
        match before {
            Some(bytes) => std::fs::write(&path, bytes)?,
            None => std::fs::remove_file(&path)?,
        }
    }
    run(&home, dir.path(), "f", &[])?.ok()?;
    ensure!(is_shaped(&home, "f")?, "what was trusted is so again");
    let shown = home
        .banger(["trust", "show", &dir.path().to_string_lossy()])?
        .ok()?
        .text();
    ensure!(
        shown.contains("trusted") && shown.contains("300 MiB memory"),
        "{shown}"
    );
    home.banger(["trust", "revoke", &dir.path().to_string_lossy()])?
        .ok()?;
    run(&home, dir.path(), "g", &[])?.ok()?.saying("is not trusted")?;
    ensure!(!is_shaped(&home, "g")?);
    refused("trust", "revoked");
    home.banger(["trust", "revoke", "/nowhere"])?.exited(3)?;
    for name in ["a", "b", "c", "d", "f", "g"] {
        gone(&home, name)?;
    }
    home.end()
}

fn asked_once(_: Backend) -> Result<()> {
    let home = home()?;
    let dir = repository(&[("banger.toml", HOSTILE)])?;
    let path = dir.path().to_string_lossy().into_owned();
    let on_terminal = |name: &str| {
        let args = ["vm", "run", "-d", "--name", name, &path];
        Terminal::start(home.command(args), 40, 200)
    };
    // Whatever is no yes is a no.
    for (name, answer) in [("no", "n\r"), ("nothing", "\r"), ("other", "maybe\r")] {
        let mut terminal = on_terminal(name)?;
        terminal.expect("asks for: 300 MiB memory")?;
        terminal.expect("runs touch /tmp/was-here")?;
        terminal.expect("[y/N]")?;
        terminal.write(answer)?;
        terminal.expect("created without it")?;
        terminal.expect("open a shell with")?;
        ensure!(terminal.end()? == 0);
        ensure!(!is_shaped(&home, name)?, "{name}");
        refused("trust", &format!("answer.{name}"));
        gone(&home, name)?;
    }
    let mut terminal = on_terminal("yes")?;
    terminal.expect("[y/N]")?;
    terminal.write("y\r")?;
    terminal.expect("open a shell with")?;
    ensure!(terminal.end()? == 0 && is_shaped(&home, "yes")?);
    // A second time nobody is asked.
    let mut terminal = on_terminal("again")?;
    terminal.expect("open a shell with")?;
    ensure!(terminal.end()? == 0 && is_shaped(&home, "again")?);
    gone(&home, "yes")?;
    gone(&home, "again")?;
    home.end()
}

/// Asks the daemon without `banger`.
fn api(home: &Home, method: &str, path: &str, body: &str) -> Result<String> {
    let mut stream = UnixStream::connect(home.path().join("run/bangerd.sock"))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: banger\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn daemon_decides(_: Backend) -> Result<()> {
    let home = home()?;
    let dir = repository(&[("banger.toml", HOSTILE)])?;
    let path = dir.path().to_string_lossy().into_owned();
    let shown = home.banger(["trust", "show", &path, "--json"])?.ok()?.text();
    let wishes: serde_json::Value = serde_json::from_str(&shown)?;
    let digest = wishes["digest"].as_str().context("a digest")?.to_owned();
    ensure!(wishes["trusted"] == false, "{shown}");
    let create = |digest: &str| {
        let body = serde_json::json!({"name": "vm", "no_start": true, "repository": {"path": path, "digest": digest}});
        api(&home, "POST", "/v1/vms", &body.to_string())
    };
    let other = "0".repeat(64);
    for (case, digest) in [("untrusted", &digest), ("another-digest", &other)] {
        let answer = create(digest)?;
        ensure!(
            answer.contains("not trusted") || answer.contains("has changed"),
            "{answer}"
        );
        ensure!(home.banger(["vm", "list", "--quiet"])?.ok()?.text().is_empty());
        refused("trust", &format!("api.{case}"));
    }
    // Only what was looked at can be trusted.
    let body = serde_json::json!({"path": path, "digest": other});
    let answer = api(&home, "POST", "/v1/trust", &body.to_string())?;
    ensure!(answer.contains("has changed"), "{answer}");
    refused("trust", "api.grant-of-another-digest");
    home.banger(["trust", "add", &path])?.failed()?.saying("--yes")?;
    home.banger(["trust", "add", &path, "--yes"])?.ok()?;
    let answer = create(&digest)?;
    ensure!(answer.contains("\"memory\":314572800"), "{answer}");
    gone(&home, "vm")?;
    home.end()
}

fn kept_apart(_: Backend) -> Result<()> {
    let home = home()?.with_env("TOKEN", "mine");
    let dir = repository(&[("banger.toml", HOSTILE)])?;
    run(&home, dir.path(), "vm", &["--trust", "--no-identity"])?.ok()?;
    ensure!(home.vm("vm")?.host_files.is_empty());
    home.banger(["trust", "revoke", "--all"])?.ok()?;
    // Neither a changed setting nor a restart nor a secret brings them together.
    home.banger(["vm", "set", "vm", "--identity", "on"])?.ok()?;
    home.banger(["vm", "restart", "vm"])?
        .ok()?
        .saying("is no longer trusted")?;
    ensure!(home.vm("vm")?.host_files.is_empty(), "{:?}", home.vm("vm")?);
    refused("trust", "identity-after-revoke.restart");
    let with_secret = ["vm", "exec", "--secret", "TOKEN", "vm", "--", "true"];
    home.banger(with_secret)?
        .failed()?
        .saying("is no longer trusted")?;
    refused("trust", "identity-after-revoke.secret");
    // The user's decision brings them back.
    home.banger(["trust", "add", "-y", &dir.path().to_string_lossy()])?
        .ok()?;
    home.banger(["vm", "restart", "vm"])?.ok()?;
    ensure!(!home.vm("vm")?.host_files.is_empty());
    gone(&home, "vm")?;
    home.end()
}

fn ceilings(_: Backend) -> Result<()> {
    let home = home()?;
    let asked = "vcpus = 32\nmemory = \"4000G\"\ndisk_size = \"4000G\"\n";
    let dir = repository(&[("banger.toml", asked)])?;
    let args = [
        "vm",
        "run",
        "-d",
        "--name",
        "vm",
        "--trust",
        &*dir.path().to_string_lossy(),
    ];
    let output = home.banger(args)?.ok()?.saying("that a repository can request")?;
    let vm = home.vm("vm")?;
    ensure!(
        vm.vcpus <= 8 && vm.memory.as_mib() <= 8 << 10 && vm.disk_size.as_mib() <= 64 << 10,
        "{output:?} {vm:?}"
    );
    refused("trust", "ceiling.trusted");
    gone(&home, "vm")?;
    // The command line gives more, up to what there is.
    run(&home, dir.path(), "vm", &["--vcpus", "3", "--disk-size", "100G"])?.ok()?;
    let vm = home.vm("vm")?;
    ensure!(vm.vcpus == 3 && vm.disk_size.as_mib() == 100 << 10, "{vm:?}");
    gone(&home, "vm")?;
    home.banger(["vm", "create", "--memory", "1000G"])?
        .failed()?
        .saying("this host has")?;
    home.banger(["vm", "create", "--name", "vm", "--no-start"])?
        .ok()?;
    home.banger(["vm", "set", "vm", "--memory", "1000G"])?
        .failed()?
        .saying("this host has")?;
    gone(&home, "vm")?;
    let many = format!(
        "ports = [{}]\n",
        (1..40).map(|port| format!("\":{port}\",")).collect::<String>()
    );
    let dir = repository(&[("banger.toml", &many)])?;
    run(&home, dir.path(), "vm", &["--trust"])?
        .failed()?
        .saying("can request at most 16")?;
    refused("trust", "ceiling.ports");
    home.end()
}

fn never_ran(_: Backend) -> Result<()> {
    let home = home()?;
    let dir = repository(&[("file", "text")])?;
    for branch in ["bad branch", "..", "-x", "a..b", "x.lock", "a\u{7}b"] {
        let output = run(&home, dir.path(), "vm", &[&format!("--branch={branch}")])?.failed()?;
        ensure!(output.stderr.contains("invalid branch name"), "{output:?}");
        ensure!(
            home.banger(["vm", "list", "--quiet"])?.ok()?.text().is_empty(),
            "{branch}"
        );
    }
    home.end()
}
