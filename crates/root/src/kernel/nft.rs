//! The packet filter, by the program `nft`: a script on its input, nothing on its command line.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use banger_netlink::Received;
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::netlink;

/// Where the program is.
pub(crate) const PATHS: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// What is told of each transaction that came to be (linux/netfilter/nf_tables.h, nfnetlink.h).
const NFNLGRP_NFTABLES: u32 = 7;
const NFT_MSG_NEWGEN: u16 = (10 << 8) | 15;

/// Makes the changes of a script as one transaction.
pub(super) fn apply(script: &str) -> io::Result<()> {
    if script.is_empty() {
        return Ok(());
    }
    let nft = start(&["-f", "-"])?;
    // Where the kernel has no netfilter at all, nft says so.
    let Ok(news) = netlink::socket(NETLINK_NETFILTER, &[NFNLGRP_NFTABLES]) else {
        return end(nft, script).map(drop);
    };
    // The port of a program's first socket is its process id; if it is not, then nft's end is waited for.
    let (pid, script) = (nft.id(), script.to_owned());
    let done = |message: &Received<'_>| message.kind == NFT_MSG_NEWGEN && message.port == pid;
    netlink::until(news, done, move || end(nft, &script).map(drop))
}

/// The tables of this name. Of others, only the names of tables and chains, and what is hooked into forwarding.
pub(super) fn list(own: &str) -> io::Result<String> {
    let listing = end(start(&["-nn", "-s", "list", "ruleset"])?, "")?;
    let listing = String::from_utf8(listing).map_err(io::Error::other)?;
    let mut is_own = false;
    let shown = |line: &&str| {
        if let Some(table) = line.strip_prefix("table ") {
            is_own = table.split(' ').nth(1) == Some(own);
        }
        let deep = line.starts_with('\t');
        is_own || !deep || line.starts_with("\tchain ") || line.contains(" hook forward ")
    };
    Ok(listing.split_inclusive('\n').filter(shown).collect())
}

fn start(arguments: &[&str]) -> io::Result<Child> {
    let program = PATHS.iter().find(|path| Path::new(path).exists());
    let program = program.ok_or_else(|| io::Error::other("`nft` was not found: install nftables"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn()
}

/// What it says at its end.
fn end(mut nft: Child, input: &str) -> io::Result<Vec<u8>> {
    // It reads all of its input before it writes, and it alone says how it went: if it dies before, its own words say more
    // than the broken pipe.
    let stdin = nft.stdin.take();
    let _ = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = nft.wait_with_output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    // The script's line, which it repeats, may be of any length.
    let words = words.lines().filter(|line| line.contains("rror"));
    let words: Vec<&str> = words.take(3).collect();
    let message = format!("nft ended with {}: {}", output.status, words.join("; "));
    Err(io::Error::other(message))
}
