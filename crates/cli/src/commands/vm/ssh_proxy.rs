//! `banger vm ssh-proxy` and `banger vm ssh-keys`: what ssh runs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use banger_api::SshStart;
use banger_api::stream::{Control, Exec, ExitStatus};
use banger_client::Received;
use banger_command::failure::Failure;
use banger_command::{connection, exit, print};

use crate::ssh::ZONE;

/// Forward SSH between standard input and output and a VM
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the VM, or NAME.vm
    name: String,
    /// Connect to the image's own SSH server
    #[arg(long)]
    sshd: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let name = args.name.strip_suffix(ZONE).unwrap_or(&args.name);
    let client = connection::connect().await?;
    let (stream, sent) = client.ssh(name, &SshStart { sshd: args.sshd }).await?;
    let carried = tokio::task::spawn_blocking(move || carry(stream, &sent)).await;
    carried
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| Failure::during("failed to forward SSH", &error))?;
    Ok(exit::OK)
}

/// Buffer size per direction.
const BUFFER: usize = 128 << 10;

/// Forwards both directions until the VM ends its direction.
fn carry(stream: UnixStream, sent: &[u8]) -> io::Result<()> {
    let mut to = stream.try_clone()?;
    let mut input = duplicate(rustix::stdio::stdin())?;
    std::thread::spawn(move || {
        // In any case, the VM must see the end of input.
        let _ = pour(&mut input, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut output = duplicate(rustix::stdio::stdout())?;
    output.write_all(sent)?;
    match pour(&mut &stream, &mut output) {
        // ssh has ended, which is the normal end.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Ok(())
        }
        poured => poured,
    }
}

/// Like `io::copy` but without splice(2), which from a pipe to a Unix socket copied the first piece and then nothing
/// (seen on Linux 6.18).
fn pour(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Standard input or output without the buffer of its handle.
fn duplicate(stream: rustix::fd::BorrowedFd<'_>) -> io::Result<File> {
    stream.try_clone_to_owned().map(File::from)
}

/// Print the host keys of the image's SSH server, as ssh's `KnownHostsCommand`
#[derive(Debug, clap::Args)]
pub(crate) struct KeysArgs {
    /// Name of the VM
    name: String,
}

/// The command that prints the host keys.
const KEYS: &str = "cat /etc/ssh/ssh_host_*_key.pub";

pub(super) async fn keys(args: KeysArgs) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let exec = Exec {
        argv: ["sh", "-c", KEYS].map(str::to_owned).to_vec(),
        user: Some("root".to_owned()),
        ..Exec::default()
    };
    let mut session = client.exec(&args.name, &exec).await?;
    session
        .sender
        .end_stdin()
        .await
        .map_err(|error| Failure::during("failed to read the SSH host keys", &error))?;
    let mut keys = Vec::new();
    let mut words = Vec::new();
    let status = loop {
        match session.receiver.next().await? {
            Some(Received::Stdout(bytes)) => keys.extend(bytes),
            Some(Received::Stderr(bytes)) => words.extend(bytes),
            Some(Received::Control(Control::Exit { status })) => break Some(status),
            Some(Received::Control(Control::Error { failure, .. })) => words.extend(failure.message.bytes()),
            Some(Received::Control(_)) => {}
            None => break None,
        }
    };
    if status != Some(ExitStatus::Code(0)) {
        let hint = "omit `--sshd`: banger's own SSH server needs nothing in the image";
        let failure = Failure::new("the image has no SSH host keys", &[hint]);
        return Err(failure.with_log(String::from_utf8_lossy(&words).into_owned()));
    }
    for key in String::from_utf8_lossy(&keys).lines() {
        print::line(&format!("{}{ZONE} {key}", args.name));
    }
    Ok(exit::OK)
}
