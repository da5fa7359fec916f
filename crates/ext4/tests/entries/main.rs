//! Every kind of entry, written, checked by e2fsck and read back through the kernel.

mod giving;
#[path = "../host/mod.rs"]
mod host;
mod kinds;
mod writing;

use std::process::ExitCode;

use banger_needs::{Need, tests};

fn main() -> ExitCode {
    let mounts = [Need::Root, Need::LoopDevices];
    banger_needs::run(
        None,
        &[
            (
                &[],
                tests![
                    writing::the_limit_is_kept,
                    writing::the_same_entries_in_any_order_give_the_same_metadata_and_the_same_calls_the_same_bytes,
                ],
            ),
            (
                &mounts,
                tests![
                    kinds::an_empty_image_is_small_and_clean,
                    kinds::every_kind_of_entry_reads_back_as_it_was_given,
                    kinds::names_are_bytes_of_any_kind,
                    kinds::times_of_all_centuries_keep_their_nanoseconds,
                    kinds::attributes_of_all_sizes_and_namespaces_read_back,
                    writing::later_entries_replace_earlier_ones_and_free_their_blocks,
                    writing::a_file_whose_data_ends_early_leaves_what_was_there,
                    writing::a_users_own_lost_and_found_stays,
                    writing::sparse_segments_land_where_they_belong,
                    writing::what_cannot_be_stored_is_refused_and_leaves_a_clean_image,
                ],
            ),
        ],
    )
}
