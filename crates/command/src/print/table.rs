//! Tables that fit the terminal: nothing wraps. Where there is too little room, long cells are cut, and then columns are left out from
//! the right: a table's columns are in the order of their importance.

use std::io::IsTerminal;

use banger_model::printable;
use comfy_table::{ContentArrangement, Table, presets};
use rustix::termios::tcgetwinsize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{line, stream};

/// Columns between two cells.
const GAP: usize = 2;

/// A column is not cut below this, or below its header.
const LEAST: usize = 8;

/// Prints rows under a header, without borders. On a terminal it fits; elsewhere nothing is cut.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let rows = rows.into_iter().collect::<Vec<_>>();
    rendered(header, &rows, width()).iter().for_each(|row| line(row));
}

/// The columns of standard output, if it is a terminal.
pub fn width() -> Option<usize> {
    let stdout = stream::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The lines of a table.
fn rendered(header: &[&str], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let mut rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell).into_owned()).collect())
        .collect();
    let widths = widths(header, &rows, width.unwrap_or(usize::MAX));
    for row in &mut rows {
        row.truncate(widths.len());
        for (cell, width) in row.iter_mut().zip(&widths) {
            cut(cell, *width);
        }
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header[..widths.len()].to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP as u16));
    }
    let text = table.to_string();
    text.lines().map(|row| row.trim_end().to_owned()).collect()
}

/// The widths of the columns that are shown.
fn widths(header: &[&str], rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.width())
                .max()
                .unwrap_or_default()
                .max(name.width())
        })
        .collect();
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    loop {
        if total(&widths) <= width {
            return widths;
        }
        // The widest is cut first, but for the name, which is typed.
        let spare = |column: usize| widths[column].saturating_sub(LEAST.max(header[column].width()));
        let widest = (1..widths.len())
            .filter(|column| spare(*column) > 0)
            .max_by_key(|column| widths[*column]);
        match widest {
            // By one, so that several long columns share what is missing.
            Some(column) => widths[column] -= 1,
            None if widths.len() > 1 => drop(widths.pop()),
            None => {
                widths[0] = width;
                return widths;
            }
        }
    }
}

/// Shortens a cell, with a mark that something is missing.
fn cut(cell: &mut String, width: usize) {
    if cell.width() <= width {
        return;
    }
    let mut used = 0;
    let kept = cell.chars().take_while(|c| {
        used += c.width().unwrap_or_default();
        used < width
    });
    *cell = kept.chain(['…']).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &[&str], rows: &[&[&str]]) -> String {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|&cell| cell.to_owned()).collect())
            .collect();
        let mut text = String::new();
        for width in [40, 80, 200] {
            let lines = rendered(header, &rows, Some(width));
            for line in &lines {
                assert!(line.width() <= width, "{width}: {line}");
            }
            text += &format!("{width}:\n{}\n", lines.join("\n"));
        }
        // Nothing is cut where it is not read by people.
        let plain = rendered(header, &rows, None).join("\n");
        assert!(
            rows.iter().flatten().all(|cell| plain.contains(cell.as_str())),
            "{plain}"
        );
        text
    }

    #[test]
    fn vms_fit_terminals() {
        insta::assert_snapshot!(shown(
            &["NAME", "PHASE", "IMAGE", "VCPUS", "MEMORY", "DISK", "VMM", "AGE"],
            &[
                &[
                    "web",
                    "running",
                    "debian-bookworm",
                    "2",
                    "4 GiB",
                    "1.2 GiB of 40 GiB",
                    "firecracker (kvm)",
                    "3m"
                ],
                &[
                    "brave-otter",
                    "paused: host disk full",
                    "node-22-with-a-long-name",
                    "16",
                    "512 MiB",
                    "38 MiB of 8 GiB",
                    "-",
                    "12d"
                ],
            ],
        ));
    }

    #[test]
    fn images_and_kernels_fit_terminals() {
        insta::assert_snapshot!(shown(
            &["NAME", "OS", "SIZE", "KERNEL", "VMS", "DEFAULT"],
            &[
                &[
                    "debian-bookworm",
                    "Debian GNU/Linux 12 (bookworm)",
                    "312 MiB",
                    "debian",
                    "3",
                    "yes"
                ],
                &[
                    "registry.example/owner/tools",
                    "",
                    "1.4 GiB",
                    "generic-6.12",
                    "0",
                    ""
                ],
            ],
        ));
        insta::assert_snapshot!(shown(
            &["NAME", "VERSION", "SIZE", "SUPPORTS", "VMS", "DEFAULT"],
            &[&[
                "debian",
                "6.1.0-41-cloud-amd64",
                "31 MiB",
                "firecracker,qemu",
                "3",
                "yes"
            ]],
        ));
    }

    #[test]
    fn wide_letters_count_as_two() {
        let mut cell = "日本語テキスト".to_owned();
        cut(&mut cell, 6);
        assert_eq!(cell, "日本…");
    }
}
