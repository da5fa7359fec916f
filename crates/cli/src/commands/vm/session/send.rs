//! `banger vm session send`

use std::io::{self, Read};

use banger_api::stream::{Control, SessionOutput, SessionStream, Writing};
use banger_client::{Received, Sender};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{complete, connection, exit, output};

/// Bytes of input read at once.
const CHUNK: usize = 256 << 10;

/// Send input to a session
///
/// Words are joined by spaces and followed by a newline, or by the Enter key if the session has a terminal. Returns
/// when the session's command has read all of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session send web shell make test
  banger vm session send web shell --no-newline y
  generate | banger vm session send web worker - --end      send standard input, then end the input")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Name of the session
    #[arg(add = complete::sessions())]
    session: String,
    /// Text to send; `-` to send standard input unchanged
    #[arg(
        required_unless_present = "end",
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    text: Vec<String>,
    /// Do not send a newline after the text
    #[arg(long)]
    no_newline: bool,
    /// End the session's input after the text
    #[arg(long)]
    end: bool,
    /// Send even if clients that use --shared are writing
    #[arg(long)]
    shared: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(mut args: Args) -> Result<i32, Failure> {
    // Options may follow the text.
    args.take_options();
    output::set(args.output);
    let output = args.output;
    let client = connection::connect().await?;
    let session = client.session(&args.vm, &args.session).await?;
    let stream = SessionStream {
        output: SessionOutput::None,
        input: if args.shared {
            Writing::Shared
        } else {
            Writing::Alone
        },
        ..SessionStream::default()
    };
    let joined = client.join_session(&args.vm, &session.name, &stream).await?;
    let (mut sender, mut receiver) = (joined.sender, joined.receiver);
    let enter = if session.tty { "\r" } else { "\n" };
    // Errors arrive while input is sent, so both directions run in parallel.
    let sending = tokio::spawn(async move { args.send(&mut sender, enter).await.map(|()| sender) });
    loop {
        match receiver.next().await? {
            Some(Received::Control(Control::Left { .. })) => break,
            Some(Received::Control(Control::Error { failure, .. })) => {
                let message = format!("session `{}` did not accept the input", session.name);
                return Err(Failure::during(message, &failure));
            }
            Some(Received::Control(Control::Exit { .. })) | None => {
                let message = format!("session `{}` ended before it read all of the input", session.name);
                return Err(Failure::new(message, &[]));
            }
            Some(_) => {}
        }
    }
    drop(sending.await);
    output.print(&session, |_| ())?;
    Ok(exit::OK)
}

impl Args {
    /// Extracts options from the text, which may begin with a hyphen itself.
    fn take_options(&mut self) {
        while let Some(last) = self.text.last() {
            match last.as_str() {
                "--end" => self.end = true,
                "--no-newline" => self.no_newline = true,
                "--shared" => self.shared = true,
                "--json" => self.output.json = true,
                _ => return,
            }
            self.text.pop();
        }
    }

    async fn send(self, to: &mut Sender, enter: &str) -> io::Result<()> {
        if self.text == ["-"] {
            let (chunks, mut read) = tokio::sync::mpsc::channel(2);
            std::thread::spawn(move || read_all(io::stdin().lock(), &chunks));
            while let Some(chunk) = read.recv().await {
                to.stdin(&chunk?).await?;
            }
        } else if !self.text.is_empty() {
            let mut text = self.text.join(" ");
            if !self.no_newline {
                text.push_str(enter);
            }
            if !text.is_empty() {
                to.stdin(text.as_bytes()).await?;
            }
        }
        if self.end {
            to.end_stdin().await?;
        }
        to.control(&Control::Leave).await
    }
}

/// Reads on a thread, because the read may never return.
fn read_all(mut from: impl Read, to: &tokio::sync::mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = match from.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => {
                chunk.truncate(read);
                Ok(chunk)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        if to.blocking_send(read).is_err() {
            return;
        }
    }
}
