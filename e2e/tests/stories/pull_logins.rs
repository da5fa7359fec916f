//! Logins at registries: guarded ones, tokens, and the login of whoever runs a command.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Hosted, PASSWORD, Registry, Trick, USER};

use crate::pulling::{home, image, log_in, pull, refused};
use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_guarded_registry_wants_an_authority_and_a_login", guarded),
    on_the_host("a_registry_may_want_a_token", token),
    on_the_host(
        "a_callers_login_counts_with_a_daemon_that_was_started_before",
        login_of_the_caller,
    ),
];

fn guarded(_: Backend) -> Result<()> {
    let registry = Registry::guarded()?;
    registry.push(&image(b"guarded")?, "x")?;
    let reference = registry.reference("x");
    // The helper is found by PATH, which the daemon has from whoever starts it.
    let programs = tempfile::tempdir()?;
    let helper = programs.path().join("docker-credential-story");
    std::fs::write(
        &helper,
        format!("#!/bin/sh\nread server\necho '{{\"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\"}}'\n"),
    )?;
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755))?;
    let path = format!(
        "{}:{}",
        programs.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let podman = programs.path().join("auth.json");
    let home = home("")?
        .with_env("PATH", &path)
        .with_env("REGISTRY_AUTH_FILE", &podman.to_string_lossy());
    let authority = registry.authority();
    let trusting = ["--ca-cert", &authority];

    refused(&home, &reference, &[], "--ca-cert")?;
    refused(&home, &reference, &trusting, "log in first: `docker login")?;
    refused(&home, &reference, &["--insecure"], "log in first: `docker login")?;
    refused(
        &home,
        &reference,
        &["--ca-cert", "/dev/null"],
        "no PEM certificate",
    )?;
    log_in(&home, registry.host(), true)?;
    refused(
        &home,
        &registry.reference("y"),
        &trusting,
        "check the name and the tag",
    )?
    .exited(3)?;
    pull(&home, &reference, &trusting)?.ok()?;
    home.banger(["image", "rm", "x"])?.ok()?;
    log_in(&home, registry.host(), false)?;
    pull(&home, &reference, &["--insecure"])?.ok()?;
    home.banger(["image", "rm", "x"])?.ok()?;
    // Both from the configuration.
    let config = format!("[registry.\"{}\"]\nca_cert = \"{authority}\"\n", registry.host());
    std::fs::write(home.path().join("config/config.toml"), config)?;
    pull(&home, &reference, &[])?.ok()?;
    // Others' credentials, and a helper that has none or is not there.
    home.banger(["image", "rm", "x"])?.ok()?;
    std::fs::write(
        home.path().join("docker/config.json"),
        format!(
            r#"{{"auths": {{"{}": {{"auth": "c29tZW9uZTp3cm9uZw=="}}}}}}"#,
            registry.host()
        ),
    )?;
    refused(&home, &reference, &[], "log in first: `docker login")?;
    log_in(&home, registry.host(), false)?;
    std::fs::write(
        &helper,
        "#!/bin/sh\nread server\necho 'credentials not found in native keychain'\nexit 1\n",
    )?;
    refused(&home, &reference, &[], "log in first: `docker login")?;
    std::fs::remove_file(&helper)?;
    refused(
        &home,
        &reference,
        &[],
        "failed to get the credentials for the registry",
    )?;
    // Podman's login counts where docker has none.
    log_in(&home, registry.host(), true)?;
    std::fs::rename(home.path().join("docker/config.json"), &podman)?;
    pull(&home, &reference, &[])?.ok()?;
    home.end()
}

fn token(_: Backend) -> Result<()> {
    let hosted = Hosted::new(&image(b"for tokens")?)?;
    let server = hosted.serve(Trick::WantToken, "")?;
    let home = home("")?;
    let reference = format!("{}/x", server.host());
    refused(&home, &reference, &[], "log in first: `docker login")?;
    log_in(&home, &server.host(), true)?;
    pull(&home, &reference, &[])?.ok()?;
    home.end()
}

/// The daemon has whose environment started it; the login is that of the command, by either variable.
fn login_of_the_caller(_: Backend) -> Result<()> {
    let registry = Registry::guarded()?;
    registry.push(&image(b"the caller's")?, "x")?;
    let reference = registry.reference("x");
    let authority = registry.authority();
    let trusting = ["--ca-cert", authority.as_str()];
    let home = home("")?;
    home.banger(["vm", "list"])?.ok()?;
    refused(&home, &reference, &trusting, "log in first: `docker login")?;
    let elsewhere = tempfile::tempdir()?;
    let auths = format!(
        r#"{{"auths": {{"{}": {{"auth": "c29tZW9uZTp3b3Jk"}}}}}}"#,
        registry.host()
    );
    for (name, file, value) in [
        ("DOCKER_CONFIG", "config.json", elsewhere.path().to_owned()),
        (
            "REGISTRY_AUTH_FILE",
            "auth.json",
            elsewhere.path().join("auth.json"),
        ),
    ] {
        let path = elsewhere.path().join(file);
        std::fs::write(&path, &auths)?;
        let args = ["image", "pull", &reference, "--ca-cert", &authority];
        let pulled = home.command(args).env(name, value).output()?;
        ensure!(
            pulled.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&pulled.stderr)
        );
        home.banger(["image", "rm", "x"])?.ok()?;
        std::fs::remove_file(&path)?;
    }
    // What one command was given counts for that command alone.
    refused(&home, &reference, &trusting, "log in first: `docker login")?;
    home.end()
}
