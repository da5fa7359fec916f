//! Stacks of layers that are hard to get right: what the image shows when it is mounted must be what `umoci unpack` makes
//! of the same layout, in every attribute that a program can see. Needs root, to make devices and to mount, and umoci.
//!
//! umoci 0.4 is old, and where the specification speaks against it the expectation is written out instead, with the
//! paragraph of its `layer.md`.

mod attributes;
#[path = "../host/mod.rs"]
mod host;
mod links;
mod whiteouts;

use std::process::ExitCode;

use banger_needs::{Need, tests};

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    let umoci = [Need::Root, Need::LoopDevices, Need::Program("umoci")];
    banger_needs::run(
        None,
        &[
            (
                &mounts,
                tests![
                    whiteouts::an_opaque_root_shows_only_its_own_layer,
                    whiteouts::marks_of_aufs_are_not_shown,
                    links::marks_never_go_through_links_in_any_order,
                    links::hard_links_live_on_when_what_they_lead_to_is_whited_out,
                    attributes::attributes_that_umoci_loses_are_kept,
                    attributes::a_file_may_be_much_larger_than_what_it_holds,
                    attributes::every_packing_gives_the_same_image,
                    attributes::a_directory_of_100_000_files_is_whole,
                ],
            ),
            (
                &umoci,
                tests![
                    whiteouts::whiteouts_remove_what_is_below_wherever_they_stand,
                    whiteouts::whiteouts_spare_what_their_own_layer_has,
                    whiteouts::opaque_directories_show_only_their_own_layer,
                    whiteouts::kinds_change_and_change_back,
                    links::symbolic_links_lead_on_to_where_lower_layers_have_directories,
                    links::hard_links_lead_within_and_across_layers,
                    whiteouts::what_a_layer_repeats_is_as_it_was_last,
                    attributes::every_attribute_is_kept,
                    attributes::names_are_any_bytes,
                    attributes::sparse_files_are_sparse,
                    attributes::parents_that_no_layer_has_are_made,
                ],
            ),
        ],
    )
}
