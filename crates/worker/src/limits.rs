//! What a child may take.

use std::time::Duration;

use banger_confined::Limits;

use crate::job::Job;
use crate::order::LONGEST;

/// What a job may take. The trees of the largest images are about half of it; bombs are refused long before by budgets
/// that have names. On small hosts it is less.
pub(crate) fn limits(job: &Job) -> Limits {
    let ram = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    });
    let half = ram.map_or(u64::MAX, |kib| kib << 9);
    Limits {
        memory: half.clamp(768 << 20, 2 << 30),
        cpu: Duration::from_secs(2 * 3600),
        // A download takes as long as it takes; `[fetch]` says how long nothing may come.
        time: (!job.waits_for_others()).then_some(Duration::from_secs(4 * 3600)),
        output: LONGEST,
    }
}
