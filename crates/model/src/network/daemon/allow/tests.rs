//! Rules of networks and names, as they are written, read and refused.

use proptest::prelude::*;

use super::*;

#[test]
fn rules_read_back_as_they_are_written() {
    for text in [
        "10.0.0.0/8",
        "203.0.113.7",
        "203.0.113.7:443",
        "10.0.0.0/8:22",
        "2001:db8::/32",
        "2001:db8::1",
        "[2001:db8::1]:443",
        "[2001:db8::/32]:443",
        "example.com",
        "example.com:443",
        "*.example.com",
        "*.example.com:8443",
        "_ldap.corp",
        "localhost:1",
        "vm:web-1",
        "host:8080",
    ] {
        let rule: Allow = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(rule.to_string(), text);
    }
    assert_eq!(
        "Example.COM.".parse::<Allow>().unwrap().to_string(),
        "example.com"
    );
    assert_eq!(
        "[2001:db8::1]".parse::<Allow>().unwrap().to_string(),
        "2001:db8::1"
    );
}

#[test]
fn a_refusal_names_the_rule_and_says_what_to_use() {
    let refusals: Vec<String> = [
        "",
        "host",
        "host:",
        "vm:",
        "vm:My VM",
        "1.2.3",
        "a b",
        "*.",
        "**.x.com",
        "x.com:0",
        "x.com:65536",
        "x.com:+1",
        "x.com:http",
        "10.0.0.1/8",
        "10.0.0.0/8/9",
        "[::1",
        "[::1]443",
        "a:b:c",
        "-x.com",
    ]
    .into_iter()
    .map(|text| {
        text.parse::<Allow>()
            .map_or_else(|error| error.to_string(), |rule| panic!("{text}: {rule:?}"))
    })
    .collect();
    assert_eq!(refusals[1], "invalid network rule `host`: expected host:PORT");
    assert_eq!(
        refusals[10],
        "invalid port `65536` in network rule `x.com:65536`: expected 1 to 65535"
    );
    assert!(
        refusals[5].ends_with("expected HOST[:PORT], CIDR[:PORT], *.DOMAIN[:PORT], vm:NAME or host:PORT")
    );
}

#[test]
fn names_under_a_domain_are_not_the_domain() {
    let rule: Allow = "*.example.com".parse().unwrap();
    let is_for = |name: &str| rule.is_for_name(&name.parse().unwrap());
    assert!(is_for("a.example.com") && is_for("A.B.EXAMPLE.com."));
    assert!(!is_for("example.com") && !is_for("badexample.com") && !is_for("example.com.evil.org"));
}

proptest! {
    #[test]
    fn any_text_is_a_rule_that_round_trips_or_a_refusal(text in "\\PC{0,40}") {
        if let Ok(rule) = text.parse::<Allow>() {
            prop_assert_eq!(rule.to_string().parse::<Allow>(), Ok(rule));
        }
    }

    #[test]
    fn likely_texts_round_trip(text in "(\\*\\.|vm:|host|\\[)?[0-9a-f:.]{0,12}(/[0-9]{1,3})?\\]?(:[0-9]{1,5})?") {
        if let Ok(rule) = text.parse::<Allow>() {
            prop_assert_eq!(rule.to_string().parse::<Allow>(), Ok(rule));
        }
    }
}
