//! Pulls that go wrong: registries that misbehave, and users who change their minds.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Hosted, Trick};

use crate::images::files_in;
use crate::pulling::{home, image, noise, pull, refused, within};
use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_layer_that_is_cut_goes_on_where_it_was", cut),
    on_the_host("registries_that_misbehave_leave_nothing", misbehaving),
    on_the_host("a_pull_that_is_interrupted_leaves_nothing", interrupted),
];

fn cut(_: Backend) -> Result<()> {
    let hosted = Hosted::new(&image(&noise(1 << 20))?)?;
    // A length that is wrong does no harm when all came, and is what its digest says.
    for trick in [Trick::CutOnce, Trick::BusyOnce, Trick::SayMore] {
        let server = hosted.serve(trick, &hosted.layer)?;
        let home = home("")?;
        pull(&home, &format!("{}/x", server.host()), &[])?.ok()?;
        let ranges = server.ranges();
        match trick {
            Trick::CutOnce => ensure!(
                ranges.len() == 1 && ranges[0] > 0,
                "asked for parts from {ranges:?}"
            ),
            _ => ensure!(ranges.is_empty(), "asked for parts from {ranges:?}"),
        }
        home.end()?;
    }
    // The manifest too may have to be asked for again.
    let server = hosted.serve(Trick::BusyOnce, "manifests/latest")?;
    let home = home("")?;
    pull(&home, &format!("{}/x", server.host()), &[])?.ok()?;
    home.end()
}

fn misbehaving(_: Backend) -> Result<()> {
    let hosted = Hosted::new(&image(&noise(100_000))?)?;
    let (layer, config) = (hosted.layer.as_str(), hosted.config.as_str());
    let tricks = [
        (layer, Trick::Hang, "unpack layer 1 of 1"),
        (layer, Trick::HangMidway, "unpack layer 1 of 1"),
        (layer, Trick::CutAlways, "unpack layer 1 of 1"),
        (layer, Trick::SayLess, "ended after"),
        (layer, Trick::SayNothingAndSendMore, "bytes, expected"),
        (layer, Trick::Flip, "sha256:"),
        (layer, Trick::Fail, "500"),
        (layer, Trick::Busy, "429"),
        (layer, Trick::Miss, "404"),
        (config, Trick::Hang, "get the configuration of"),
        (config, Trick::HangMidway, "get the configuration of"),
        (config, Trick::CutAlways, "get the configuration of"),
        (config, Trick::SayLess, "get the configuration of"),
        (config, Trick::SayNothingAndSendMore, "bytes, expected"),
        (config, Trick::Flip, "sha256:"),
        (config, Trick::Miss, "404"),
        ("manifests/latest", Trick::Hang, "get the manifest of"),
        ("manifests/latest", Trick::HangMidway, "get the manifest of"),
        ("manifests/latest", Trick::CutAlways, "get the manifest of"),
        (
            "manifests/latest",
            Trick::Flip,
            "failed to parse the image's manifest",
        ),
        (
            "manifests/latest",
            Trick::SayNothingAndSendMore,
            "failed to parse the image's manifest",
        ),
        ("manifests/latest", Trick::Fail, "500"),
        ("manifests/latest", Trick::Busy, "429"),
        ("manifests/latest", Trick::Miss, "check the name and the tag"),
    ];
    // Each is asked again for some seconds: all at once.
    std::thread::scope(|scope| {
        let told: Vec<_> = tricks
            .iter()
            .map(|(victims, trick, words)| {
                let hosted = &hosted;
                scope.spawn(move || -> Result<()> {
                    let server = hosted.serve(*trick, victims)?;
                    let home = home("")?;
                    let reference = format!("{}/x", server.host());
                    refused(&home, &reference, &[], words)
                        .with_context(|| format!("{trick:?} with {victims}"))?;
                    home.end()
                })
            })
            .collect();
        told.into_iter().try_for_each(|told| match told.join() {
            Ok(told) => told,
            Err(_) => Err(anyhow::anyhow!("a pull panicked")),
        })
    })
}

fn interrupted(_: Backend) -> Result<()> {
    let hosted = Hosted::new(&image(&noise(1 << 20))?)?;
    for victims in [hosted.layer.as_str(), "manifests/latest"] {
        let (bad, good) = (
            hosted.serve(Trick::HangMidway, victims)?,
            hosted.serve(Trick::None, "")?,
        );
        // This one has patience.
        let home = home("")?;
        std::fs::write(
            home.path().join("config/config.toml"),
            "[fetch]\nstall_seconds = 60\n",
        )?;
        home.banger(["image", "list"])?.ok()?;
        let mut hanging = home
            .command(["image", "pull", &format!("{}/x", bad.host())])
            .spawn()?;
        let tmp = home.path().join("data/images/tmp");
        let begun = || -> Result<bool> { Ok(std::fs::read_dir(&tmp)?.next().is_some()) };
        within(10, "the pull has not begun", begun)?;
        let pid = rustix::process::Pid::from_child(&hanging);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        let status = hanging.wait()?;
        ensure!(!status.success(), "it was interrupted");
        // What the daemon did for it ends too, though the registry hangs on.
        within(5, "the pull goes on", || Ok(!begun()?))?;
        // The name is free at once, and the daemon can end.
        let since = Instant::now();
        pull(&home, &format!("{}/x", good.host()), &[])?.ok()?;
        home.banger(["image", "rm", "x"])?.ok()?;
        home.banger(["daemon", "stop"])?.ok()?;
        ensure!(
            since.elapsed() < Duration::from_secs(10),
            "it took {:?}",
            since.elapsed()
        );
        home.banger(["image", "list"])?.ok()?;
        let left = files_in(&home.path().join("data/images"))?;
        ensure!(left == ["lock"] && !begun()?, "{left:?}");
        home.end()?;
    }
    Ok(())
}
