//! Images that leave and come back: exported, published, pulled with their kernels, compared, flattened.

use anyhow::{Context, Result, ensure};
use banger_api::{AvailableImage, ImageDifference, ImagePulled, Presence, Published};
use banger_e2e::{Backend, Home, Image, Server, Trick};

use crate::images::{self, files_in};
use crate::{Scenario, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("an_image_is_published_and_pulled_with_its_kernel", published),
    on_the_host(
        "an_image_that_is_not_what_its_catalog_says_leaves_nothing",
        another,
    ),
    in_guests("an_exported_image_boots_where_it_is_pulled", exported),
    in_guests("many_layers_become_one", many_layers),
];

/// A catalog with one image and its kernel, made by a home of its own.
struct Catalog {
    dir: tempfile::TempDir,
    published: Published,
}

impl Catalog {
    fn new() -> Result<Self> {
        let publisher = Home::bare()?;
        images::kernel(&publisher)?;
        let dir = tempfile::tempdir()?;
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("etc"))?;
        std::fs::write(tree.join("etc/os-release"), "PRETTY_NAME=\"Tools 1\"\n")?;
        let tree = tree.to_string_lossy();
        publisher
            .banger(["image", "import", "--name", "tools", "--kernel", "k", &tree])?
            .ok()?;
        let (key, to) = (dir.path().join("key"), dir.path().join("hosted"));
        let (key, to) = (key.to_string_lossy(), to.to_string_lossy());
        let publish = [
            "image",
            "publish",
            "--json",
            "--new-key",
            &key,
            &to,
            "--description",
            "ours",
        ];
        let published = publisher.banger(publish)?.ok()?;
        publisher.end()?;
        Ok(Self {
            published: serde_json::from_slice(&published.stdout)?,
            dir,
        })
    }

    fn serve(&self) -> Result<Server> {
        Server::start(&self.dir.path().join("hosted"), Trick::None)
    }

    /// The image's artifact.
    fn artifact(&self) -> Result<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("hosted"))?;
        let mut paths = entries.flatten().map(|entry| entry.path());
        let found = paths.find(|path| path.to_string_lossy().ends_with(".oci.tar"));
        found.context("find the artifact")
    }

    /// A home that knows this catalog.
    fn user(&self, server: &Server) -> Result<Home> {
        let home = Home::bare()?.with_env("NO_PROXY", "127.0.0.1");
        let key = &self.published.key;
        home.banger(["image", "catalog", "add", "c", &server.url(), "--key", key])?
            .ok()?;
        Ok(home)
    }
}

fn published(_: Backend) -> Result<()> {
    let catalog = Catalog::new()?;
    let told = &catalog.published;
    ensure!(told.images.len() == 1 && told.kernels.len() == 1, "{told:?}");
    let server = catalog.serve()?;
    let home = catalog.user(&server)?;
    let available = || -> Result<Vec<AvailableImage>> {
        let listed = home.banger(["image", "list", "--available", "--json"])?.ok()?;
        Ok(serde_json::from_slice(&listed.stdout)?)
    };
    let offered = available()?;
    ensure!(
        offered.len() == 1 && offered[0].here == Presence::Absent,
        "{offered:?}"
    );
    let image = &offered[0].image;
    ensure!(image.os.as_deref() == Some("Tools 1") && image.description.as_deref() == Some("ours"));
    let pull = |more: &[&str]| home.banger(["image", "pull", "tools"].iter().chain(more));
    // Without a tag or a word of whose it is, it is the catalog's; it brings its kernel along.
    pull(&[])?
        .ok()?
        .saying("tools comes from catalog c")?
        .saying("kernel k 0 was pulled with the image")?;
    let shown = home.banger(["image", "show", "tools"])?.ok()?.text();
    ensure!(
        shown.contains("catalog:c/tools") && shown.contains("Tools 1"),
        "{shown}"
    );
    home.banger(["kernel", "show", "k"])?.ok()?;
    ensure!(available()?[0].here == Presence::Here);
    pull(&["--catalog", "c"])?.ok()?.saying("is up to date")?;
    // Another name for it, with the kernel that is here.
    pull(&["--catalog", "c", "--name", "other"])?.ok()?;
    // Another image of the name is not replaced unasked, and another kernel not at all.
    let tree = catalog.dir.path().join("tree");
    home.banger([
        "image",
        "import",
        "--name",
        "tools",
        "--force",
        &tree.to_string_lossy(),
    ])?
    .ok()?;
    ensure!(available()?[0].here == Presence::Another);
    pull(&[])?.exited(4)?.saying("--force")?;
    home.banger(["image", "delete", "tools", "other"])?.ok()?;
    home.banger(["kernel", "rm", "k"])?.ok()?;
    images::kernel(&home)?;
    pull(&[])?
        .exited(4)?
        .saying("failed to pull kernel `k`")?
        .saying("--kernel-ref")?;
    ensure!(home.banger(["image", "list", "--json"])?.ok()?.text() == "[]");
    pull(&["--kernel-ref", "k"])?.ok()?;
    home.banger(["image", "pull", "none", "--catalog", "c"])?
        .exited(3)?
        .saying("available: tools")?;
    home.end()
}

fn another(_: Backend) -> Result<()> {
    let catalog = Catalog::new()?;
    let artifact = catalog.artifact()?;
    let mut bytes = std::fs::read(&artifact)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&artifact, &bytes)?;
    let server = catalog.serve()?;
    let home = catalog.user(&server)?;
    home.banger(["image", "pull", "tools"])?
        .failed()?
        .saying("but its catalog specifies")?;
    ensure!(home.banger(["image", "list", "--json"])?.ok()?.text() == "[]");
    let left = files_in(&home.path().join("data/images"))?;
    ensure!(left == ["lock"], "{left:?}");
    // A catalog that is not what its key says is not passed over for a registry, whose image of the name is another.
    let document = catalog.dir.path().join("hosted/catalog.json");
    let text = std::fs::read_to_string(&document)?;
    std::fs::write(&document, text.replace("ours", "theirs"))?;
    home.banger(["image", "pull", "tools"])?
        .failed()?
        .saying("the signature of catalog `c` is not valid")?;
    home.end()
}

fn create(home: &Home, backend: Backend, image: &str, vm: &str) -> Result<()> {
    let mut args = vec!["vm", "create", "--name", vm, "--image", image, "--memory", "512M"];
    args.extend(backend.options());
    home.banger(args)?.ok().map(drop)
}

fn exported(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let (changed, back) = (
        format!("changed-{}", backend.name()),
        format!("back-{}", backend.name()),
    );
    home.create(backend, Image::Busybox, "vm", &[])?;
    home.sh("vm", "mkdir /opt; echo one > /opt/a; chmod 4711 /opt/a; ln /opt/a /opt/b; rm /bin/wget; rm -rf /etc; mkdir /etc; echo x > /etc/only")?;
    home.banger(["vm", "commit", "vm", "--force", "--name", &changed])?
        .ok()?;
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    let differences = home.banger(["image", "diff", "--json", &changed])?.ok()?;
    let differences: Vec<ImageDifference> = serde_json::from_slice(&differences.stdout)?;
    let told = home.banger(["image", "diff", &changed])?.ok()?.text();
    for line in ["A /etc/only", "A /opt", "A /opt/a", "D /bin/wget"] {
        ensure!(told.lines().any(|told| told == line), "no {line} in\n{told}");
    }
    ensure!(told.lines().count() == differences.len());
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("changed.tar");
    let path = archive.to_string_lossy();
    home.banger(["image", "export", &changed, "-o", &path])?.ok()?;
    home.banger(["image", "export", &changed, "-o", &path])?
        .exited(4)?
        .saying("--force")?;
    let piped = home.banger(["image", "export", &changed, "-o", "-"])?.ok()?;
    ensure!(
        piped.stdout == std::fs::read(&archive)?,
        "standard output is another archive"
    );
    let pull = ["image", "pull", "--json", "--force", "--name", &back, "-"];
    let pulled = home.banger_with(pull, piped.stdout)?.ok()?.text();
    let pulled: ImagePulled = serde_json::from_str(pulled.lines().last().context("nothing is told")?)?;
    ensure!(pulled.image.layers.len() == 1, "{pulled:?}");
    let same = home.banger(["image", "diff", &back, &changed])?.ok()?.text();
    ensure!(same.is_empty(), "{same}");
    create(&home, backend, &back, "check")?;
    let seen = home.sh(
        "check",
        "cat /opt/b; stat -c '%a %h' /opt/a; test -e /bin/wget || echo gone; ls /etc/only",
    )?;
    ensure!(seen == "one\n4711 2\ngone\n/etc/only", "{seen}");
    home.banger(["vm", "delete", "-f", "check"])?.ok()?;
    home.banger(["image", "delete", &changed, &back])?.ok()?;
    home.end()
}

fn many_layers(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let top = format!("top-{}", backend.name());
    let mut image = Image::Busybox.name().to_owned();
    for life in 1..=7 {
        create(&home, backend, &image, "vm")?;
        home.sh(
            "vm",
            &format!(
                "mkdir -p /lives; rm -f /lives/{}; echo {life} > /lives/{life}; echo {life} >> /all",
                life - 1
            ),
        )?;
        home.banger(["vm", "commit", "vm", "--force", "--name", &top])?
            .ok()?;
        home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
        let shown = home.banger(["image", "show", "--json", &top])?.ok()?;
        let shown: banger_api::Image = serde_json::from_slice(&shown.stdout)?;
        let expected = if life == 7 { 1 } else { life + 1 };
        ensure!(
            shown.layers.len() == expected,
            "{} layers after {life} lives",
            shown.layers.len()
        );
        image = top.clone();
    }
    create(&home, backend, &top, "vm")?;
    let seen = home.sh("vm", "ls /lives; tr '\\n' ' ' < /all")?;
    ensure!(seen.trim() == "7\n1 2 3 4 5 6 7", "{seen}");
    home.banger(["vm", "delete", "-f", "vm"])?.ok()?;
    home.banger(["image", "delete", &top])?.ok()?;
    home.end()
}
