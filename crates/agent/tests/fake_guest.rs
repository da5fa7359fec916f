//! Commands in the fake guest, over the bytes that a daemon would send.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use banger_guest_api::frame::{HEADER, encode};
use banger_guest_api::{
    AGENT_PORT, Channel, Clock, Configure, Control, Disks, Exec, ExitStatus, HELLO_PORT, Handover, PROTOCOL,
    Root, STDIO_MUX, routes,
};

/// Longer than anything here takes; then a test fails and does not hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// A configured fake guest, ended with the test.
struct Guest {
    dir: tempfile::TempDir,
    process: Child,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Guest {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hellos = UnixListener::bind(dir.path().join(format!("vsock.sock_{HELLO_PORT}"))).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_banger-fake-guest"))
            .arg(dir.path())
            .spawn()
            .unwrap();
        let guest = Self { dir, process };
        let (hello, _) = hellos.accept().unwrap();
        // A guest that cannot say hello gives up.
        BufReader::new(hello).read_line(&mut String::new()).unwrap();
        let configure = Configure {
            protocol: PROTOCOL,
            hostname: "fake".to_owned(),
            machine_id: "0".repeat(32),
            disks: Disks {
                root: Root::Existing,
                work: None,
            },
            env: [].into(),
            clock: Clock { secs: 0, nanos: 0 },
            handover: Handover::Auto,
            entropy: String::new(),
            network: None,
            git: None,
            workdir: None,
        };
        let body = serde_json::to_vec(&configure).unwrap();
        let answer = guest.request(routes::CONFIGURE, "", &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        guest
    }

    /// The first line of the answer; the stream is left after the answer's head.
    fn post(&self, route: &str, headers: &str, body: &[u8]) -> (String, BufReader<UnixStream>) {
        let mut stream = UnixStream::connect(self.dir.path().join("vsock.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "CONNECT {AGENT_PORT}").unwrap();
        let mut stream = BufReader::new(stream);
        stream.read_line(&mut String::new()).unwrap();
        let length = body.len();
        let head = format!("POST {route} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream.get_mut().write_all(body).unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            lines.push(line);
        }
        (lines.swap_remove(0), stream)
    }

    fn request(&self, route: &str, headers: &str, body: &[u8]) -> String {
        self.post(route, headers, body).0
    }

    fn exec(&self, argv: &[&str]) -> Stream {
        let exec = Exec {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            ..Exec::default()
        };
        let headers = format!("Connection: upgrade\r\nUpgrade: {STDIO_MUX}\r\n");
        let body = serde_json::to_vec(&exec).unwrap();
        let (answer, stream) = self.post(routes::EXEC, &headers, &body);
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        Stream(stream)
    }

    /// The guest's processes that wait for commands.
    fn shims(&self) -> Vec<u32> {
        let server = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        children
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }
}

/// A command's stream.
struct Stream(BufReader<UnixStream>);

impl Stream {
    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; HEADER];
        self.0.read_exact(&mut header)?;
        let [channel, length @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut payload)?;
        Ok((channel, payload))
    }

    fn control(&mut self) -> Control {
        loop {
            let (channel, payload) = self.frame().unwrap();
            if channel == Channel::Control as u8 {
                return serde_json::from_slice(&payload).unwrap();
            }
        }
    }

    fn started(&mut self) -> u32 {
        match self.control() {
            Control::Started { pid } => pid,
            other => panic!("{other:?}"),
        }
    }

    fn exit(&mut self) -> ExitStatus {
        match self.control() {
            Control::Exit { status } => status,
            other => panic!("{other:?}"),
        }
    }
}

/// A handle that becomes readable when the process has ended.
fn ends_within(pid: u32, bound: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let Ok(process) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else {
        return true;
    };
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::try_from(bound).unwrap())).unwrap() > 0
}

#[test]
fn a_client_that_leaves_ends_a_command_that_reads_nothing() {
    let guest = Guest::start();
    let mut stream = guest.exec(&["sleep", "600"]);
    let pid = stream.started();
    let connection = stream.0.get_mut();
    connection
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let frame = encode(Channel::Stdin, &[0; 64 << 10]);
    // Until nothing more fits anywhere on the way.
    while connection.write_all(&frame).is_ok() {}
    drop(stream);
    assert!(ends_within(pid, PATIENCE), "the command outlived its client");
}

#[test]
fn a_noisy_process_left_behind_does_not_hold_the_stream() {
    let guest = Guest::start();
    let dir: PathBuf = guest.dir.path().join("stop");
    let script = format!("(until [ -e {} ]; do echo x; done) & exit 3", dir.display());
    let since = Instant::now();
    let mut stream = guest.exec(&["sh", "-c", &script]);
    stream.started();
    assert_eq!(stream.exit(), ExitStatus::Code(3));
    assert!(since.elapsed() < PATIENCE);
    std::fs::write(dir, "").unwrap();
}

#[test]
fn a_slow_client_gets_all_that_the_command_said() {
    let guest = Guest::start();
    let mut stream = guest.exec(&["sh", "-c", "head -c 3000000 /dev/zero; printf end"]);
    // Longer than others' output is waited for.
    std::thread::sleep(Duration::from_secs(3));
    let mut output = Vec::new();
    loop {
        let (channel, payload) = stream.frame().unwrap();
        if channel == Channel::Stdout as u8 {
            output.extend(payload);
        } else if let Control::Exit { status } = serde_json::from_slice(&payload).unwrap() {
            assert_eq!(status, ExitStatus::Code(0));
            break;
        }
    }
    assert_eq!(output.len(), 3_000_003);
    assert!(output.ends_with(b"end"));
}

#[test]
fn commands_run_though_the_processes_that_waited_for_them_were_killed() {
    let guest = Guest::start();
    for pid in guest.shims() {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let mut stream = guest.exec(&["true"]);
    stream.started();
    assert_eq!(stream.exit(), ExitStatus::Code(0));
}

#[test]
fn a_refusal_is_told_to_a_client_that_still_sends() {
    let guest = Guest::start();
    let mut stream = guest.exec(&["no-such-program"]);
    assert!(matches!(stream.control(), Control::Error { exit_code: 127, .. }));
    // A connection that is closed now would take the refusal with it on vsock.
    std::thread::sleep(Duration::from_millis(50));
    let connection = stream.0.get_mut();
    connection.write_all(&encode(Channel::Stdin, b"")).unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.0.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_power_off_lets_commands_tell_their_end() {
    let guest = Guest::start();
    let mut stream = guest.exec(&["sleep", "600"]);
    let pid = stream.started();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .unwrap();
    let shim = parent.trim().parse().unwrap();
    for asked in [shim, pid] {
        let asked = rustix::process::Pid::from_raw(i32::try_from(asked).unwrap()).unwrap();
        rustix::process::kill_process(asked, rustix::process::Signal::TERM).unwrap();
    }
    assert_eq!(stream.exit(), ExitStatus::Signal(15));
    drop(stream);
    assert!(
        ends_within(shim, PATIENCE),
        "what waits for commands outlived them"
    );
}
