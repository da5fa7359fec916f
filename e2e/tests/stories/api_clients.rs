//! Clients that public generators make of `docs/openapi.json`: they are valid, fit their own language, and work.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, npm, python};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("openapi_is_valid", validated).with(python::OPENAPI_VALIDATOR),
    on_the_host("a_generated_python_client_works", in_python).with(python::OPENAPI_CLIENT),
    on_the_host("a_generated_typescript_client_works", in_typescript).with(npm::OPENAPI_CLIENT),
];

fn repository() -> PathBuf {
    let e2e = Path::new(env!("CARGO_MANIFEST_DIR"));
    e2e.parent().map_or_else(|| e2e.to_owned(), Path::to_owned)
}

/// What the programs say of themselves, which the repository's own document is compared with by a unit test.
fn document() -> PathBuf {
    repository().join("docs/openapi.json")
}

fn done(command: &mut Command) -> Result<String> {
    let line = format!("{command:?}");
    let output = command.output().with_context(|| format!("start {line}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{line}:\n{said}");
    Ok(said)
}

fn validated(_: Backend) -> Result<()> {
    let python = python::interpreter(python::OPENAPI_VALIDATOR)?;
    let validate = |file: &Path| {
        let mut command = Command::new(&python);
        command
            .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
            .arg(file);
        done(&mut command)
    };
    validate(&document())?;
    // One that is not valid is refused, so the validator looks.
    let mut broken: serde_json::Value = serde_json::from_slice(&std::fs::read(document())?)?;
    broken["paths"]["/v1/vms"]["get"]["responses"]["200"] = serde_json::json!({"content": 7});
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("broken.json");
    std::fs::write(&file, broken.to_string())?;
    ensure!(
        validate(&file).is_err(),
        "a document that is not valid is taken for valid"
    );
    Ok(())
}

/// A new directory for generated code, which stays until the next time.
fn generated(name: &str) -> Result<PathBuf> {
    let dir = banger_e2e::scratch(&format!("clients/{name}"))?;
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// A home whose daemon runs, and its socket.
fn served() -> Result<(Home, PathBuf)> {
    let home = Home::new(&[Image::Busybox])?;
    home.banger(["vm", "list"])?.ok()?;
    let socket = home.path().join("run/bangerd.sock");
    Ok((home, socket))
}

/// Runs a client's round trip.
fn round_trip(home: Home, mut command: Command) -> Result<()> {
    let said = done(&mut command)?;
    ensure!(said.trim_end().ends_with("well"), "{said}");
    home.end()
}

fn in_python(_: Backend) -> Result<()> {
    let python = python::interpreter(python::OPENAPI_CLIENT)?;
    let dir = generated("python")?;
    let config = dir.join("config.yml");
    std::fs::write(&config, "package_name_override: bangerd_client\npost_hooks: []\n")?;
    let mut generate = Command::new(&python);
    generate
        .args([
            "-m",
            "openapi_python_client",
            "generate",
            "--meta",
            "none",
            "--fail-on-warning",
            "--path",
        ])
        .arg(document())
        .arg("--config")
        .arg(&config)
        .arg("--output-path")
        .arg(dir.join("bangerd_client"));
    done(&mut generate)?;
    let script = dir.join("round_trip.py");
    std::fs::copy(repository().join("e2e/tests/clients/round_trip.py"), &script)?;
    let mut check = Command::new(&python);
    check
        .args([
            "-m",
            "mypy",
            "--no-error-summary",
            "bangerd_client",
            "round_trip.py",
        ])
        .current_dir(&dir);
    done(&mut check)?;
    let (home, socket) = served()?;
    let mut command = home.program(&python);
    command.arg(&script).arg(socket).current_dir(&dir);
    round_trip(home, command)
}

fn in_typescript(_: Backend) -> Result<()> {
    let modules = npm::modules(npm::OPENAPI_CLIENT)?;
    let dir = generated("typescript")?;
    std::os::unix::fs::symlink(&modules, dir.join("node_modules"))?;
    let bin = |name: &str| {
        let mut command = Command::new("node");
        command.arg(modules.join(name)).current_dir(&dir);
        command
    };
    let mut generate = bin("openapi-typescript/bin/cli.js");
    done(generate.arg(document()).args(["--output", "schema.d.ts"]))?;
    std::fs::copy(
        repository().join("e2e/tests/clients/round_trip.ts"),
        dir.join("round_trip.ts"),
    )?;
    let mut compile = bin("typescript/bin/tsc");
    done(compile.args([
        "--strict",
        "--noUncheckedIndexedAccess",
        "--target",
        "es2022",
        "--module",
        "commonjs",
        "--esModuleInterop",
        "--types",
        "node",
        "round_trip.ts",
    ]))?;
    let (home, socket) = served()?;
    let mut command = home.program("node");
    command
        .arg(dir.join("round_trip.js"))
        .arg(socket)
        .current_dir(&dir);
    round_trip(home, command)
}
