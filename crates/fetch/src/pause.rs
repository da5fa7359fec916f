//! How long is waited before a server is asked again.

use std::time::Duration;

/// The pause after so many failures.
pub fn pause_after(failures: u32) -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter, and nothing worse.
    let _ = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::empty());
    backoff(failures, byte[0])
}

/// Doubled each time up to eight seconds, and of that between half and all, so that many clients of a server that came
/// back do not come back at once.
fn backoff(failures: u32, random: u8) -> Duration {
    let whole = Duration::from_millis(250 << failures.saturating_sub(1).min(5));
    whole / 2 + whole * u32::from(random) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(backoff(1, 0), Duration::from_millis(125));
        assert!(backoff(1, 255) <= Duration::from_millis(250));
        assert_eq!(backoff(3, 0), Duration::from_millis(500));
        assert_eq!(backoff(99, 0), Duration::from_secs(4));
    }
}
