//! `cargo xtask bench`: the figures of the issues, each measured here and now, to `target/bench/figures.jsonl`.
//!
//! KVM and TCG are never compared, and cold and warm never mixed. What a host cannot measure is said and left out.

mod agent;
mod clock;
mod cp;
mod create;
mod daemon;
mod disk;
mod dns;
mod exec;
mod ext4;
mod figure;
mod generated;
mod home;
mod hostile;
mod import;
mod kills;
mod net;
mod publish;
mod pull;
mod registry;
mod root;
mod run;
mod security;
mod session;
mod ssh;
mod workspace;

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Context, Result, bail};

use self::figure::Figure;
use crate::repository;

/// Names, and what measures them.
type Measurement = (&'static [&'static str], fn() -> Result<Vec<Figure>>);

const MEASUREMENTS: &[Measurement] = &[
    (&["agent.size_mib"], agent::measure),
    (&["clock.qemu_ratio"], clock::measure),
    (&["disk.create_8g_ms", "disk.create_64g_ms"], disk::measure),
    (&["daemon.idle_mib"], daemon::measure),
    (
        &["daemon.peak_hostile_mib", "daemon.list_hostile_ms"],
        hostile::measure,
    ),
    (&["dns.answer_ms"], dns::measure_answer),
    (&["dns.qps_without_loss"], dns::measure_rate),
    (
        &["import.vs_tar_mke2fs_ratio", "import.peak_mib"],
        import::measure,
    ),
    (
        &[
            "pull.one_layer_vs_decode_ratio",
            "pull.five_layer_vs_decode_ratio",
            "pull.peak_mib",
        ],
        pull::measure,
    ),
    (&["pull.unchanged_ms"], pull::measure_unchanged),
    (&["pull.vs_umoci_mke2fs_ratio"], pull::measure_tools),
    (&["pull.vs_microsandbox_ratio"], pull::measure_microsandbox),
    (&["ext4.tree_790mb_vs_mkext4_ratio"], ext4::measure_tree),
    (&["ext4.flat_60k_s"], ext4::measure_flat),
    (&["cp.vs_bare_vsock_ratio"], cp::measure),
    (&["exec.over_echo_ms"], exec::measure),
    (&["exec.warm_fc_ms"], exec::measure_firecracker),
    (
        &[
            "create.ready_fc_ms",
            "create.host_share_ms",
            "create.vs_bare_vmm_ratio",
        ],
        create::measure,
    ),
    (&["kills.cases", "kills.failed"], kills::measure),
    (&["root.lines"], root::measure),
    (&["security.cases"], security::measure),
    (&["run.true_fc_ms", "vm.delete_fc_ms"], run::measure_firecracker),
    (&["run.cold_tcg_s"], run::measure_emulated),
    (&["net.tap_vs_bare_ratio"], net::measure),
    (
        &["workspace.prepare_vs_clone_ratio", "workspace.again_bytes"],
        workspace::measure,
    ),
    (
        &["workspace.prepare_vs_clone_ratio", "workspace.again_bytes"],
        workspace::measure_firecracker,
    ),
    (&["session.attach_ms"], session::measure_attach),
    (&["session.attach_ms"], session::measure_attach_firecracker),
    (&["session.agent_100_mib"], session::measure_memory_firecracker),
    (&["session.agent_100_mib"], session::measure_memory_emulated),
    (&["ssh.true_ms"], ssh::measure_firecracker),
    (&["net.publish_mbit"], publish::measure),
    (&["net.publish_mbit"], publish::measure_firecracker),
];

/// Measures the figures of these names, or of the parts before their first dot; all when there are none.
pub(crate) fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names
        .iter()
        .find(|name| !MEASUREMENTS.iter().any(|(measured, _)| is_asked(name, measured)))
    {
        let all: BTreeSet<&str> = MEASUREMENTS
            .iter()
            .flat_map(|(measured, _)| *measured)
            .copied()
            .collect();
        let all: Vec<&str> = all.into_iter().collect();
        bail!("no figure is called `{unknown}`; there are {}", all.join(", "));
    }
    let dir = repository::root().join("target/bench");
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("figures.jsonl");
    let mut out = std::fs::File::create(&path).with_context(|| format!("make {}", path.display()))?;
    for (measured, measure) in MEASUREMENTS {
        if !names.is_empty() && !names.iter().any(|name| is_asked(name, measured)) {
            continue;
        }
        match measure() {
            Ok(figures) => {
                for figure in figures {
                    println!("{figure}");
                    writeln!(out, "{}", figure.json()?)?;
                }
            }
            // One that cannot be measured here does not keep the others from being measured.
            Err(error) => println!("{}: not measured: {error:#}", measured.join(", ")),
        }
    }
    println!("wrote {}", path.display());
    Ok(())
}

/// Whether a name is that of a figure, or of several.
fn is_asked(name: &str, measured: &[&str]) -> bool {
    let is_part = |figure: &&str| figure.split_once('.').is_some_and(|(part, _)| part == name);
    measured.contains(&name) || measured.iter().any(is_part)
}
