//! `cargo xtask bench`: the figures of the issues, each measured here and now, to `target/bench/figures.jsonl`.
//!
//! KVM and TCG are never compared, and cold and warm never mixed. What a host cannot measure is said and left out.

mod agent;
mod build;
mod cli;
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
mod helper;
mod home;
mod hostile;
mod import;
mod kills;
mod list;
mod net;
mod publish;
mod pull;
mod readme;
mod registry;
mod root;
mod run;
mod security;
mod session;
mod ssh;
mod tests_of_all;
mod trusted;
mod workspace;

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Context, Result, bail, ensure};

use self::figure::Figure;
use crate::repository;

/// Names, and what measures them.
type Measurement = (&'static [&'static str], fn() -> Result<Vec<Figure>>);

const MEASUREMENTS: &[Measurement] = &[
    (&["agent.size_mib"], agent::measure),
    (&["cli.start_ms", "cli.complete_ms"], cli::measure),
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
    (&["run.trusted_over_ms"], trusted::measure),
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
    (&["session.flood_watched_ratio"], session::measure_flood),
    (
        &["session.flood_watched_ratio"],
        session::measure_flood_firecracker,
    ),
    (&["ssh.true_ms"], ssh::measure_firecracker),
    (PUBLISHED, publish::measure),
    (PUBLISHED, publish::measure_firecracker),
    (helper::NAMES, helper::measure),
    (&["build.http_ratio"], build::measure_http),
    (&["build.filter_crates"], build::measure_filter),
    (&["test.quick_s"], tests_of_all::measure_quick),
    (&["test.full_s"], tests_of_all::measure_full),
];

const PUBLISHED: &[&str] = &[
    "net.publish_mbit",
    "net.publish_to_mbit",
    "net.publish_connection_ms",
    "net.publish_round_ms",
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
        bail!("unknown figure `{unknown}`; available: {}", all.join(", "));
    }
    let dir = repository::root().join("target/bench");
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("figures.jsonl");
    let mut out =
        std::fs::File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
    let mut faults = Vec::new();
    for (measured, measure) in MEASUREMENTS {
        if !names.is_empty() && !names.iter().any(|name| is_asked(name, measured)) {
            continue;
        }
        match measure() {
            Ok(figures) => {
                for figure in &figures {
                    println!("{figure}");
                    writeln!(out, "{}", figure.json()?)?;
                }
                faults.extend(faults_of(measured, &figures));
            }
            // One that cannot be measured here does not keep the others from being measured.
            Err(error) => {
                println!("{}: not measured: {error:#}", measured.join(", "));
                faults.push(format!("{}: not measured", measured.join(", ")));
            }
        }
    }
    println!("wrote {}", path.display());
    ensure!(
        faults.is_empty(),
        "figures are missing or miss their bounds:\n  {}",
        faults.join("\n  ")
    );
    Ok(())
}

/// What is wrong with the figures of a measurement: one that was not taken, or that misses its bound.
fn faults_of(measured: &[&str], figures: &[Figure]) -> Vec<String> {
    let missing = measured
        .iter()
        .filter(|name| !figures.iter().any(|figure| figure.name() == **name));
    let missing = missing.map(|name| format!("{name}: not measured"));
    let missed = figures.iter().filter(|figure| !figure.is_kept());
    let missed = missed.map(|figure| format!("{}: misses its bound", figure.name()));
    missing.chain(missed).collect()
}

/// Checks that README.md names figures that are measured, with their bounds.
pub(crate) fn check_readme() -> Result<()> {
    let path = repository::root().join("README.md");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let faults = readme::faults(&text);
    ensure!(
        faults.is_empty(),
        "README.md's figures are not those of the bench:\n  {}",
        faults.join("\n  ")
    );
    println!(
        "figures: {}, and README.md as they are listed",
        list::FIGURES.len()
    );
    Ok(())
}

/// Whether a name is that of a figure, or of several.
fn is_asked(name: &str, measured: &[&str]) -> bool {
    let is_part = |figure: &&str| figure.split_once('.').is_some_and(|(part, _)| part == name);
    measured.contains(&name) || measured.iter().any(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_figure_is_measured_and_the_other_way_round() {
        let measured: BTreeSet<&str> = MEASUREMENTS
            .iter()
            .flat_map(|(names, _)| *names)
            .copied()
            .collect();
        let listed: BTreeSet<&str> = list::FIGURES.iter().map(|listed| listed.name).collect();
        assert_eq!(measured, listed);
    }

    #[test]
    fn a_missed_bound_and_a_missing_figure_are_faults() {
        let names = &["daemon.idle_mib", "run.cold_tcg_s", "dns.qps_without_loss"];
        let good = [
            Figure::of("daemon.idle_mib", &[1.0, 30.0, 99.0]),
            Figure::of("run.cold_tcg_s", &[1e6]),
            Figure::of("dns.qps_without_loss", &[1e4]),
        ];
        assert_eq!(faults_of(names, &good), Vec::<String>::new());
        let bad = [
            Figure::of("daemon.idle_mib", &[30.1]),
            Figure::of("run.cold_tcg_s", &[]),
        ];
        assert_eq!(
            faults_of(names, &bad),
            [
                "dns.qps_without_loss: not measured",
                "daemon.idle_mib: misses its bound",
                "run.cold_tcg_s: misses its bound",
            ]
        );
    }

    #[test]
    fn the_readme_has_the_bounds_of_the_bench() {
        check_readme().unwrap();
    }
}
