//! Commands that are built only if the command line names them.
//!
//! clap needs a millisecond for the tree of all commands and options, which is half of what a short command takes. Most
//! command lines are right and need one branch of it: [`Named`] leaves the options of a command out while [`only`] builds a tree
//! for words that do not have its name. What such a tree cannot parse, the whole tree parses again, and then explains.

use std::cell::RefCell;
use std::ffi::OsString;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};

thread_local! {
    /// The words of the command line, while a part of the tree is built.
    static WORDS: RefCell<Option<Vec<OsString>>> = const { RefCell::new(None) };
}

/// Builds a tree by `build`, in which only commands named by one of `words` have options and commands below them.
pub fn only(words: &[OsString], build: impl FnOnce() -> Command) -> Command {
    WORDS.set(Some(words.to_vec()));
    let command = build();
    WORDS.set(None);
    command
}

/// Whether all commands that were matched are named by one of `words`. One that was named by an alias was not built.
pub fn are_named(mut matches: &ArgMatches, words: &[OsString]) -> bool {
    while let Some((name, below)) = matches.subcommand() {
        if !words.iter().any(|word| word == name) {
            return false;
        }
        matches = below;
    }
    true
}

fn is_wanted(name: &str) -> bool {
    WORDS.with_borrow(|words| {
        let words = words.as_ref();
        words.is_none_or(|words| words.iter().any(|word| word == name))
    })
}

/// The options of a command, or the commands below it.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<T: FromArgMatches> FromArgMatches for Named<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Named<T> {
    fn augment_args(command: Command) -> Command {
        match is_wanted(command.get_name()) {
            true => T::augment_args(command),
            false => command,
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        T::augment_args_for_update(command)
    }
}

impl<T: Subcommand> Subcommand for Named<T> {
    fn augment_subcommands(command: Command) -> Command {
        match is_wanted(command.get_name()) {
            true => T::augment_subcommands(command),
            false => command,
        }
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        T::augment_subcommands_for_update(command)
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}
