//! `vm cp` of one large file in both directions, beside a bare vsock pipe of the same VMM that does the same work: from a
//! file in memory, through vsock, to a file in memory.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::figure::{Figure, median_of};
use super::home::{Home, Under, text};
use crate::repository;

const RUNS: usize = 7;
/// Bytes of the file.
const AMOUNT: usize = 384 << 20;
const PORT: u32 = 5000;
/// Where the guest's files are: in memory, so that its disk is not what is measured.
const GUEST: &str = "/mnt";

/// In a real guest.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Firecracker, "1536M")?;
    let prepare = "busybox mkdir -p /mnt && busybox mount -t tmpfs -o size=1200m tmpfs /mnt";
    home.banger(&["vm", "exec", "vm", "--", "sh", "-c", prepare])?;
    let memory = tempfile::Builder::new().prefix("bb-").tempdir_in("/dev/shm")?;
    let here = memory.path().join("file");
    std::fs::write(&here, (0..AMOUNT).map(|at| (at / 4096) as u8).collect::<Vec<_>>())?;
    let pipe = Pipe::start(&home, memory.path())?;
    let back = memory.path().join("back");
    let absent = ["vm", "exec", "vm", "--", "busybox", "rm", "-f", "/mnt/file"];
    let tiny = memory.path().join("tiny");
    std::fs::write(&tiny, "tiny")?;
    let (mut into, mut out) = (Times::default(), Times::default());
    let mut fixed = Vec::new();
    for run in 0..RUNS + 1 {
        // Each makes a new file. (In the place of an old one, `vm cp` has both until the new one is whole, and then frees the old
        // one's memory; the pipe writes over it.)
        home.banger(&absent)?;
        let bare_in = pipe.write(&here)?;
        home.banger(&absent)?;
        let (cp_in, _) = home.time(&["vm", "cp", "-q", text(&here)?, "vm:/mnt/file"])?;
        let _ = std::fs::remove_file(&back);
        let bare_out = pipe.read(&back)?;
        std::fs::remove_file(&back)?;
        let (cp_out, _) = home.time(&["vm", "cp", "-q", "vm:/mnt/file", text(&back)?])?;
        let (begun, _) = home.time(&["vm", "cp", "-q", text(&tiny)?, "vm:/mnt/tiny"])?;
        // The first one warms everything.
        if run > 0 {
            fixed.push(begun.as_secs_f64() * 1e3);
            into.add(bare_in, cp_in);
            out.add(bare_out, cp_out);
        }
    }
    ensure!(
        std::fs::read(&here)? == std::fs::read(&back)?,
        "the file did not come back equal"
    );
    let worse = if median_of(into.ratios()) < median_of(out.ratios()) {
        &into
    } else {
        &out
    };
    let figure = Figure::of("cp.vs_bare_vsock_ratio", &worse.ratios())
        .under("firecracker")
        .phase("into the guest, x", median_of(into.ratios()))
        .phase("out of it, x", median_of(out.ratios()))
        .phase("four bytes into it, ms", median_of(fixed))
        .phase("bare into it, MiB/s", median_of(into.bare.clone()))
        .phase("vm cp into it, MiB/s", median_of(into.cp.clone()))
        .phase("bare out of it, MiB/s", median_of(out.bare.clone()))
        .phase("vm cp out of it, MiB/s", median_of(out.cp.clone()));
    Ok(vec![figure])
}

/// Rates of one direction, in MiB/s, run by run.
#[derive(Default)]
struct Times {
    bare: Vec<f64>,
    cp: Vec<f64>,
}

impl Times {
    fn add(&mut self, bare: Duration, cp: Duration) {
        let rate = |took: Duration| (AMOUNT >> 20) as f64 / took.as_secs_f64();
        self.bare.push(rate(bare));
        self.cp.push(rate(cp));
    }

    /// Each run is beside its neighbour: the host is not equally busy all the time.
    fn ratios(&self) -> Vec<f64> {
        self.cp
            .iter()
            .zip(&self.bare)
            .map(|(cp, bare)| cp / bare)
            .collect()
    }
}

/// A program in the guest that does nothing but read and write.
struct Pipe {
    socket: PathBuf,
    program: Child,
}

impl Pipe {
    fn start(home: &Home, dir: &Path) -> Result<Self> {
        let binary = dir.join("pipe");
        let compiled = Command::new("rustc")
            .args(["--edition=2024", "-O", "--target"])
            .arg(format!("{}-unknown-linux-musl", std::env::consts::ARCH))
            .arg(repository::root().join("xtask/guest/pipe.rs"))
            .arg("-o")
            .arg(&binary)
            .output()?;
        ensure!(
            compiled.status.success(),
            "rustc: {}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        home.banger(&["vm", "cp", "-q", text(&binary)?, "vm:/root/pipe"])?;
        let port = PORT.to_string();
        let mut program = home
            .command(&["vm", "exec", "vm", "--", "/root/pipe", &port, GUEST])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut listening = [0; 9];
        let out = program.stdout.as_mut().context("its output")?;
        out.read_exact(&mut listening)
            .context("the pipe's program did not start")?;
        let socket = home.agent("vm")?;
        Ok(Self { socket, program })
    }

    fn ask(&self, what: u8) -> Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.write_all(format!("CONNECT {PORT}\n").as_bytes())?;
        // `OK` and a number, a byte at a time: what follows is the file's.
        let mut byte = [0];
        while byte != *b"\n" {
            stream.read_exact(&mut byte)?;
        }
        let name = b"file";
        let head = [
            &[what],
            &(AMOUNT as u64).to_le_bytes()[..],
            &[name.len() as u8],
            name,
        ]
        .concat();
        stream.write_all(&head)?;
        Ok(stream)
    }

    fn write(&self, from: &Path) -> Result<Duration> {
        let since = Instant::now();
        let mut stream = self.ask(b'w')?;
        copy(&mut File::open(from)?, &mut stream)?;
        stream.read_exact(&mut [0])?;
        Ok(since.elapsed())
    }

    fn read(&self, to: &Path) -> Result<Duration> {
        let since = Instant::now();
        let mut stream = self.ask(b'r')?;
        copy(&mut stream, &mut File::create(to)?)?;
        stream.read_exact(&mut [0])?;
        Ok(since.elapsed())
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut left = AMOUNT;
    while left > 0 {
        let want = buffer.len().min(left);
        let read = from.read(&mut buffer[..want])?;
        ensure!(read > 0, "the pipe broke");
        to.write_all(&buffer[..read])?;
        left -= read;
    }
    Ok(())
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
