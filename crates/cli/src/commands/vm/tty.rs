//! Whether a command gets a terminal.

use banger_api::stream::Tty;
use banger_command::terminal;

/// Options of commands that may have a terminal, with Docker's letters.
#[derive(Debug, clap::Args)]
pub(super) struct TtyArgs {
    /// Allocate a terminal for the command; the default if standard input and output are terminals
    #[arg(long, short, overrides_with = "no_tty")]
    tty: bool,
    /// Do not allocate a terminal for the command
    #[arg(long, short = 'T', overrides_with = "tty")]
    no_tty: bool,
    /// Keep standard input open; always on, accepted for `-it`
    #[arg(long, short)]
    interactive: bool,
}

impl TtyArgs {
    /// The terminal for the command, if any. A command without input gets one only if asked for.
    pub(super) fn tty(&self, reads: bool) -> Option<Tty> {
        let by_itself = reads && !self.no_tty && terminal::is_interactive();
        (self.tty || by_itself).then(terminal::tty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        tty: TtyArgs,
    }

    #[test]
    fn the_last_option_counts_and_dockers_letters_go_together() {
        let has = |args: &[&str]| {
            Command::parse_from([&["x"], args].concat())
                .tty
                .tty(false)
                .is_some()
        };
        assert!(has(&["-it"]) && has(&["-t"]) && has(&["-T", "-t"]));
        assert!(!has(&["-i"]) && !has(&["-T"]) && !has(&["-t", "-T"]));
    }
}
