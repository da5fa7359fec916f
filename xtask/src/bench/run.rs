//! `vm run` from command line to exit, and `vm delete`.

use anyhow::Result;
use banger_api::Vm;

use super::figure::Figure;
use super::home::{Home, Under, ms};

const RUNS: usize = 10;

pub(super) fn measure_firecracker() -> Result<Vec<Figure>> {
    let home = Home::with_image()?.with_kernel(Under::Firecracker)?;
    let nowhere = tempfile::tempdir()?;
    let path = nowhere.path().to_string_lossy().into_owned();
    let run = [
        "vm",
        "run",
        "--rm",
        "--image",
        "busybox",
        "--vmm",
        "firecracker",
        "--memory",
        "256M",
        &path,
        "--",
        "true",
    ];
    let (mut ran, mut deleted) = (Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let (took, _) = home.time(&run)?;
        home.create(Under::Firecracker, "256M", &[])?;
        let (gone, _) = home.time(&["vm", "delete", "-f", "vm"])?;
        if round > 0 {
            ran.push(ms(took));
            deleted.push(ms(gone));
        }
    }
    Ok(vec![
        Figure::of("run.true_fc_ms", &ran).under("firecracker"),
        Figure::of("vm.delete_fc_ms", &deleted).under("firecracker"),
    ])
}

pub(super) fn measure_emulated() -> Result<Vec<Figure>> {
    let home = Home::with_image()?.with_kernel(Under::Emulation)?;
    let nowhere = tempfile::tempdir()?;
    let path = nowhere.path().to_string_lossy().into_owned();
    let run = [
        "vm", "run", "--rm", "--image", "busybox", "--vmm", "qemu", "--memory", "512M", &path, "--", "true",
    ];
    let mut ran = Vec::new();
    for _ in 0..3 {
        let (took, _) = home.time(&run)?;
        ran.push(took.as_secs_f64());
    }
    // What each second is, of one more like them.
    let (_, output) = home.create(Under::Emulation, "512M", &["--json"])?;
    let vm: Vm = serde_json::from_slice(&output.stdout)?;
    let stages = vm
        .machine
        .map(|machine| machine.stages_micros)
        .unwrap_or_default();
    let figure = Figure::of("run.cold_tcg_s", &ran).under("qemu tcg");
    Ok(vec![
        stages.into_iter().fold(figure, |figure, (stage, micros)| {
            figure.phase(&format!("{stage}, s"), micros as f64 / 1e6)
        }),
    ])
}
