//! The figures: name, unit, and the bound that each has to keep. README.md names them with the same bounds.

/// Which values keep a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    /// There is none: it is measured to be looked at. Less is better, or more is.
    None(Better),
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// As near to the first as the second says.
    Near(f64, f64),
}

/// Which of two values is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
}

impl Bound {
    /// Whether a value keeps it. One that is no number keeps none.
    pub(super) fn is_kept(self, value: f64) -> bool {
        match self {
            Self::None(_) => value.is_finite(),
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::Near(target, tolerance) => (value - target).abs() <= tolerance,
        }
    }

    /// The value that it is about.
    pub(super) const fn target(self) -> Option<f64> {
        match self {
            Self::None(_) => None,
            Self::AtMost(target) | Self::AtLeast(target) | Self::Near(target, _) => Some(target),
        }
    }

    /// How far from its target a value may be, if it has to be near it.
    pub(super) const fn tolerance(self) -> Option<f64> {
        match self {
            Self::Near(_, tolerance) => Some(tolerance),
            _ => None,
        }
    }

    /// What the figures' file says of it.
    pub(super) const fn better(self) -> &'static str {
        match self {
            Self::None(Better::Lower) | Self::AtMost(_) => "lower",
            Self::None(Better::Higher) | Self::AtLeast(_) => "higher",
            Self::Near(..) => "near",
        }
    }
}

/// A figure that can be measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) bound: Bound,
}

const fn at_most(name: &'static str, unit: &'static str, most: f64) -> Listed {
    let bound = Bound::AtMost(most);
    Listed { name, unit, bound }
}

const fn at_least(name: &'static str, unit: &'static str, least: f64) -> Listed {
    let bound = Bound::AtLeast(least);
    Listed { name, unit, bound }
}

const fn near(name: &'static str, unit: &'static str, target: f64, tolerance: f64) -> Listed {
    let bound = Bound::Near(target, tolerance);
    Listed { name, unit, bound }
}

/// Without a bound; less is better.
const fn less(name: &'static str, unit: &'static str) -> Listed {
    let bound = Bound::None(Better::Lower);
    Listed { name, unit, bound }
}

/// Without a bound; more is better.
const fn more(name: &'static str, unit: &'static str) -> Listed {
    let bound = Bound::None(Better::Higher);
    Listed { name, unit, bound }
}

/// All of them.
pub(super) const FIGURES: &[Listed] = &[
    at_most("agent.size_mib", "MiB", 4.0),
    at_most("build.filter_crates", "crates", 0.0),
    at_most("build.http_ratio", "times", 0.6),
    at_most("cli.complete_ms", "ms", 15.0),
    at_most("cli.start_ms", "ms", 4.0),
    near("clock.qemu_ratio", "times", 1.0, 0.005),
    at_least("cp.vs_bare_vsock_ratio", "times", 0.9),
    at_most("create.host_share_ms", "ms", 30.0),
    at_most("create.ready_fc_ms", "ms", 300.0),
    at_most("create.vs_bare_vmm_ratio", "times", 1.1),
    at_most("daemon.idle_mib", "MiB", 30.0),
    at_most("daemon.list_hostile_ms", "ms", 100.0),
    at_most("daemon.peak_hostile_mib", "MiB", 100.0),
    at_most("disk.create_64g_ms", "ms", 10.0),
    at_most("disk.create_8g_ms", "ms", 10.0),
    at_most("dns.answer_ms", "ms", 1.0),
    at_least("dns.qps_without_loss", "1/s", 10_000.0),
    at_most("exec.over_echo_ms", "ms", 2.0),
    at_most("exec.warm_fc_ms", "ms", 3.0),
    at_most("ext4.flat_60k_s", "s", 1.2),
    at_most("ext4.tree_790mb_vs_mkext4_ratio", "times", 1.0),
    at_most("import.peak_mib", "MiB", 128.0),
    at_least("import.vs_tar_mke2fs_ratio", "times", 5.0),
    at_least("kills.cases", "cases", 200.0),
    at_most("kills.failed", "cases", 0.0),
    less("net.answer_among_200vm_ms", "ms"),
    less("net.attach_50_at_once_ms", "ms"),
    at_most("net.attach_cold_ms", "ms", 25.0),
    at_most("net.attach_warm_among_200vm_ms", "ms", 5.0),
    at_most("net.attach_warm_ms", "ms", 5.0),
    at_most("net.detach_200vm_ms", "ms", 10.0),
    at_most("net.detach_ms", "ms", 10.0),
    at_most("net.policy_200vm_ms", "ms", 10.0),
    less("net.policy_in_a_row_200vm_ms", "ms"),
    less("net.prepare_ms", "ms"),
    less("net.publish_connection_ms", "ms"),
    more("net.publish_mbit", "Mbit/s"),
    less("net.publish_round_ms", "ms"),
    more("net.publish_to_mbit", "Mbit/s"),
    less("net.rebuild_200vm_ms", "ms"),
    less("net.round_trip_1vm_us", "us"),
    less("net.round_trip_200vm_us", "us"),
    at_most("net.ruleset_200vm_ms", "ms", 300.0),
    at_least("net.tap_vs_bare_ratio", "times", 0.95),
    at_most("pull.five_layer_vs_decode_ratio", "times", 1.25),
    at_most("pull.one_layer_vs_decode_ratio", "times", 1.15),
    at_most("pull.peak_mib", "MiB", 128.0),
    at_most("pull.unchanged_ms", "ms", 50.0),
    at_least("pull.vs_microsandbox_ratio", "times", 1.5),
    at_least("pull.vs_umoci_mke2fs_ratio", "times", 8.0),
    at_most("root.lines", "lines", 4000.0),
    less("run.cold_tcg_s", "s"),
    at_most("run.true_fc_ms", "ms", 450.0),
    at_most("run.trusted_over_ms", "ms", 3.0),
    at_least("security.cases", "cases", 120.0),
    at_most("session.agent_100_mib", "MiB", 32.0),
    at_most("session.attach_ms", "ms", 20.0),
    at_most("session.flood_watched_ratio", "times", 1.5),
    less("ssh.true_ms", "ms"),
    at_most("test.full_s", "s", 1200.0),
    at_most("test.quick_s", "s", 120.0),
    at_most("vm.delete_fc_ms", "ms", 60.0),
    less("workspace.again_bytes", "bytes"),
    at_most("workspace.prepare_vs_clone_ratio", "times", 1.5),
];

/// The figure of a name.
pub(super) fn listed(name: &str) -> Option<&'static Listed> {
    FIGURES.iter().find(|listed| listed.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept_or_not() {
        for (bound, kept, missed) in [
            (Bound::AtMost(5.0), 5.0, 5.1),
            (Bound::AtLeast(5.0), 5.0, 4.9),
            (Bound::Near(1.0, 0.1), 0.95, 1.2),
            (Bound::None(Better::Lower), 1e9, f64::NAN),
        ] {
            assert!(bound.is_kept(kept), "{bound:?}");
            assert!(!bound.is_kept(missed), "{bound:?}");
            assert!(!bound.is_kept(f64::NAN), "{bound:?}");
        }
    }

    #[test]
    fn every_figure_is_listed_once() {
        let names: Vec<&str> = FIGURES.iter().map(|listed| listed.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }
}
