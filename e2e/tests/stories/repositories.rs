//! VMs shaped by what a repository asks for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, OciImage, Output, Registry, repository};

use crate::pulled_guests::busybox_layer;
use crate::{Scenario, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_repository_shapes_its_vm", shaped),
    on_the_host("a_repository_opens_nothing_of_the_host", opens_nothing),
    on_the_host("a_repositorys_image_is_pulled_once", pulled_once),
    on_the_host("any_client_runs_a_repository", any_client),
    on_the_host("any_client_asks_for_trust_and_waits", asked_by_any_client),
    in_guests("a_checkout_is_prepared", prepared),
];

/// Runs `vm run` beside a repository.
fn run(home: &Home, repository: &Path, more: &[&str]) -> Result<Output> {
    let mut args = vec!["vm", "run", "--vmm", "fake"];
    if !more.contains(&"--no-repo-config") {
        args.push("--trust");
    }
    args.extend(more);
    let path = repository.to_string_lossy();
    let at = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
    args.insert(at, &path);
    home.banger(args)
}

fn shaped(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let own = "image = \"busybox\"\nkernel = \"debian\"\nvcpus = 1\nmemory = \"300M\"\nports = [\":3000\"]\n\
               [env]\nGREETING = \"hello\"\nMINE = \"theirs\"\n";
    let dir = repository(&[
        ("banger.toml", own),
        (".devcontainer.json", "{\"image\": \"not-this-one\"}"),
    ])?;
    run(&home, dir.path(), &["--name", "vm", "-d", "--env", "MINE=mine"])?
        .ok()?
        .saying("banger.toml asks for: image busybox")?
        .saying("300 MiB memory")?;
    let vm = home.vm("vm")?;
    ensure!(
        vm.memory.as_mib() == 300 && vm.image.as_str() == "busybox",
        "{vm:?}"
    );
    ensure!(home.sh("vm", "echo $GREETING $MINE")? == "hello mine");
    let forwards = home.banger(["vm", "forward", "list", "vm"])?.ok()?.text();
    ensure!(forwards.contains(":3000"), "{forwards}");
    // Without it, it is any VM.
    let plain = ["--name", "plain", "-d", "--no-repo-config", "--image", "busybox"];
    run(&home, dir.path(), &[&plain[..], &["--kernel", "debian"]].concat())?.ok()?;
    ensure!(home.vm("plain")?.memory.as_mib() != 300);
    // An editor's file, where there is no other.
    std::fs::remove_file(dir.path().join("banger.toml"))?;
    let container = "{\"image\": \"busybox\", // the one here\n\
                     \"hostRequirements\": {\"memory\": \"400mb\"}, \"features\": {}, \"remoteEnv\": {\"A\": \"b\"},}";
    std::fs::write(dir.path().join(".devcontainer.json"), container)?;
    run(
        &home,
        dir.path(),
        &["--rm", "--kernel", "debian", "--", "sh", "-c", "echo $A"],
    )?
    .ok()?
    .saying("400 MiB memory")?
    .saying("`features` is ignored")?;
    // A key that does not exist.
    std::fs::write(dir.path().join("banger.toml"), "memry = \"1G\"\n")?;
    run(&home, dir.path(), &["-d"])?
        .failed()?
        .saying("did you mean `memory`?")?
        .saying("--no-repo-config")?;
    home.end()
}

fn opens_nothing(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    for (asked, said) in [
        ("allow = [\"host:22\"]", "a repository cannot allow `host:22`"),
        ("allow = [\"vm:other\"]", "vm:other"),
        ("allow = [\"192.168.0.0/16\"]", "192.168.0.0/16"),
        ("allow = [\"@internal\"]", "@internal"),
        ("ports = [\"0.0.0.0:8080:80\"]", "beyond loopback"),
        ("image = \"oci:/etc\"", "invalid image reference"),
    ] {
        let dir = repository(&[("banger.toml", asked)])?;
        run(&home, dir.path(), &["-d"])?.exited(125)?.saying(said)?;
    }
    ensure!(home.banger(["vm", "list", "--quiet"])?.ok()?.text().is_empty());
    home.end()
}

fn pulled_once(_: Backend) -> Result<()> {
    let registry = Registry::open()?;
    registry.push(&OciImage::new(&[busybox_layer()?], &[])?, "tools")?;
    let home = Home::new(&[Image::Busybox])?.with_env("NO_PROXY", "127.0.0.1");
    let dir = repository(&[(
        "banger.toml",
        &format!("image = \"{}\"\n", registry.reference("tools")),
    )])?;
    let run = || run(&home, dir.path(), &["--rm", "--kernel", "debian", "--", "true"]);
    run()?.ok()?.saying("pulling")?;
    let before = registry.requests()?.len();
    let again = run()?.ok()?;
    ensure!(
        !again.stderr.contains("pulling") && registry.requests()?.len() == before,
        "{again:?}"
    );
    // Another image that would have the same name here is not taken for it.
    home.banger(["image", "rm", "tools"])?.ok()?;
    home.banger(["image", "tag", "busybox", "tools"])?.ok()?;
    run()?
        .exited(125)?
        .saying("is a different image")?
        .saying("`--image tools`")?
        .saying("--name tools-2")?;
    home.banger(["image", "rm", "tools"])?.ok()?;
    home.end()
}

/// Stands for mise: writes down how it was called, and finds a tool.
const MISE: &str =
    "printf '#!/bin/sh\\necho mise \"$@\" in \"$PWD\" >> /root/calls\\n' > /bin/mise && chmod 755 /bin/mise";

fn prepared(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.prefer(backend)?;
    let image = format!("with-mise-{}", backend.name());
    let build = [
        "image",
        "build",
        "--force",
        "--name",
        &image,
        "--from-image",
        "busybox",
        "--script",
        "-",
    ];
    home.banger_with(build, MISE.into())?.ok()?;
    let own = "post_create = [\"cat /root/calls > made\", \"echo done by $0\"]\n";
    let dir = repository(&[
        ("banger.toml", own),
        (".nvmrc", "20\n"),
        ("go.mod", "module m\n\ngo 1.22.3\n"),
    ])?;
    let path = dir.path().to_string_lossy().into_owned();
    let run = |more: &[&str], command: &[&str]| {
        let args = [
            &["vm", "run", "--trust", "--image", &image],
            more,
            &[&path],
            command,
        ]
        .concat();
        home.banger(args)
    };
    // A command comes after it.
    let output = run(&["--name", "vm"], &["--", "cat", "made"])?.ok()?;
    ensure!(
        output.text() == "mise install in /root/repo\nmise use --global go@1.22.3 in /root/repo",
        "{output:?}"
    );
    let log = home.banger(["vm", "logs", "--bootstrap", "vm"])?.ok()?.text();
    ensure!(
        log.contains("bootstrap: .nvmrc, go.mod") && log.ends_with("done by /bin/sh"),
        "{log}"
    );
    // One that fails is told, and the command runs.
    std::fs::write(
        dir.path().join("banger.toml"),
        "post_create = \"echo no luck; exit 9\"\n",
    )?;
    let output = run(&["--name", "failing"], &["--", "echo", "on"])?.ok()?;
    ensure!(
        output.text() == "on" && output.stderr.contains("failed with exit code 9"),
        "{output:?}"
    );
    let log = home
        .banger(["vm", "logs", "--bootstrap", "failing"])?
        .ok()?
        .text();
    ensure!(log.ends_with("no luck"), "{log}");
    let output = run(&["--rm", "--no-bootstrap"], &["--", "ls", "-A"])?.ok()?;
    ensure!(!output.text().contains("made"), "{output:?}");
    home.banger(["vm", "delete", "-f", "vm", "failing"])?.ok()?;
    home.banger(["image", "rm", &image])?.ok()?;
    home.end()
}

/// A client that knows nothing of the order, and removes nothing.
fn any_client(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = repository(&[("Makefile", "all:\n")])?;
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/run_vm.py");
    home.banger(["vm", "list"])?.ok()?;
    let run = |path: &Path, to: &str| -> Result<(String, serde_json::Value)> {
        let vm = serde_json::json!({
            "name": "web", "image": "busybox", "kernel": "debian", "vmm": backend.name(), "memory": 512_u64 << 20,
        });
        let mut python = Command::new("python3");
        python
            .arg(&client)
            .arg(home.path().join("run/bangerd.sock"))
            .arg(path)
            .args([to, &vm.to_string()]);
        let ran = python.output()?;
        let printed = String::from_utf8(ran.stdout)?;
        let (status, answer) = printed
            .split_once('\n')
            .with_context(|| format!("it printed {printed:?}: {}", String::from_utf8_lossy(&ran.stderr)))?;
        Ok((status.to_owned(), serde_json::from_str(answer)?))
    };
    // Refused before anything is made, and when the guest already runs.
    let nowhere = tempfile::tempdir()?;
    for (path, to, message) in [
        (nowhere.path(), "/root/repo", "is not in a git repository"),
        (dir.path(), "/", "/"),
    ] {
        let (status, answer) = run(path, to)?;
        let said = answer["message"].as_str().unwrap_or_default();
        ensure!(
            status.starts_with('4') && said.contains(message),
            "{status} {answer}"
        );
        ensure!(home.vm("web").is_err(), "it is there after {answer}");
    }
    let (status, answer) = run(dir.path(), "/root/repo")?;
    ensure!(
        status == "200" && answer["workspace"]["files"] == 1,
        "{status} {answer}"
    );
    let vm = home.vm("web")?;
    ensure!(vm.secrets == ["TOKEN"] && !vm.removes_on_exit, "{vm:?}");
    ensure!(vm.labels["banger.workspace"] == "/root/repo", "{vm:?}");
    home.end()
}

/// A client that knows neither when to ask nor what a preparation is.
fn asked_by_any_client(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let asked = "image = \"busybox\"\npost_create = \"exit 3\"\n[env]\nOF = \"repository\"\n";
    let dir = repository(&[("banger.toml", asked)])?;
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/trusted_vm.py");
    home.banger(["vm", "list"])?.ok()?;
    let run = |name: &str, image: Option<&str>, answer: &str| -> Result<serde_json::Value> {
        let vm = serde_json::json!({
            "name": name, "image": image, "kernel": "debian", "vmm": backend.name(), "memory": 512_u64 << 20, "net": "off",
        });
        let mut python = Command::new("python3");
        python
            .arg(&client)
            .arg(home.path().join("run/bangerd.sock"))
            .arg(dir.path())
            .args(["/root/repo", &vm.to_string(), answer]);
        let ran = python.output()?;
        serde_json::from_slice(&ran.stdout)
            .with_context(|| format!("no answer: {}", String::from_utf8_lossy(&ran.stderr)))
    };
    // Who says no gets a VM without any of it, in which nothing is prepared.
    let no = run("no", Some("busybox"), "no")?;
    ensure!(
        no["wishes"]["needs_trust"] == true && no["vm"]["env"]["OF"].is_null(),
        "{no}"
    );
    ensure!(
        no["vm"]["bootstrap"] == false && no["waited"]["bootstrap"].is_null(),
        "{no}"
    );
    let yes = run("yes", None, "yes")?;
    ensure!(
        yes["vm"]["image"] == "busybox" && yes["vm"]["env"]["OF"] == "repository",
        "{yes}"
    );
    ensure!(yes["waited"]["bootstrap"]["exit_code"] == 3, "{yes}");
    // There is nothing to ask any more.
    let again = run("again", None, "no")?;
    ensure!(
        again["wishes"]["needs_trust"] == false && again["vm"]["env"]["OF"] == "repository",
        "{again}"
    );
    home.end()
}
