//! `banger vm session logs`

use std::io::{self, Write};

use banger_api::stream::{Control, OutputStream, SessionOutput, SessionStream};
use banger_client::{Client, Received, Receiver};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::print::{
    self,
    stream::{self, Log},
};
use banger_command::{complete, connection, exit};
use banger_model::printable_json;
use clap::ValueEnum;
use serde::Serialize;

/// Maximum number of retries in a row without new output.
const TRIES: u32 = 5;

/// Print the output of a session
///
/// Standard error of the session is printed to standard error. A note is printed where output was removed to keep the
/// log small. --follow survives a restart of the daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session logs web make
  banger vm session logs web make -f --timestamps
  banger vm session logs web make --show-cursor --since 4096    continue where you stopped
  banger vm session logs web make --stream stderr")]
#[command(mut_arg("json", |json| json.help("Print JSON, one object per line with cursor, stream, time and text")))]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Name of the session
    #[arg(add = complete::sessions())]
    session: String,
    /// Follow the log until the session ends
    #[arg(long, short)]
    follow: bool,
    /// Cursor to start at, counted in bytes of both streams
    #[arg(long, value_name = "CURSOR")]
    since: Option<u64>,
    /// Stream to print; both if omitted
    #[arg(long, value_enum)]
    stream: Option<Which>,
    /// Print the time at which each line was written
    #[arg(long, short, conflicts_with = "json")]
    timestamps: bool,
    /// Print the cursor for the next --since to standard error
    #[arg(long)]
    show_cursor: bool,
    #[command(flatten)]
    output: Output,
    /// Print all bytes unchanged; by default only text, line ends and colours reach a terminal
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

impl Args {
    /// Options that print the whole log of a session unchanged.
    pub(crate) fn of(vm: String, session: &str, follow: bool, raw: bool) -> Self {
        Self {
            vm,
            session: session.to_owned(),
            follow,
            since: None,
            stream: None,
            timestamps: false,
            show_cursor: false,
            output: Output::default(),
            raw,
        }
    }

    /// The same, with the time before each line or without.
    pub(crate) const fn with_timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Stdout,
    Stderr,
}

/// A piece of output, or a gap.
#[derive(Debug, Serialize)]
struct Piece<'a> {
    cursor: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    /// Invalid UTF-8 is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<u64>,
}

pub(crate) async fn run(args: Args) -> Result<i32, Failure> {
    let mut client = connection::connect().await?;
    let mut reading = Reading {
        stdout: stream::log(args.raw),
        stderr: stream::log_of_errors(args.raw),
        args,
        next: None,
        time_us: 0,
        is_in_line: false,
    };
    let mut tries = 0;
    loop {
        let before = reading.next;
        match reading.read(&client).await {
            Ok(Ended::All) => break,
            Ok(Ended::Broken) | Err(Broken::Stream) if reading.args.follow => {
                tries = if reading.next == before { tries + 1 } else { 0 };
                if tries >= TRIES {
                    return Err(lost());
                }
                client = connection::connect().await?;
            }
            Ok(Ended::Broken) | Err(Broken::Stream) => return Err(lost()),
            Err(Broken::Refused(failure)) => return Err(failure),
        }
    }
    if reading.args.show_cursor {
        print::notice!("cursor: {}", reading.next.unwrap_or_default());
    }
    Ok(exit::OK)
}

fn lost() -> Failure {
    Failure::new(
        "the connection to the session's log was lost",
        &["check with `banger vm list` whether the VM is running"],
    )
}

/// How a stream ended.
enum Ended {
    /// Everything was printed.
    All,
    /// The stream broke off.
    Broken,
}

enum Broken {
    Stream,
    Refused(Failure),
}

/// A log that is being printed.
struct Reading {
    args: Args,
    stdout: Log<io::Stdout>,
    stderr: Log<io::Stderr>,
    /// The cursor of the next output.
    next: Option<u64>,
    time_us: u64,
    is_in_line: bool,
}

impl Reading {
    async fn read(&mut self, client: &Client) -> Result<Ended, Broken> {
        let stream = SessionStream {
            output: if self.args.follow {
                SessionOutput::Follow
            } else {
                SessionOutput::Log
            },
            since: Some(self.next.or(self.args.since).unwrap_or_default()),
            only: self.args.stream.map(|stream| match stream {
                Which::Stdout => OutputStream::Stdout,
                Which::Stderr => OutputStream::Stderr,
            }),
            ..SessionStream::default()
        };
        let joined = client
            .join_session(&self.args.vm, &self.args.session, &stream)
            .await;
        // The sender is kept: dropping it would mean that the client has left.
        let joined = joined.map_err(|error| Broken::Refused(error.into()))?;
        let mut from = joined.receiver;
        let ended = self.print_all(&mut from).await;
        drop(joined.sender);
        ended
    }

    async fn print_all(&mut self, from: &mut Receiver) -> Result<Ended, Broken> {
        loop {
            let received = from.next().await.map_err(|_| Broken::Stream)?;
            let printed = match received {
                None => return Ok(Ended::Broken),
                Some(Received::Stdout(bytes)) => self.output("stdout", &bytes),
                Some(Received::Stderr(bytes)) => self.output("stderr", &bytes),
                Some(Received::Control(control)) => match control {
                    Control::At { cursor, time_us } => {
                        (self.next, self.time_us) = (Some(cursor), time_us);
                        Ok(())
                    }
                    Control::Gap { bytes, .. } => self.gap(bytes),
                    Control::Left { cursor } => {
                        self.next = Some(cursor);
                        return Ok(Ended::All);
                    }
                    Control::Exit { .. } => return Ok(Ended::All),
                    Control::Error { failure, .. } => {
                        let message = format!("failed to follow session `{}`", self.args.session);
                        return Err(Broken::Refused(Failure::during(message, &failure)));
                    }
                    _ => Ok(()),
                },
            };
            print::written(printed);
        }
    }

    fn output(&mut self, stream: &'static str, bytes: &[u8]) -> io::Result<()> {
        let cursor = self.next.unwrap_or_default();
        self.next = Some(cursor + bytes.len() as u64);
        if self.args.output.json {
            return self.object(&Piece {
                cursor,
                time: Some(self.time()),
                stream: Some(stream),
                text: Some(String::from_utf8_lossy(bytes).into_owned()),
                gap: None,
            });
        }
        let timed = self.args.timestamps.then(|| self.timed(bytes));
        let bytes = timed.as_deref().unwrap_or(bytes);
        if stream == "stderr" {
            self.stderr.show(bytes)
        } else {
            self.stdout.show(bytes)
        }
    }

    fn gap(&mut self, bytes: u64) -> io::Result<()> {
        let cursor = self.next.or(self.args.since).unwrap_or_default();
        self.next = Some(cursor + bytes);
        if self.args.output.json {
            return self.object(&Piece {
                cursor,
                time: None,
                stream: None,
                text: None,
                gap: Some(bytes),
            });
        }
        print::notice!("note: {bytes} bytes of output from cursor {cursor} are missing");
        Ok(())
    }

    fn object(&self, piece: &Piece<'_>) -> io::Result<()> {
        let line = serde_json::to_string(piece)?;
        writeln!(print::stream::stdout(), "{}", printable_json(&line))
    }

    fn time(&self) -> String {
        super::list::rfc3339(self.time_us / 1000)
    }

    /// The same bytes, with the time at the start of each line.
    fn timed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let time = self.time();
        let mut out = Vec::with_capacity(bytes.len() + 32);
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !self.is_in_line {
                out.extend_from_slice(time.as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(line);
            self.is_in_line = line.last() != Some(&b'\n');
        }
        out
    }
}
