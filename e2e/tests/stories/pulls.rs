//! Images pulled from registries, well and badly behaved, and from archives.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_api::Image as Described;
use banger_e2e::{
    Backend, Home, Hosted, OciImage, Output, PASSWORD, Registry, Server, Terminal, Trick, USER,
};
use sha2::Digest;

use crate::images::{self, END, files_in, tar};
use crate::{Story, on_the_host};

pub(crate) const STORIES: &[Story] = &[
    on_the_host("a_guarded_registry_wants_an_authority_and_a_login", guarded),
    on_the_host("a_registry_may_want_a_token", token),
    on_the_host(
        "a_callers_login_counts_with_a_daemon_that_was_started_before",
        login_of_the_caller,
    ),
    on_the_host("an_unchanged_image_costs_one_manifest_request", unchanged),
    on_the_host("a_tag_that_moved_is_pulled_anew", moved),
    on_the_host("an_entry_point_is_the_vms_and_gets_the_terminal", entry_point),
    on_the_host("two_pulls_at_once_download_once", at_once),
    on_the_host("archives_and_layouts_are_pulled", archives),
    on_the_host("every_kind_of_manifest_is_understood", kinds),
    on_the_host("an_index_leads_to_the_platform", index),
    on_the_host("a_foreign_layer_comes_from_where_it_is", foreign),
    on_the_host("mirrors_are_asked_first", mirrors),
    on_the_host("pulls_and_deletions_may_meet", meeting),
    on_the_host("a_pull_tells_what_goes_on_in_json", in_json),
];

/// An image of one file.
pub(crate) fn image(content: &[u8]) -> Result<OciImage> {
    OciImage::new(&[layer("./file", content)], &[])
}

pub(crate) fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    [&tar(name, content)[..], &END].concat()
}

/// Bytes that no packing makes fewer.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(byte).take(len).collect()
}

/// A home whose user is logged in nowhere and is impatient, with more in its configuration.
pub(crate) fn home(config: &str) -> Result<Home> {
    let home = Home::bare()?.with_env("NO_PROXY", "127.0.0.1");
    let docker = home.path().join("docker");
    std::fs::create_dir_all(&docker)?;
    let home = home.with_env("DOCKER_CONFIG", &docker.to_string_lossy());
    let dir = home.path().join("config");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(
        dir.join("config.toml"),
        format!("[fetch]\nstall_seconds = 1\n{config}"),
    )?;
    Ok(home)
}

pub(crate) fn pull(home: &Home, reference: &str, more: &[&str]) -> Result<Output> {
    home.banger(["image", "pull", reference].iter().chain(more))
}

/// Pulls, which has to fail with these words, and checks that nothing is left of it.
pub(crate) fn refused(home: &Home, reference: &str, more: &[&str], words: &str) -> Result<Output> {
    let output = pull(home, reference, more)?.failed()?.saying(words)?;
    for place in ["data/images", "cache"] {
        let place = home.path().join(place);
        let left = if place.exists() {
            files_in(&place)?
        } else {
            vec!["lock".to_owned()]
        };
        ensure!(left == ["lock"], "{left:?} after `{words}`");
    }
    ensure!(home.banger(["image", "list", "--json"])?.ok()?.text() == "[]");
    Ok(output)
}

fn described(home: &Home, name: &str) -> Result<Described> {
    let shown = home.banger(["image", "show", "--json", name])?.ok()?;
    Ok(serde_json::from_slice(&shown.stdout)?)
}

/// What docker keeps of a login: a name and a password in base64, or the name of a program that has them.
fn log_in(home: &Home, registry: &str, inline: bool) -> Result<()> {
    let config = if inline {
        // `someone:word`
        format!(r#"{{"auths": {{"{registry}": {{"auth": "c29tZW9uZTp3b3Jk"}}}}}}"#)
    } else {
        format!(r#"{{"credHelpers": {{"{registry}": "story"}}}}"#)
    };
    std::fs::write(home.path().join("docker/config.json"), config)?;
    Ok(())
}

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

fn unchanged(_: Backend) -> Result<()> {
    let registry = Registry::open()?;
    registry.push(&image(b"the same")?, "x:v1")?;
    let home = home("")?;
    let reference = registry.reference("x:v1");
    pull(&home, &reference, &[])?.ok()?;
    let first = described(&home, "x-v1")?;
    let before = registry.requests()?.len();
    pull(&home, &reference, &[])?.ok()?.saying("is up to date")?;
    let requests = registry.requests()?.split_off(before);
    let of_images: Vec<&String> = requests
        .iter()
        .filter(|request| !request.contains(" /v2/ "))
        .collect();
    ensure!(
        of_images.len() == 1 && of_images[0] == "HEAD /v2/x/manifests/v1 200",
        "{requests:?}"
    );
    ensure!(described(&home, "x-v1")?.layers == first.layers, "pulled anew");
    // Unless it is forced.
    pull(&home, &reference, &["--force"])?.ok()?;
    ensure!(
        described(&home, "x-v1")?.layers != first.layers,
        "not pulled anew"
    );
    // A name that another image has is not taken.
    registry.push(&image(b"another")?, "y:v1")?;
    pull(&home, &registry.reference("y:v1"), &["--name", "x-v1"])?
        .exited(4)?
        .saying("--force")?;
    home.end()
}

fn moved(_: Backend) -> Result<()> {
    let registry = Registry::open()?;
    registry.push(&image(b"old")?, "x")?;
    let home = home("")?;
    images::kernel(&home)?;
    let reference = registry.reference("x");
    pull(&home, &reference, &[])?.ok()?;
    let old = described(&home, "x")?;
    let create = |name: &str| {
        let create = ["vm", "create", "--image", "x", "--vmm", "fake", "--name", name];
        home.banger(create)?.ok().map(drop)
    };
    create("vm")?;
    registry.push(&image(b"new")?, "x")?;
    pull(&home, &reference, &[])?.ok()?;
    let new = described(&home, "x")?;
    ensure!(new.layers != old.layers, "the tag moved, and the image did not");
    ensure!(old.layers[0].exists(), "the VM's image went");
    home.banger(["vm", "stop", "vm"])?.ok()?;
    home.banger(["vm", "start", "vm"])?.ok()?;
    create("vm-2")?;
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    pull(&home, &reference, &["--force"])?.ok()?;
    // That is swept when the pull has been answered.
    within(10, "what nobody uses any more is left", || {
        Ok(!old.layers[0].exists())
    })?;
    ensure!(new.layers[0].exists(), "the second VM's image went");
    home.end()
}

fn entry_point(_: Backend) -> Result<()> {
    let made = |line: &str| {
        let command = format!("--config.cmd={line}");
        let options = ["--config.entrypoint=/bin/sh", "--config.entrypoint=-c", &command];
        OciImage::new(&[layer("./file", b"content")], &options)
    };
    let home = home("")?;
    images::kernel(&home)?;
    let line = "tty; stty size; read word; echo got $word; exit 5";
    let old = made(line)?;
    pull(&home, &old.reference(), &["--name", "i"])?.ok()?;
    let nowhere = tempfile::tempdir()?;
    let place = nowhere.path().to_string_lossy().into_owned();
    let run = [
        "vm", "run", "--image", "i", "--vmm", "fake", "--name", "vm", &place,
    ];
    let mut terminal = Terminal::start(home.command(run), 30, 100)?;
    terminal.expect("/dev/pts/")?;
    terminal.expect("30 100")?;
    terminal.write("it\r")?;
    terminal.expect("got it")?;
    let code = terminal.end()?;
    ensure!(code == 5, "exit code {code}");
    // Without a terminal it has pipes.
    let piped = ["vm", "run", "--rm", "--image", "i", "--vmm", "fake", &place];
    let output = home.banger_with(piped, b"that\n".to_vec())?.exited(5)?;
    ensure!(output.text().starts_with("not a tty"), "{output:?}");
    ensure!(output.text().ends_with("got that"), "{output:?}");
    // The VM's image is what it was made of, wherever the name has gone since.
    pull(&home, &made("exit 6")?.reference(), &["--name", "i", "--force"])?.ok()?;
    ensure!(home.vm("vm")?.entry_point == ["/bin/sh", "-c", line]);
    home.end()
}

fn at_once(_: Backend) -> Result<()> {
    let registry = Registry::open()?;
    registry.push(&image(&noise(8 << 20))?, "x")?;
    let home = home("")?;
    home.banger(["daemon", "status"])?;
    home.banger(["image", "list"])?.ok()?;
    let reference = registry.reference("x");
    let before = registry.requests()?.len();
    let pulls: Vec<_> = (0..3)
        .map(|_| home.command(["image", "pull", &reference]).spawn())
        .collect::<Result<_, _>>()?;
    for pull in pulls {
        let output = pull.wait_with_output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let requests = registry.requests()?.split_off(before);
    let blobs = requests
        .iter()
        .filter(|request| request.starts_with("GET") && request.contains("/blobs/"));
    // The layer and the configuration.
    ensure!(blobs.count() == 2, "{requests:?}");
    home.end()
}

fn archives(_: Backend) -> Result<()> {
    let image = OciImage::new(
        &[layer("./a", b"one"), layer("./b", b"two")],
        &["--config.env=A=1", "--config.entrypoint=/a"],
    )?;
    let at = |name: &str| image.path(name).display().to_string();
    let (docker, oci) = (at("docker.tar"), at("oci.tar"));
    image.copy(&format!("docker-archive:{docker}:some/where:v1"))?;
    image.copy(&format!("oci-archive:{oci}:v1"))?;
    let packed = |program: &str, path: &str, end: &str| -> Result<String> {
        let done = Command::new(program)
            .args(["-k", "-q", path])
            .status()
            .with_context(|| format!("run {program}"))?;
        ensure!(done.success(), "{program}");
        Ok(format!("{path}{end}"))
    };
    let home = home("")?;
    let images = [
        image.reference(),
        format!("oci:{}", image.layout().display()),
        format!("docker-archive:{docker}"),
        format!("docker-archive:{docker}:some/where:v1"),
        format!("oci-archive:{oci}"),
        format!("oci-archive:{oci}:v1"),
        format!("docker-archive:{}", packed("gzip", &docker, ".gz")?),
        format!("oci-archive:{}", packed("xz", &oci, ".xz")?),
        format!("docker-archive:{}", packed("zstd", &docker, ".zst")?),
    ];
    for (number, reference) in images.iter().enumerate() {
        let name = format!("i{number}");
        pull(&home, reference, &["--name", &name])?.ok()?;
        check(&home, &name)?;
    }
    for (number, path) in [&docker, &oci, &format!("{docker}.gz")].iter().enumerate() {
        let name = format!("stdin{number}");
        home.banger_with(["image", "pull", "--name", &name, "-"], std::fs::read(path)?)?
            .ok()?;
        check(&home, &name)?;
    }
    let listed = home.banger(["image", "list", "--json"])?.ok()?;
    for image in serde_json::from_slice::<Vec<Described>>(&listed.stdout)? {
        home.banger(["image", "rm", image.name.as_str()])?.ok()?;
    }
    // What is in none of them, and what is no archive.
    let named = ["--name", "n"];
    refused(
        &home,
        &format!("docker-archive:{docker}:no:v1"),
        &named,
        "where:v1",
    )?
    .exited(3)?;
    refused(&home, &format!("oci-archive:{oci}:v2"), &named, "available: v1")?.exited(3)?;
    refused(&home, "oci:/dev", &named, "lacks index.json")?;
    refused(&home, "docker-archive:/bin/busybox", &named, "read the archive")?;
    let half = std::fs::read(&docker)?;
    std::fs::write(&docker, &half[..half.len() / 2])?;
    refused(&home, &format!("docker-archive:{docker}"), &named, "docker.tar")?;
    home.end()
}

/// Looks into an image that [`archives`] or [`kinds`] made.
fn check(home: &Home, name: &str) -> Result<()> {
    let image = described(home, name)?;
    let config = image.config.context("no configuration")?;
    ensure!(config.env.contains(&"A=1".to_owned()), "{config:?}");
    ensure!(config.entrypoint == ["/a"], "{config:?}");
    holds(home, name, "/a", "one")?;
    holds(home, name, "/b", "two")
}

/// Checks what a file of an image has in it.
fn holds(home: &Home, name: &str, path: &str, content: &str) -> Result<()> {
    let shown = Command::new("debugfs")
        .args(["-R", &format!("cat {path}")])
        .arg(&described(home, name)?.layers[0])
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()?;
    let there = String::from_utf8_lossy(&shown.stdout);
    ensure!(there == content, "{path} of {name} has `{there}` in it");
    Ok(())
}

fn kinds(_: Backend) -> Result<()> {
    let registry = Registry::open()?;
    let image = OciImage::new(
        &[layer("./a", b"one"), layer("./b", b"two")],
        &["--config.env=A=1", "--config.entrypoint=/a"],
    )?;
    let home = home("")?;
    for (name, options) in [
        ("oci", &["--format", "oci"][..]),
        ("docker", &["--format", "v2s2"]),
        ("zstd", &["--format", "oci", "--dest-compress-format", "zstd"]),
    ] {
        registry.push_as(&image, name, options)?;
        pull(&home, &registry.reference(name), &[])?.ok()?;
        check(&home, name)?;
    }
    home.end()
}

fn index(_: Backend) -> Result<()> {
    let here = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let (mine, other) = (Hosted::new(&image(b"mine")?)?, Hosted::new(&image(b"other")?)?);
    for entry in std::fs::read_dir(other.place("blobs"))?.flatten() {
        std::fs::copy(entry.path(), mine.place("blobs").join(entry.file_name()))?;
    }
    let of = |hosted: &Hosted, arch: &str| -> Result<String> {
        let manifest = std::fs::read(hosted.place("manifests/latest"))?;
        let digest = format!("sha256:{}", hex(&sha2::Sha256::digest(&manifest)));
        std::fs::write(mine.place("manifests").join(&digest), &manifest)?;
        Ok(format!(
            r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "{digest}", "size": {},
                "platform": {{"os": "linux", "architecture": "{arch}"}}}}"#,
            manifest.len()
        ))
    };
    let manifests = [of(&other, "riscv64")?, of(&mine, here)?].join(",");
    let index = format!(
        r#"{{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{manifests}]}}"#
    );
    let digest = format!("sha256:{}", hex(&sha2::Sha256::digest(&index)));
    let wrong = format!("sha256:{}", "0".repeat(64));
    for name in ["index", &digest, &wrong] {
        std::fs::write(mine.place("manifests").join(name), &index)?;
    }
    let server = mine.serve(Trick::None, "")?;
    let home = home("")?;
    let reference = format!("{}/x:index", server.host());
    refused(
        &home,
        &reference,
        &["--platform", "linux/s390x"],
        "no variant for linux/s390x",
    )?
    .saying("choose another platform with `--platform linux/riscv64`")?;
    refused(
        &home,
        &reference,
        &["--platform", "s390x"],
        "invalid platform `s390x`",
    )?;
    let at = |digest: &str| format!("{}/x@{digest}", server.host());
    refused(&home, &at(&wrong), &["--name", "i"], "0000")?;
    for reference in [&reference, &at(&digest)] {
        pull(&home, reference, &["--name", "i", "--force"])?.ok()?;
        holds(&home, "i", "/file", "mine")?;
        let origin = described(&home, "i")?.origin.context("no origin")?;
        ensure!(origin.digest.as_ref() == Some(&digest), "{origin:?}");
    }
    pull(&home, &reference, &["--name", "j", "--platform", "linux/riscv64"])?.ok()?;
    holds(&home, "j", "/file", "other")?;
    home.end()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn foreign(_: Backend) -> Result<()> {
    let hosted = Hosted::new(&image(b"from elsewhere")?)?;
    let elsewhere = tempfile::tempdir()?;
    let blob = hosted.place("blobs").join(&hosted.layer);
    std::fs::rename(&blob, elsewhere.path().join("layer"))?;
    let other = Server::start(elsewhere.path(), Trick::None)?;
    let manifest = std::fs::read_to_string(hosted.place("manifests/latest"))?;
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    let layer = &mut manifest["layers"][0];
    layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
    layer["urls"] = serde_json::json!([format!("{}nothing", other.url()), format!("{}layer", other.url())]);
    std::fs::write(hosted.place("manifests/latest"), manifest.to_string())?;
    let server = hosted.serve(Trick::None, "")?;
    let home = home("")?;
    pull(&home, &format!("{}/x", server.host()), &[])?.ok()?;
    holds(&home, "x", "/file", "from elsewhere")?;
    home.end()
}

fn mirrors(_: Backend) -> Result<()> {
    let (mirror, registry) = (Registry::open()?, Registry::open()?);
    mirror.push(&image(b"mirrored")?, "x")?;
    registry.push(&image(b"original")?, "y")?;
    // Nobody listens at the first one. There is no such registry; where its mirrors fail, that is told.
    let config = format!(
        "[registry.\"registry.invalid\"]\nmirrors = [\"http://127.0.0.1:1\", \"http://{}\"]\n\
         [registry.\"{}\"]\nmirrors = [\"http://127.0.0.1:1\", \"http://{}\"]\n",
        mirror.host(),
        registry.host(),
        mirror.host()
    );
    let home = home(&config)?;
    refused(&home, "registry.invalid/nowhere", &[], "nowhere")?;
    pull(&home, "registry.invalid/x", &[])?.ok()?;
    pull(&home, "registry.invalid/x", &[])?
        .ok()?
        .saying("is up to date")?;
    // The mirror answers that it has it not, and the registry has it.
    pull(&home, &registry.reference("y"), &[])?.ok()?;
    home.end()
}

/// Waits until something is so.
pub(crate) fn within(seconds: u64, or: &'static str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let since = Instant::now();
    while !is_so()? {
        ensure!(since.elapsed() < Duration::from_secs(seconds), or);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn meeting(_: Backend) -> Result<()> {
    let image = image(&noise(1 << 20))?;
    let home = home("")?;
    let reference = image.reference();
    pull(&home, &reference, &["--name", "i"])?.ok()?;
    let commands = [
        &["image", "pull", &reference, "--name", "i", "--force"][..],
        &["image", "rm", "i"],
        &["image", "pull", &reference, "--name", "i"],
        &["image", "rm", "i"],
        &["image", "list"],
    ];
    std::thread::scope(|scope| -> Result<()> {
        let turns: Vec<_> = (0..20)
            .map(|turn| {
                let (home, command) = (&home, commands[turn % commands.len()]);
                scope.spawn(move || home.banger(command))
            })
            .collect();
        for turn in turns {
            let Ok(output) = turn.join() else {
                anyhow::bail!("a command panicked")
            };
            let output = output?;
            // It may not be there when it is deleted.
            ensure!([0, 3].contains(&output.code), "{output:?}");
        }
        Ok(())
    })?;
    pull(&home, &reference, &["--name", "i", "--force"])?.ok()?;
    let image = described(&home, "i")?;
    ensure!(image.layers[0].exists());
    let generations =
        || -> Result<usize> { Ok(std::fs::read_dir(home.path().join("data/images/g"))?.count()) };
    within(10, "old generations are left", || Ok(generations()? == 1))?;
    home.end()
}

fn in_json(_: Backend) -> Result<()> {
    let image = image(&noise(3 << 20))?;
    let home = home("")?;
    let output = pull(&home, &image.reference(), &["--name", "i", "--json"])?.ok()?;
    let lines: Vec<serde_json::Value> = output
        .text()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let (last, before) = lines.split_last().context("no lines")?;
    ensure!(
        last["kind"] == "pulled" && last["image"]["name"] == "i" && last["unchanged"] == false,
        "{last}"
    );
    ensure!(
        before.iter().any(|line| line["done"] == line["total"]
            && line["what"]
                .as_str()
                .is_some_and(|what| what.starts_with("sha256:"))),
        "{before:?}"
    );
    ensure!(output.stderr.is_empty(), "{}", output.stderr);
    home.end()
}
