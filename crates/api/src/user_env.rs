//! Variables of the user that go into a guest: which a client sends, and which a command gets.
//!
//! A command gets them below the variables of the image, the VM and the command. Proxies go only where the configuration says so
//! (`guest_proxy`): a guest may not be allowed to reach them, and their URLs may hold a password.

use std::collections::BTreeMap;

/// The user's time zone.
const TIME_ZONE: &str = "TZ";

/// What the user's terminal can show; for commands that have a terminal.
const COLORS: &str = "COLORTERM";

/// Proxies, in lower case; programs read either case.
const PROXIES: [&str; 4] = ["all_proxy", "http_proxy", "https_proxy", "no_proxy"];

fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}

/// What a client sends of its own environment.
pub fn of_process(has_terminal: bool) -> BTreeMap<String, String> {
    let here = std::env::vars_os();
    let here = here.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    sent(here, has_terminal)
}

/// What a client sends of its user's variables `here`.
fn sent(here: impl IntoIterator<Item = (String, String)>, has_terminal: bool) -> BTreeMap<String, String> {
    let is_sent = |name: &str, value: &str| match name {
        // A path names a file of this host.
        TIME_ZONE => !value.is_empty() && !value.starts_with([':', '/']),
        COLORS => has_terminal,
        _ => is_proxy(name),
    };
    let here = here.into_iter();
    here.filter(|(name, value)| is_sent(name, value)).collect()
}

/// What of these a command gets.
pub fn granted(sent: BTreeMap<String, String>, with_proxies: bool) -> impl Iterator<Item = (String, String)> {
    sent.into_iter().filter(move |(name, _)| match &**name {
        TIME_ZONE | COLORS => true,
        name => with_proxies && is_proxy(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(variables: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
        variables.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_is_not_on_the_list_stays_here() {
        let here = || {
            let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            [
                ("AWS_SECRET_ACCESS_KEY", "x"),
                ("COLORTERM", "truecolor"),
                ("HTTPS_PROXY", "http://proxy:3128"),
                ("PATH", "/bin"),
                ("TZ", "Europe/Berlin"),
                ("no_proxy", "localhost"),
            ]
            .map(pair)
        };
        let all = sent(here(), true);
        assert_eq!(names(all.clone()), ["COLORTERM", "HTTPS_PROXY", "TZ", "no_proxy"]);
        assert_eq!(names(sent(here(), false)), ["HTTPS_PROXY", "TZ", "no_proxy"]);
        assert_eq!(
            names(granted(all.clone(), true)),
            ["COLORTERM", "HTTPS_PROXY", "TZ", "no_proxy"]
        );
        assert_eq!(names(granted(all, false)), ["COLORTERM", "TZ"]);
        // A client may send what it likes; the daemon has the list too.
        let more = BTreeMap::from([("LD_PRELOAD".to_owned(), "x".to_owned())]);
        assert!(names(granted(more, true)).is_empty());
    }

    #[test]
    fn a_time_zone_that_is_a_file_stays_here() {
        for file in [":/etc/localtime", "/usr/share/zoneinfo/UTC", ""] {
            assert!(
                sent([("TZ".to_owned(), file.to_owned())], true).is_empty(),
                "{file}"
            );
        }
        assert_eq!(sent([("TZ".to_owned(), "CET-1CEST".to_owned())], true).len(), 1);
    }
}
