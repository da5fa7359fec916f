//! A shell on a terminal, in which a scenario types as a person does.

use std::process::Command;

use anyhow::{Context, Result};

use crate::Terminal;

/// Rows of the terminal: what was written stays on the screen.
const ROWS: u16 = 400;

/// What the prompt writes, which no terminal shows (FinalTerm's marks of a command's end and of a prompt).
const ENDED: &str = "\x1b]133;D;";
const MARK: &str = "\x07";
const PROMPT: &str = "$ ";

/// What a question of banger ends with.
const QUESTION: &str = "[y/N] ";

/// How a command that does not end by itself is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Ctrl-c, once the command printed something.
    CtrlC,
    /// Ctrl-d, once a shell in a guest prompts.
    CtrlD,
}

/// A bash with a prompt of its own.
#[derive(Debug)]
pub struct Shell {
    terminal: Terminal,
    cols: u16,
}

/// A command that ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it printed, as a terminal shows it.
    pub text: String,
}

impl Shell {
    /// Starts a shell; `command` is a `bash` without arguments, or one behind a program that runs it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(mut command: Command, cols: u16) -> Result<Self> {
        command
            .args(["--norc", "--noprofile", "--noediting", "-i"])
            .env("PS1", "\\[\\e]133;D;$?\\a\\]$ ")
            .env("HISTFILE", "/dev/null")
            .env("TERM", "xterm-256color");
        let mut shell = Self {
            terminal: Terminal::start(command, ROWS, cols)?,
            cols,
        };
        shell.ended()?;
        Ok(shell)
    }

    /// Types a line, answers questions with yes, and waits for its end.
    ///
    /// # Errors
    /// When it stays silent.
    pub fn run(&mut self, line: &str, key: Option<Key>) -> Result<Ended> {
        let during = || format!("`{line}`");
        self.terminal.write(&format!("{line}\n"))?;
        self.terminal.expect("\r\n").with_context(during)?;
        match key {
            Some(Key::CtrlC) => {
                self.terminal.expect("\n").with_context(during)?;
                self.terminal.write("\x03")?;
            }
            Some(Key::CtrlD) => {
                self.terminal.until(&["# ", "$ "]).with_context(during)?;
                self.terminal.write("\x04")?;
            }
            None => {}
        }
        self.ended().with_context(during)
    }

    fn ended(&mut self) -> Result<Ended> {
        let mut text = String::new();
        loop {
            let (which, before) = self.terminal.until(&[ENDED, QUESTION])?;
            text += &before;
            if which == 0 {
                let (_, code) = self.terminal.until(&[MARK])?;
                self.terminal.expect(PROMPT)?;
                return Ok(Ended {
                    code: code.parse().with_context(|| format!("exit code {code:?}"))?,
                    text: screen(text.as_bytes(), self.cols)?.screen().contents(),
                });
            }
            self.terminal.write("y\n")?;
        }
    }

    /// The screen as it is, with other words in the place of some.
    ///
    /// # Errors
    /// When it has no columns.
    pub fn screen(&self, replacements: &[(&str, &str)]) -> Result<vt100::Parser> {
        let written = String::from_utf8_lossy(self.terminal.written()).into_owned();
        let replaced = replacements
            .iter()
            .fold(written, |text, (words, others)| text.replace(words, others));
        screen(replaced.as_bytes(), self.cols)
    }
}

/// A screen with what was written.
fn screen(written: &[u8], cols: u16) -> Result<vt100::Parser> {
    let mut parser = vt100::Parser::new(ROWS.try_into()?, cols.try_into()?, 0);
    parser.process(written);
    Ok(parser)
}
