//! Lives of pulled images: pulled once more, moved tags, pulls at once and beside deletions.

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, OciImage, Registry, Terminal};

use crate::images;
use crate::pulling::{described, home, image, layer, noise, pull, within};
use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("an_unchanged_image_costs_one_manifest_request", unchanged),
    on_the_host("a_tag_that_moved_is_pulled_anew", moved),
    on_the_host("an_entry_point_is_the_vms_and_gets_the_terminal", entry_point),
    on_the_host("two_pulls_at_once_download_once", at_once),
    on_the_host("pulls_and_deletions_may_meet", meeting),
    on_the_host("a_pull_tells_what_goes_on_in_json", in_json),
];

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
    ensure!(described(&home, "x-v1")?.layers == first.layers, "pulled again");
    // Unless it is forced.
    pull(&home, &reference, &["--force"])?.ok()?;
    ensure!(
        described(&home, "x-v1")?.layers != first.layers,
        "not pulled again"
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
