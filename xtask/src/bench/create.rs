//! Creating a VM under Firecracker, and what of the time is the host's.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use banger_api::Vm;
use serde_json::json;

use super::figure::{Figure, median_of};
use super::home::{Home, Under, ms, test_kernel_append, text};

const RUNS: usize = 10;

const STAGES: [&str; 5] = ["plan", "disks", "launch", "kernel", "configure"];

pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::with_image()?.with_kernel(Under::Firecracker)?;
    let (mut wall, mut host, mut booted, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut stages: Vec<Vec<f64>> = vec![Vec::new(); STAGES.len()];
    // The first starts the daemon and makes the initrd.
    for run in 0..=RUNS {
        let (took, output) = home.create(Under::Firecracker, "256M", &["--json"])?;
        let vm: Vm = serde_json::from_slice(&output.stdout)?;
        home.banger(&["vm", "delete", "-f", "vm"])?;
        let without = boot_bare(&home)?;
        if run == 0 {
            continue;
        }
        let times: Vec<f64> = STAGES.iter().map(|stage| stage_ms(&vm, stage)).collect();
        for (samples, time) in stages.iter_mut().zip(&times) {
            samples.push(*time);
        }
        let [_, _, launch, kernel, configure] = times[..] else {
            continue;
        };
        wall.push(ms(took));
        host.push(ms(took) - launch - kernel - configure);
        booted.push(launch + kernel);
        bare.push(without);
    }
    let ratios: Vec<f64> = booted.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    let with_stages = |figure: Figure| {
        let figure = figure.under("firecracker");
        STAGES
            .iter()
            .zip(&stages)
            .fold(figure, |figure, (stage, samples)| {
                figure.phase(stage, median_of(samples.clone()))
            })
    };
    Ok(vec![
        with_stages(Figure::of("create.ready_fc_ms", &wall)),
        with_stages(Figure::of("create.host_share_ms", &host)),
        Figure::of("create.vs_bare_vmm_ratio", &ratios)
            .under("firecracker")
            .phase("VMM start to hello, ms", median_of(booted))
            .phase("bare, ms", median_of(bare)),
    ])
}

fn stage_ms(vm: &Vm, stage: &str) -> f64 {
    let stages = vm.machine.as_ref().map(|machine| &machine.stages_micros);
    stages
        .and_then(|stages| stages.get(stage))
        .map_or(f64::NAN, |micros| *micros as f64 / 1e3)
}

/// Boots the same kernel and initrd under Firecracker alone, with the same devices, until the guest says hello.
fn boot_bare(home: &Home) -> Result<f64> {
    let dir = tempfile::Builder::new().prefix("bv-").tempdir_in("/tmp")?;
    let at = |name: &str| dir.path().join(name);
    let disk = at("disk");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&disk)?;
    banger_ext4::blank_disk(&file, 8 << 30, [1; 16], "bare")?;
    let config = json!({
        "boot-source": {
            "kernel_image_path": home.path().join("data/kernels/test/vmlinux"),
            "initrd_path": newest(&home.path().join("cache/initrd"))?,
            "boot_args": format!(
                "console=ttyS0 reboot=k pci=off i8042.noaux i8042.nomux i8042.dumbkbd i8042.nopnp \
                 rdinit=/banger/agent quiet panic=-1 {}",
                test_kernel_append()
            ),
        },
        "machine-config": { "vcpu_count": 1, "mem_size_mib": 256 },
        "drives": [
            { "drive_id": "disk0", "path_on_host": rootfs(home)?, "is_root_device": false, "is_read_only": true },
            { "drive_id": "disk1", "path_on_host": disk, "is_root_device": false, "is_read_only": false,
              "cache_type": "Writeback" },
        ],
        "vsock": { "guest_cid": 3, "uds_path": "vsock.sock" },
    });
    std::fs::write(at("config.json"), config.to_string())?;
    let hellos = UnixListener::bind(at("vsock.sock_1025"))?;
    let since = Instant::now();
    let mut vmm = Command::new("firecracker")
        .args(["--no-api", "--config-file", "config.json"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start firecracker")?;
    let (mut guest, _) = hellos.accept()?;
    let mut hello = [0; 1];
    guest.read_exact(&mut hello)?;
    let took = ms(since.elapsed());
    vmm.kill()?;
    vmm.wait()?;
    Ok(took)
}

fn newest(dir: &Path) -> Result<PathBuf> {
    let entry = std::fs::read_dir(dir)?.flatten().next().context("no initrd")?;
    Ok(entry.path())
}

pub(super) fn rootfs(home: &Home) -> Result<PathBuf> {
    let output = home.banger(&["image", "show", "--json", "busybox"])?;
    let image: banger_api::Image = serde_json::from_slice(&output.stdout)?;
    let layer = image.layers.first().context("an image without layers")?;
    text(layer)?;
    Ok(layer.clone())
}
