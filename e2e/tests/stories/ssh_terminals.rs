//! Terminals over SSH: sizes, keys and modes.

use std::time::Duration;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image, Ssh, Terminal};

use crate::{Scenario, everywhere};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("ssh_has_terminals", terminals).with("ssh"),
    everywhere("a_terminal_is_in_its_clients_modes", modes).with("ssh"),
];

const VM: &str = "vm.vm";

fn terminals(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let script = "tty; stty size; echo $TERM; read x; stty size; exit 5";
    let mut command = ssh.client("ssh", ["-tt", VM, script]);
    command.env("TERM", "xterm-story");
    let mut terminal = Terminal::start(command, 30, 100)?;
    terminal.expect("/dev/pts/")?;
    terminal.expect("30 100")?;
    terminal.expect("xterm-story")?;
    terminal.resize(50, 132)?;
    std::thread::sleep(Duration::from_millis(300));
    terminal.write("\r")?;
    terminal.expect("50 132")?;
    let code = terminal.end()?;
    ensure!(code == 5, "exit code {code}");
    // Ctrl-C is the terminal's, and reaches what runs in it.
    let script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 1; done";
    let mut terminal = Terminal::start(ssh.client("ssh", ["-tt", VM, script]), 24, 80)?;
    terminal.expect("ready")?;
    terminal.write("\x03")?;
    terminal.expect("caught")?;
    let code = terminal.end()?;
    ensure!(code == 9, "exit code {code}");
    home.end()
}

/// What the client's terminal is like, the guest's is: `stty` sees the same on both.
fn modes(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let ssh = Ssh::of(&home)?;
    let seen = |said: &str| -> Result<Terminal> {
        let mut command = home.program("sh");
        let script = format!(
            "stty {said} && exec ssh -F \"$0\" -tt {VM} 'echo $SSH_TTY; tty; echo $SSH_CLIENT; stty -a'"
        );
        command.arg("-c").arg(script).arg(&ssh.config);
        Terminal::start(command, 24, 200)
    };
    let mut terminal = seen("erase ^H intr ^K iutf8 -echo -ixon -onlcr")?;
    for words in ["/dev/pts/", "/dev/pts/", "UNKNOWN 65535 65535"] {
        terminal.expect(words)?;
    }
    // In the order in which `stty -a` tells them.
    all(
        terminal,
        "intr = ^K;erase = ^H;-ixon; iutf8;-onlcr; icanon;-echo ",
    )?;
    let terminal = seen("erase ^? -iutf8 -icanon -isig -opost")?;
    all(
        terminal,
        "intr = ^C;erase = ^?; icrnl; ixon;-iutf8;-opost;-isig;-icanon; echo ",
    )?;
    home.end()
}

/// Waits for all of these, in their order, and the end.
fn all(mut terminal: Terminal, words: &str) -> Result<()> {
    words.split(';').try_for_each(|words| terminal.expect(words))?;
    let code = terminal.end()?;
    ensure!(code == 0, "exit code {code}");
    Ok(())
}
