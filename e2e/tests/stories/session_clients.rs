//! Who is attached to a session: terminals, several writers, editors by acp.

use anyhow::{Result, ensure};
use banger_api::stream::SessionState;
use banger_e2e::{Backend, Home, Terminal};

use crate::sessions::{home_with_vm, session, show};
use crate::{Scenario, everywhere, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("the_terminal_of_a_session_is_painted_anew", painted),
    everywhere("one_writes_to_a_session_and_others_watch", writers),
    in_guests("an_editor_speaks_to_the_guests_coding_agent", acp),
];

pub(crate) fn attach(home: &Home, more: &[&str], rows: u16, cols: u16) -> Result<Terminal> {
    let args = ["vm", "session", "attach", "vm", "vi"].iter().chain(more);
    Terminal::start(home.command(args), rows, cols)
}

/// A session `vi` with an editor, and a terminal of 20 lines on which a greeting was typed into it.
pub(crate) fn edit(home: &Home) -> Result<Terminal> {
    let editor = ["busybox", "vi", "/tmp/banger-story-of-vi"];
    let start = [&["start", "vm", "--name", "vi", "-t", "--"], &editor[..]].concat();
    session(home, &start)?.ok()?;
    let mut terminal = attach(home, &[], 20, 70)?;
    terminal.expect("~")?;
    terminal.write("ihello there\x1b")?;
    terminal.expect("hello there")?;
    Ok(terminal)
}

fn painted(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    let mut first = edit(&home)?;
    // Leaving is no end.
    first.write("\x1d")?;
    first.expect("detached; the session keeps running")?;
    ensure!(first.end()? == 0);
    ensure!(show(&home, "vi")?.state == SessionState::Running);
    // It is all there again, for who comes with the same size, before vi has drawn anything.
    let mut second = attach(&home, &["--read-only"], 20, 70)?;
    second.expect("hello there")?;
    second.expect("~")?;
    drop(second);
    // One with another size gets what fits.
    let mut third = attach(&home, &[], 10, 40)?;
    third.expect("hello there")?;
    third.write(":q!\r")?;
    ensure!(third.end()? == 0);
    session(&home, &["wait", "vm", "vi"])?.ok()?;
    home.end()
}

fn writers(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    session(&home, &["start", "vm", "--name", "vi", "-t", "--", "sh"])?.ok()?;
    let mut first = attach(&home, &[], 24, 80)?;
    first.write("echo fir''st\r")?;
    first.expect("first")?;
    let refused = attach(&home, &[], 24, 80)?;
    ensure!(refused.end()? == 125);
    session(&home, &["attach", "vm", "vi"])?
        .exited(125)?
        .saying("another client is attached")?
        .saying("write together with --shared")?;
    session(&home, &["send", "vm", "vi", "x"])?
        .failed()?
        .saying("another client is attached")?;
    let mut watcher = attach(&home, &["--read-only"], 24, 80)?;
    watcher.expect("first")?;
    watcher.write("echo not''hing\r")?;
    first.write("echo mo''re\r")?;
    watcher.expect("more")?;
    // One who takes it sends the other away.
    let mut second = attach(&home, &["--take", "--detach-key", "ctrl-p,ctrl-q"], 24, 80)?;
    first.expect("another client writes in the place of this one")?;
    ensure!(first.end()? == 125);
    second.write("echo sec''ond\r")?;
    watcher.expect("second")?;
    second.write("\x10\x11")?;
    ensure!(second.end()? == 0);
    let mut one = attach(&home, &["--shared"], 24, 80)?;
    let mut other = attach(&home, &["--shared"], 24, 80)?;
    one.write("echo sha''red\r")?;
    other.expect("shared")?;
    other.write("exit 5\r")?;
    ensure!(one.end()? == 5 && other.end()? == 5 && watcher.end()? == 5);
    let logs = session(&home, &["logs", "vm", "vi"])?.ok()?.text();
    ensure!(!logs.contains("nothing"), "one who watches wrote: {logs}");
    home.end()
}

fn acp(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    home.banger(["vm", "acp", "vm"])?
        .exited(127)?
        .saying("there is no program `opencode`")?
        .saying("install opencode in the guest")?;
    let agent = "mkdir -p /usr/local/bin; printf '#!/bin/sh\\npwd\\necho \"$@\"\\ncat\\n' > /usr/local/bin/opencode; chmod +x /usr/local/bin/opencode";
    home.sh("vm", agent)?;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let expected = |dir: &str| [format!("{dir}\nacp\n").as_bytes(), &bytes].concat();
    let output = home.banger_with(["vm", "acp", "vm"], bytes.clone())?.ok()?;
    ensure!(output.stdout == expected("/root"), "{}", output.stdout.len());
    home.sh("vm", "mkdir -p /root/repo /srv")?;
    let output = home.banger_with(["vm", "acp", "vm"], bytes.clone())?.ok()?;
    ensure!(output.stdout == expected("/root/repo"));
    let output = home
        .banger_with(["vm", "acp", "vm", "--cwd", "/srv"], bytes.clone())?
        .ok()?;
    ensure!(output.stdout == expected("/srv"));
    home.end()
}
