//! Kernels from catalogs: from a server that serves well, and from servers and publishers that do not.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use banger_api::{AvailableKernel, KernelPulled, Presence, Published};
use banger_e2e::{Backend, Home, Image, Output, Server, Trick};
use sha2::Digest;

use crate::images::{self, END, files_in};
use crate::{Scenario, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_kernel_is_published_and_pulled", published_and_pulled),
    in_guests("a_pulled_kernel_boots", pulled_boots),
    on_the_host("a_pull_that_is_cut_goes_on_where_it_was", cut),
    on_the_host("servers_that_misbehave_leave_nothing", misbehaving_servers),
    on_the_host("what_nobody_vouches_for_is_refused", not_vouched_for),
    on_the_host("an_artifact_that_leads_out_is_refused", leading_out),
    on_the_host("catalogs_are_added_listed_and_removed", catalogs),
];

/// A catalog with one kernel, made by a home of its own.
struct Catalog {
    dir: tempfile::TempDir,
    published: Published,
    /// The document as it was published.
    document: String,
}

impl Catalog {
    fn new() -> Result<Self> {
        let publisher = Home::bare()?;
        images::kernel(&publisher)?;
        let catalog = Self::by(&publisher, "k")?;
        publisher.end()?;
        Ok(catalog)
    }

    /// A catalog with a kernel that `publisher` has.
    fn by(publisher: &Home, kernel: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (to, key) = (dir.path().join("hosted"), dir.path().join("key"));
        let published = publisher
            .command(["kernel", "publish", "--json", "--distro", "none"])
            .arg("--new-key")
            .args([&key, &to])
            .arg(kernel)
            .output()?;
        ensure!(
            published.status.success(),
            "{}",
            String::from_utf8_lossy(&published.stderr)
        );
        Ok(Self {
            published: serde_json::from_slice(&published.stdout)?,
            document: std::fs::read_to_string(dir.path().join("hosted/catalog.json"))?,
            dir,
        })
    }

    fn hosted(&self, name: &str) -> PathBuf {
        self.dir.path().join("hosted").join(name)
    }

    fn artifact(&self) -> Result<PathBuf> {
        let mut entries = std::fs::read_dir(self.hosted(""))?
            .flatten()
            .map(|entry| entry.path());
        entries
            .find(|path| path.extension().is_some_and(|end| end == "zst"))
            .context("find the artifact")
    }

    /// Signs what the document is now, with the key that made it.
    fn sign(&self) -> Result<()> {
        let secret = std::fs::read_to_string(self.dir.path().join("key"))?;
        let secret = minisign::SecretKeyBox::from_string(&secret)?.into_unencrypted_secret_key()?;
        let document = std::fs::read(self.hosted("catalog.json"))?;
        let signature = minisign::sign(None, &secret, &document[..], None, None)?;
        std::fs::write(self.hosted("catalog.json.minisig"), signature.into_string())?;
        Ok(())
    }

    /// Puts other bytes in the artifact's place, and vouches for them.
    fn replace_artifact(&self, bytes: &[u8]) -> Result<()> {
        std::fs::write(self.artifact()?, bytes)?;
        let kernel = &self.published.kernels[0];
        let digest = sha2::Sha256::digest(bytes);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let size = |bytes| format!("\"bytes\": {bytes}");
        let document = self
            .document
            .replace(&kernel.sha256, &digest)
            .replace(&size(kernel.bytes), &size(bytes.len() as u64));
        std::fs::write(self.hosted("catalog.json"), document)?;
        self.sign()
    }

    fn serve(&self, trick: Trick) -> Result<Server> {
        Server::start(&self.hosted(""), trick)
    }

    /// A home that knows this catalog at `location` by `key`, and is impatient.
    fn user(&self, location: &str, key: &str) -> Result<Home> {
        let home = Home::bare()?.with_env("NO_PROXY", "127.0.0.1");
        let config = home.path().join("config");
        std::fs::create_dir_all(&config)?;
        let limits = "[fetch]\nstall_seconds = 1\nattempts = 2\n";
        std::fs::write(config.join("config.toml"), limits)?;
        home.banger(["kernel", "catalog", "add", "c", location, "--key", key])?
            .ok()?;
        Ok(home)
    }
}

/// Pulls, which has to fail with these words, and checks that nothing is left of it.
fn refused(home: &Home, words: &str) -> Result<Output> {
    let output = home.banger(["kernel", "pull", "k"])?.failed()?.saying(words)?;
    for place in ["data/kernels", "cache"] {
        let left = files_in(&home.path().join(place))?;
        ensure!(left == ["lock"], "{left:?} in {place} after `{words}`");
    }
    ensure!(home.banger(["kernel", "list", "--json"])?.ok()?.text() == "[]");
    Ok(output)
}

fn published_and_pulled(_: Backend) -> Result<()> {
    let catalog = Catalog::new()?;
    let server = catalog.serve(Trick::None)?;
    let home = catalog.user(&server.url(), &catalog.published.key)?;
    let available = || -> Result<Vec<AvailableKernel>> {
        let listed = home.banger(["kernel", "list", "--available", "--json"])?.ok()?;
        Ok(serde_json::from_slice(&listed.stdout)?)
    };
    let offered = available()?;
    ensure!(
        offered.len() == 1 && offered[0].here == Presence::Absent,
        "{offered:?}"
    );
    ensure!(offered[0].kernel.distro.as_deref() == Some("none"), "{offered:?}");
    let pull = |more: &[&str]| home.banger(["kernel", "pull", "k", "--json"].iter().chain(more));
    let pulled: KernelPulled = serde_json::from_slice(&pull(&[])?.ok()?.stdout)?;
    ensure!(!pulled.was_here && pulled.kernel.version == "0", "{pulled:?}");
    ensure!(available()?[0].here == Presence::Here);
    // The same again is there already; unless it is forced.
    let again: KernelPulled = serde_json::from_slice(&pull(&[])?.ok()?.stdout)?;
    ensure!(again.was_here, "{again:?}");
    let forced: KernelPulled = serde_json::from_slice(&pull(&["--force"])?.ok()?.stdout)?;
    ensure!(!forced.was_here, "{forced:?}");
    home.banger(["kernel", "rm", "k"])?.ok()?;
    // Another kernel of the name is not replaced unasked.
    images::kernel(&home)?;
    ensure!(available()?[0].here == Presence::Another);
    pull(&[])?.exited(4)?.saying("--force")?;
    pull(&["--force"])?.ok()?;
    home.banger(["kernel", "pull", "x"])?
        .exited(3)?
        .saying("available: k")?;
    home.end()?;
    // The same from a path.
    let place = catalog.hosted("").to_string_lossy().into_owned();
    let home = catalog.user(&place, &catalog.published.key)?;
    home.banger(["kernel", "pull", "k"])?.ok()?;
    home.end()
}

fn pulled_boots(backend: Backend) -> Result<()> {
    let [.., kernel] = backend.options();
    let publisher = Home::new(&[Image::Busybox])?;
    let catalog = Catalog::by(&publisher, kernel)?;
    let shown = publisher
        .banger(["image", "show", "--json", Image::Busybox.name()])?
        .ok()?;
    let image: banger_api::Image = serde_json::from_slice(&shown.stdout)?;
    // Where it is without the publisher's home.
    let rootfs = image.layers[0].canonicalize()?;
    publisher.end()?;
    let server = catalog.serve(Trick::CutOnce)?;
    let home = catalog.user(&server.url(), &catalog.published.key)?;
    home.banger(["kernel", "pull", kernel])?.ok()?;
    home.command(["image", "register", "--name", Image::Busybox.name(), "--rootfs"])
        .arg(rootfs)
        .output()?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let version = &catalog.published.kernels[0].version;
    ensure!(home.sh("vm", "uname -r")? == *version, "another kernel runs");
    home.end()
}

fn cut(_: Backend) -> Result<()> {
    let catalog = Catalog::new()?;
    let server = catalog.serve(Trick::CutOnce)?;
    let home = catalog.user(&server.url(), &catalog.published.key)?;
    home.banger(["kernel", "pull", "k"])?.ok()?;
    let ranges = server.ranges();
    ensure!(
        ranges.len() == 1 && ranges[0] > 0,
        "asked for parts from {ranges:?}"
    );
    home.end()
}

fn misbehaving_servers(_: Backend) -> Result<()> {
    let catalog = Catalog::new()?;
    for (trick, words) in [
        (Trick::Hang, "sent no data for 1 s"),
        (Trick::HangMidway, "sent no data for 1 s"),
        (Trick::CutAlways, "read http://"),
        (Trick::SayLess, "bytes, expected"),
        (Trick::SayMore, "bytes, expected"),
        (Trick::SayNothingAndSendMore, "bytes, expected"),
        (Trick::Flip, "SHA-256"),
        (Trick::Fail, "500"),
        (Trick::Miss, "was not found"),
    ] {
        let server = catalog.serve(trick)?;
        let home = catalog.user(&server.url(), &catalog.published.key)?;
        refused(&home, words)?;
        home.end()?;
    }
    Ok(())
}

fn not_vouched_for(_: Backend) -> Result<()> {
    let (catalog, other) = (Catalog::new()?, Catalog::new()?);
    let server = catalog.serve(Trick::None)?;
    // Another key than the configured one.
    let home = catalog.user(&server.url(), &other.published.key)?;
    refused(&home, "not by the configured key")?;
    home.banger(["kernel", "list", "--available"])?
        .exited(1)?
        .saying("not by the configured key")?;
    home.end()?;
    let home = catalog.user(&server.url(), &catalog.published.key)?;
    // An artifact that was exchanged.
    let artifact = catalog.artifact()?;
    let good = std::fs::read(&artifact)?;
    let mut bad = good.clone();
    *bad.last_mut().context("an empty artifact")? ^= 1;
    std::fs::write(&artifact, bad)?;
    refused(&home, "SHA-256")?;
    std::fs::write(&artifact, good)?;
    // A document that was.
    let document = catalog.hosted("catalog.json");
    let good = std::fs::read_to_string(&document)?;
    std::fs::write(&document, good.replace("\"none\"", "\"some\""))?;
    refused(&home, "signature of catalog `c` is not valid")?;
    std::fs::write(&document, good)?;
    // A signature that was, or went.
    let signature = catalog.hosted("catalog.json.minisig");
    std::fs::write(&signature, "no signature")?;
    refused(&home, "signature of catalog `c` is not valid")?;
    std::fs::remove_file(&signature)?;
    refused(&home, "is not signed")?;
    catalog.sign()?;
    home.banger(["kernel", "pull", "k"])?.ok()?;
    home.end()
}

fn leading_out(_: Backend) -> Result<()> {
    let catalog = Catalog::new()?;
    let server = catalog.serve(Trick::None)?;
    let home = catalog.user(&server.url(), &catalog.published.key)?;
    let escape = format!("../../../../../../{}/escaped", home.path().display());
    for (name, words) in [
        (&*escape, "leads out of the archive"),
        ("/tmp/escaped", "absolute path"),
        ("modules/../../escaped", "leads out of the archive"),
    ] {
        let tar = [&images::tar(name, b"content")[..], &END].concat();
        catalog.replace_artifact(&zstd::encode_all(&tar[..], 1)?)?;
        refused(&home, words)?;
        ensure!(!home.path().join("escaped").exists());
    }
    let document = std::fs::read_to_string(catalog.hosted("catalog.json"))?;
    std::fs::write(
        catalog.hosted("catalog.json"),
        document.replace("\"location\": \"", "\"location\": \"../"),
    )?;
    catalog.sign()?;
    refused(&home, "failed to parse the catalog `c`")?;
    home.end()
}

fn catalogs(_: Backend) -> Result<()> {
    let catalog = Catalog::new()?;
    let key = &catalog.published.key;
    let home = catalog.user("/nowhere/catalog.json", key)?;
    let add = |name: &str, location: &str, key: &str| {
        home.banger(["kernel", "catalog", "add", name, location, "--key", key])
    };
    add("c", "/x", key)?.exited(4)?.saying("already exists")?;
    add("d", "ftp://h/x", key)?.exited(1)?.saying("http or https")?;
    add("d", "/x", "RWx")?.exited(1)?.saying("minisign public key")?;
    add("../d", "/x", key)?
        .exited(2)?
        .saying("invalid name `../d` for a catalog")?;
    home.banger(["kernel", "pull", "k"])?
        .exited(3)?
        .saying("there is no /nowhere/catalog.json")?;
    let config = home.path().join("config/config.toml");
    let text = std::fs::read_to_string(&config)?;
    let place = catalog.hosted("").to_string_lossy().into_owned();
    let configured = format!("{text}[[catalog]]\nname = \"mine\"\nlocation = \"{place}\"\nkey = \"{key}\"\n");
    std::fs::write(&config, &configured)?;
    let listed = home.banger(["kernel", "catalog", "list"])?.ok()?.text();
    ensure!(
        listed.contains("mine") && listed.contains("config.toml"),
        "{listed}"
    );
    // One that cannot be read does not hide the others, and is told.
    let available = home.banger(["kernel", "list", "--available"])?.exited(3)?;
    ensure!(available.text().contains("mine"), "{}", available.text());
    home.banger(["kernel", "pull", "k"])?
        .ok()?
        .saying("catalog c cannot be read")?;
    home.banger(["kernel", "catalog", "rm", "mine"])?
        .exited(1)?
        .saying("which banger does not edit")?;
    home.banger(["kernel", "catalog", "rm", "c"])?.ok()?;
    home.banger(["kernel", "catalog", "rm", "c"])?.exited(3)?;
    ensure!(std::fs::read_to_string(&config)? == configured);
    home.end()
}
