//! The forms that images come in: archives, layouts, kinds of manifests, indexes, layers from elsewhere, mirrors.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_api::Image as Described;
use banger_e2e::{Backend, Home, Hosted, OciImage, Registry, Server, Trick};
use sha2::Digest;

use crate::pulling::{described, holds, home, image, layer, pull, refused};
use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("archives_and_layouts_are_pulled", archives),
    on_the_host("every_kind_of_manifest_is_understood", kinds),
    on_the_host("an_index_leads_to_the_platform", index),
    on_the_host("a_foreign_layer_comes_from_where_it_is", foreign),
    on_the_host("mirrors_are_asked_first", mirrors),
];

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
