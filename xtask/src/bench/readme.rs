//! README.md's table of figures: each that it names is measured, and has the bound that it is measured beside.

use super::list::{Listed, listed};

/// The head of the table, by which it is found.
const HEAD: &str = "| what | figure | here | bound |";

/// What is wrong with the table.
pub(super) fn faults(readme: &str) -> Vec<String> {
    let table: Vec<&str> = readme
        .lines()
        .skip_while(|line| *line != HEAD)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    if table.is_empty() {
        return vec![format!("there is no table with the head `{HEAD}`")];
    }
    table.into_iter().flat_map(faults_of_row).collect()
}

fn faults_of_row(row: &str) -> Vec<String> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [what, names, _, bounds] = cells[..] else {
        return vec![format!("{row}: {} cells", cells.len())];
    };
    let names: Vec<&str> = names
        .split(';')
        .map(|name| name.trim().trim_matches('`'))
        .collect();
    let bounds: Vec<&str> = bounds.split(';').map(str::trim).collect();
    if bounds.len() != 1 && bounds.len() != names.len() {
        return vec![format!(
            "{what}: {} figures and {} bounds",
            names.len(),
            bounds.len()
        )];
    }
    let of = |index: usize| bounds.get(index).or(bounds.first()).copied().unwrap_or_default();
    let faults = names.iter().enumerate().filter_map(|(index, name)| {
        let Some(listed) = listed(name) else {
            return Some(format!("{what}: nothing measures `{name}`"));
        };
        fault_of_bound(listed, of(index)).map(|fault| format!("{name}: {fault}"))
    });
    faults.collect()
}

fn fault_of_bound(listed: &Listed, text: &str) -> Option<String> {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let said = match number {
        "" => None,
        number => match number.replace(',', "").parse::<f64>() {
            Ok(number) => Some(number),
            Err(_) => return Some(format!("the bound `{text}` is no number")),
        },
    };
    let kept = listed.bound.target();
    let bound = kept.map_or("none".to_owned(), |bound| format!("{bound} {}", listed.unit));
    if said != kept {
        return Some(format!("README.md has the bound `{text}`, the bench {bound}"));
    }
    let is_unit = unit.is_empty() || unit == listed.unit || format!("{unit}s") == listed.unit;
    (!is_unit).then(|| format!("README.md has the unit `{unit}`, the bench {bound}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &str) -> String {
        format!("# x\n\n{HEAD}\n|---|---|---|---|\n{rows}\n\n| other | table |\n")
    }

    #[test]
    fn a_right_table_has_no_faults() {
        let rows = "| a | `daemon.idle_mib` | 10 MiB | 30 MiB |\n\
                    | b | `net.attach_warm_ms`; `net.attach_cold_ms` | 3 ms; 3 ms | 5; 25 ms |\n\
                    | c | `disk.create_8g_ms`; `disk.create_64g_ms` | 1 ms; 1 ms | 10 ms |\n\
                    | d | `dns.qps_without_loss` | 40,000 | 10,000 |\n\
                    | e | `run.cold_tcg_s` | 2 s | |\n\
                    | f | `ext4.tree_790mb_vs_mkext4_ratio` | 0.9 times | 1 time |";
        assert_eq!(faults(&table(rows)), Vec::<String>::new());
    }

    #[test]
    fn each_wrong_row_is_named() {
        for (row, words) in [
            (
                "| a | `daemon.idle_mib` | 10 MiB | 31 MiB |",
                "the bound `31 MiB`, the bench 30 MiB",
            ),
            ("| a | `daemon.idle_mib` | 10 MiB | 30 ms |", "the unit `ms`"),
            ("| a | `daemon.idle_mib` | 10 MiB | |", "the bound ``"),
            ("| a | `run.cold_tcg_s` | 2 s | 3 s |", "the bench none"),
            (
                "| a | `daemon.lazy_mib` | 10 MiB | 30 MiB |",
                "nothing measures `daemon.lazy_mib`",
            ),
            ("| a | | 10 MiB | 30 MiB |", "nothing measures ``"),
            ("| a | `run.cold_tcg_s` | 10 MiB |", "3 cells"),
            (
                "| a | `disk.create_8g_ms` | 1 ms | 10; 10 ms |",
                "1 figures and 2 bounds",
            ),
        ] {
            let faults = faults(&table(row)).join("\n");
            assert!(faults.contains(words), "{row}: {faults}");
        }
        assert!(!faults("# no table").is_empty());
    }
}
