//! `banger man`, which `make install` runs.

use std::path::{Path, PathBuf};

use banger_command::failure::Failure;
use banger_command::{exit, print};
use clap::{Command, CommandFactory};

use super::Cli;

/// Write the manual pages of all commands to a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger man /usr/local/share/man/man1
  banger man . && man ./banger-vm-run.1")]
pub(crate) struct Args {
    /// Directory to write to; created if it does not exist
    dir: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<i32, Failure> {
    let written = write(&args.dir).map_err(|error| {
        let what = format!("failed to write the manual pages to {}", args.dir.display());
        Failure::during(what, &error)
    })?;
    print::notice!("{}: {written} manual pages", args.dir.display());
    Ok(exit::OK)
}

fn write(dir: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let mut cli = Cli::command();
    cli.build();
    pages(&cli, "banger", dir)
}

/// A page for a command and each one below it: `banger-vm-run.1`.
fn pages(command: &Command, name: &str, dir: &Path) -> std::io::Result<usize> {
    let mut page = Vec::new();
    // The name of the page; links between pages follow from it.
    let named = command.clone().display_name(name.to_owned());
    clap_mangen::Man::new(named)
        .title(name.to_owned())
        .manual("banger".to_owned())
        .render(&mut page)?;
    std::fs::write(dir.join(format!("{name}.1")), page)?;
    let mut written = 1;
    let below = command.get_subcommands();
    for below in below.filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        written += pages(below, &format!("{name}-{}", below.get_name()), dir)?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write(dir.path()).unwrap() > 80);
        let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let run = page("banger-vm-run.1");
        assert!(run.contains(".TH banger-vm-run 1"), "{run}");
        assert!(
            run.contains("banger vm run"),
            "the synopsis names the command: {run}"
        );
        assert!(run.contains("Examples:"), "{run}");
        page("banger-vm-workspace-prepare.1");
        page("banger.1");
    }
}
