//! What the commands print: every table at 40, 80 and 200 columns, common commands as a whole, and an error of each code.
//!
//! The daemon is a canned one, whose answers are fixed, so that no time and no size differs between two runs. The program is the real
//! one, on a terminal.

mod answers;
mod daemon;

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use banger_api::ErrorBody;
use banger_e2e::{Home, Terminal};
use banger_model::ErrorCode;
use serde_json::{Value, json};

use self::daemon::Daemon;

/// Rows of the terminals: more than any command prints.
const ROWS: u16 = 200;

/// Commands that print a table.
const TABLES: [(&str, &str); 16] = [
    ("vm-list", "vm list"),
    ("ps", "ps"),
    ("image-list", "image list"),
    ("image-list-available", "image list --available"),
    ("image-history", "image history debian-bookworm"),
    ("kernel-list", "kernel list"),
    ("kernel-list-available", "kernel list --available"),
    ("kernel-catalog-list", "kernel catalog list"),
    ("session-list", "vm session list web"),
    ("forward-list", "vm forward list"),
    ("ports", "vm ports web"),
    ("egress", "vm egress web"),
    ("system-df", "system df"),
    ("system-df-verbose", "system df -v"),
    ("trust-list", "trust list"),
    ("config-show", "config show fetch"),
];

/// Commands that print more than a table.
const COMMANDS: [&str; 18] = [
    "vm show web",
    "vm show web --json",
    "vm list -q",
    "vm list --format '{{ name }} {{ memory | size }}'",
    "vm list --filter phase=stopped",
    "vm list --filter colour=blue",
    "image show debian-bookworm",
    "kernel show debian",
    "vm stop web",
    "vm kill web",
    "vm set web --label team=core",
    "vm rename old older",
    "vm workspace status web",
    "vm egress web --learned",
    "vm session show web srv",
    "doctor",
    "trust list --json",
    "lsit",
];

/// The letters of indicatif's spinner.
const SPINNER: [char; 9] = ['⠁', '⠂', '⠄', '⡀', '⢀', '⠠', '⠐', '⠈', '⠉'];

fn home() -> Result<(Home, Daemon)> {
    let home = Home::bare()?;
    let daemon = Daemon::start(&home.path().join("run"), answers::all()?)?;
    Ok((home, daemon))
}

/// A command of a shell's words.
fn command(home: &Home, line: &str) -> Command {
    let mut command = home.program("sh");
    command
        .args(["-c", &format!("exec banger {line}")])
        .env("PATH", format!("{}:/usr/bin:/bin", home.programs().display()))
        .env("HOME", home.user_dir())
        .env("TERM", "xterm-256color")
        .env_remove("BANGER_DAEMON");
    command
}

/// What a terminal of this width shows of a command, and its exit code.
fn shown(home: &Home, line: &str, cols: u16) -> Result<(String, i32)> {
    let mut terminal = Terminal::start(command(home, line), ROWS, cols)?;
    terminal.rest()?;
    let mut parser = vt100::Parser::new(ROWS.try_into()?, cols.try_into()?, 0);
    parser.process(terminal.written());
    // A line that a terminal wraps is one line in the contents.
    let text = parser.screen().contents();
    let lines: Vec<String> = text.trim_end().lines().map(steady).collect();
    Ok((lines.join("\n"), terminal.end()?))
}

/// A line with `TIME` in the place of times: the fixtures are as old each time, and so of another time each time.
fn steady(line: &str) -> String {
    const FORM: &str = "0000-00-00T00:00:00";
    let is_time = |at: usize| {
        let found = line.as_bytes().get(at..at + FORM.len());
        found.is_some_and(|found| {
            found.iter().zip(FORM.bytes()).all(|(found, form)| match form {
                b'0' => found.is_ascii_digit(),
                form => *found == form,
            })
        })
    };
    match (0..line.len()).find(|at| is_time(*at)) {
        Some(at) => {
            let rest = line[at + FORM.len()..]
                .split_once('Z')
                .map_or("", |(_, rest)| rest);
            format!("{}TIME{rest}", &line[..at])
        }
        None => line.to_owned(),
    }
}

#[test]
fn tables_fit_terminals() -> Result<()> {
    let (home, _daemon) = home()?;
    for (name, line) in TABLES {
        let mut text = String::new();
        for cols in [40, 80, 200] {
            let (table, code) = shown(&home, line, cols)?;
            assert_eq!(code, 0, "{line}: {table}");
            assert!(table.lines().count() > 1, "{line}: {table}");
            for row in table.lines().filter(|row| !row.starts_with("hint:")) {
                let width = row.chars().count();
                assert!(
                    width <= usize::from(cols),
                    "{line} prints {width} columns on {cols}: {row}"
                );
            }
            text += &format!("==== banger {line}, {cols} columns\n{table}\n\n");
        }
        insta::with_settings!({ snapshot_path => "snapshots/tables", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, text);
        });
    }
    Ok(())
}

#[test]
fn commands_print_what_they_did() -> Result<()> {
    let (home, _daemon) = home()?;
    let mut text = String::new();
    for line in COMMANDS {
        let (printed, code) = shown(&home, line, 100)?;
        // What shows progress is gone at the end.
        assert!(!printed.contains(SPINNER), "{line}: {printed}");
        text += &format!("==== banger {line}\n{printed}\n(exit code {code})\n\n");
    }
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("commands", text);
    });
    Ok(())
}

/// The name of the VM whose request fails with a code.
fn failing(code: ErrorCode) -> Result<String> {
    let name = serde_json::to_value(code)?;
    let name = name.as_str().context("a code is a text")?;
    Ok(name.replace('_', "-"))
}

/// An error of each code, as a terminal shows it and in JSON.
#[test]
fn an_error_of_each_code_is_rendered() -> Result<()> {
    let (home, _daemon) = home()?;
    let mut text = String::new();
    for code in ErrorCode::ALL {
        let line = format!("vm show {}", failing(code)?);
        let (printed, exit) = shown(&home, &line, 100)?;
        let json = command(&home, &format!("{line} --json"))
            .stdin(Stdio::null())
            .output()?;
        let body: Value = serde_json::from_slice(&json.stderr)?;
        assert_eq!(body["code"], json!(code), "{line}");
        assert_eq!(json.status.code(), Some(exit), "{line}");
        let body: ErrorBody = serde_json::from_value(body)?;
        text += &format!(
            "==== {code:?}: HTTP {}, exit code {exit}\n{printed}\n\n{}\n\n",
            code.http_status(),
            serde_json::to_string(&body)?
        );
    }
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("errors", text);
    });
    Ok(())
}
