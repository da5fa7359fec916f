//! The real helper against the real kernel, in network namespaces of its own: netlink, TAPs and nftables as on a host.

mod addresses;
mod egress;
mod frames;
mod hostile;
mod icmp;
mod idle;
mod life;
mod netns;
mod open;
mod policy;
mod posture;
mod segments;
mod service;
mod wide;
mod world;

use std::process::ExitCode;

use banger_needs::{Need, tests};

fn main() -> ExitCode {
    // Network namespaces, TAPs and the packet filter.
    let needs = [Need::Root, Need::Program("nft"), Need::Tun];
    let all = tests![
        policy::off_reaches_nothing,
        policy::nat_reaches_the_public_internet_as_the_host,
        policy::private_addresses_are_reached_only_when_named,
        policy::allow_reaches_what_is_listed,
        policy::answers_open_addresses_for_their_time,
        policy::learn_reaches_the_internet_and_is_recorded,
        policy::learn_tells_of_connections_that_were_open_before,
        policy::guests_meet_only_by_name,
        policy::the_host_is_reached_by_named_ports_alone,
        policy::a_guest_is_only_itself,
        policy::a_narrower_policy_ends_connections,
        frames::no_frame_says_more_than_its_card,
        policy::limits_are_said,
        egress::segments_that_conntrack_refuses_end_no_connection,
        egress::a_half_closed_connection_waits_for_its_answer,
        egress::segments_fit_a_narrow_uplink,
        icmp::errors_are_about_the_guests_own_connections,
        icmp::no_other_icmp_goes_out_or_moves_the_host,
        idle::an_idle_connection_outlives_the_hosts_own_settings,
        idle::a_forgotten_connection_goes_on_with_the_guests_next_word,
        idle::a_connection_of_an_address_that_is_gone_is_reset,
        idle::a_connection_that_is_refused_later_is_reset,
        egress::a_change_holds_for_what_comes_in,
        egress::neighbours_are_refused_unless_named,
        egress::embedded_and_cloud_addresses_are_refused,
        egress::a_guest_opens_nothing_by_odd_segments,
        open::what_is_open_outside_follows_the_rules,
        open::what_is_open_to_the_host_or_another_guest_follows_the_rules,
        egress::a_change_forgets_what_names_resolved_to,
        life::what_is_others_stays,
        life::what_was_broken_is_repaired,
        life::a_filter_that_is_gone_is_loaded_by_the_next_verb,
        life::fifty_attach_at_once,
        life::only_the_owner_is_served_and_has_the_tap,
        life::a_step_that_fails_leaves_what_was_there,
        life::what_could_not_be_undone_is_reported_and_repaired_later,
        life::saying_it_twice_is_saying_it_once,
        posture::the_helper_holds_what_it_needs,
        posture::confinement_holds,
        posture::no_other_system_call_is_left,
        addresses::what_comes_later_is_not_shadowed,
        addresses::a_resolver_is_not_shadowed,
        addresses::what_the_host_is_connected_to_is_not_shadowed,
        addresses::nothing_outside_the_range_is_taken,
        addresses::a_second_owner_takes_nothing_of_the_first,
        addresses::guests_go_on_when_the_conflict_is_gone,
        hostile::no_frame_is_more_than_a_verb,
        hostile::random_frames_change_nothing,
        hostile::root_is_heard_whatever_the_owner_holds,
        hostile::an_owner_has_a_budget,
        wide::the_widest_rules_are_taken_in_time,
        hostile::flows_are_told_to_their_owner_alone,
        hostile::a_helper_that_is_killed_in_a_verb_leaves_nothing_half,
        service::who_waits_for_it_is_told,
        service::what_it_made_can_be_removed_without_it,
        service::the_hosts_resolver_is_told,
    ];
    // Each has hosts and guests of its own; more at a time only slow each other down.
    banger_needs::run(Some(4), &[(&needs, all)])
}
