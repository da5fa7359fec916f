//! How a namespace leads out.

use super::*;

#[test]
fn a_way_out_is_a_default_route_that_reaches_something() {
    let route = |net: &str, reaches| Route {
        net: net.parse().unwrap(),
        link: "eth0".to_owned(),
        reaches,
    };
    let ways = |v4, v6| Ways { v4, v6 };
    let [v4, v6] = ["0.0.0.0/0", "::/0"].map(|net| route(net, true));
    assert_eq!(Ways::of(&[v4.clone(), v6.clone()]), ways(true, true));
    assert_eq!(Ways::of(&[v4, route("::/0", false)]), ways(true, false));
    assert_eq!(Ways::of(&[v6]), ways(false, true));
    let others = [route("10.0.0.0/8", true), route("0.0.0.0/0", false)];
    assert_eq!(Ways::of(&others), Ways::default());
}

#[test]
fn what_leads_out_is_renewed_only_where_it_is_of_no_use() {
    let ways = [(false, false), (true, false), (false, true), (true, true)].map(|(v4, v6)| Ways { v4, v6 });
    let [none, v4, v6, both] = ways;
    for (host, inside) in [
        (v4, v6),
        (both, v6),
        (v6, v4),
        (v4, none),
        (v6, none),
        (both, none),
    ] {
        assert!(host.are_missing_in(inside), "{host:?} {inside:?}");
    }
    for (host, inside) in [
        (v4, v4),
        (v4, both),
        (v6, both),
        (both, v4),
        (none, v4),
        (none, both),
    ] {
        assert!(!host.are_missing_in(inside), "{host:?} {inside:?}");
    }
}
