//! A registry on loopback with the images that pulls are measured on.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::home::text;

/// Debian's registry server; killed when this is dropped.
pub(super) struct Registry {
    server: Child,
    host: String,
    _dir: tempfile::TempDir,
}

impl Registry {
    /// Starts one, with nothing in it.
    pub(super) fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let host = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = dir.path().join("config.yml");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
                dir.path().join("data").display()
            ),
        )?;
        let server = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start docker-registry (a Debian package)")?;
        let registry = Self {
            server,
            host,
            _dir: dir,
        };
        let since = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            ensure!(
                since.elapsed() < Duration::from_secs(10),
                "the registry does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// The reference of an image in it.
    pub(super) fn reference(&self, name: &str) -> String {
        format!("{}/{name}:latest", self.host)
    }

    /// Puts the image of a layout in.
    pub(super) fn push(&self, layout: &Path, name: &str) -> Result<()> {
        run(Command::new("skopeo")
            .args(["copy", "--quiet", "--dest-tls-verify=false"])
            .args([
                format!("oci:{}:latest", layout.display()),
                format!("docker://{}", self.reference(name)),
            ]))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A layout with `tar` as an image of so many gzip layers, made once in `dir`. An entry keeps its place in the order, so
/// that hard links follow what they link to.
pub(super) fn layout(tar: &Path, layers: u64, dir: &Path) -> Result<PathBuf> {
    let layout = dir.join(format!("layers-{layers}"));
    if layout.exists() {
        return Ok(layout);
    }
    let making = tempfile::tempdir_in(dir)?;
    let made = making.path().join("layout");
    run(Command::new("umoci").args(["init", "--layout"]).arg(&made))?;
    let image = format!("{}:latest", made.display());
    run(Command::new("umoci").args(["new", "--image", &image]))?;
    for part in split(tar, layers, making.path())? {
        run(Command::new("umoci")
            .args(["raw", "add-layer", "--image", &image])
            .arg(&part))?;
    }
    std::fs::rename(&made, &layout)?;
    Ok(layout)
}

fn split(tar: &Path, parts: u64, dir: &Path) -> Result<Vec<PathBuf>> {
    let part_size = std::fs::metadata(tar)?.len().div_ceil(parts);
    let mut input = std::io::BufReader::new(File::open(tar)?);
    let mut header = [0; 512];
    let (mut paths, mut written, mut out) = (Vec::new(), part_size, None);
    // A new part begins only before an entry, and not between an entry and the records that describe it.
    let mut described = false;
    loop {
        input.read_exact(&mut header)?;
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        if written >= part_size && !described {
            finish(out.take())?;
            let path = dir.join(format!("{}.tar", paths.len()));
            out = Some(std::io::BufWriter::new(File::create(&path)?));
            paths.push(path);
            written = 0;
        }
        let parsed = tar::Header::from_byte_slice(&header);
        let kind = parsed.entry_type();
        described = kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink();
        let size = parsed.entry_size()?.next_multiple_of(512);
        let to = out.as_mut().context("a part is open")?;
        to.write_all(&header)?;
        std::io::copy(&mut (&mut input).take(size), to)?;
        written += 512 + size;
    }
    finish(out)?;
    Ok(paths)
}

fn finish(out: Option<std::io::BufWriter<File>>) -> Result<()> {
    if let Some(mut out) = out {
        out.write_all(&[0; 1024])?;
        out.flush()?;
    }
    Ok(())
}

/// The layers of a layout's only image, the largest first.
pub(super) fn layers(layout: &Path) -> Result<Vec<PathBuf>> {
    let mut layers = Vec::new();
    for entry in std::fs::read_dir(layout.join("blobs/sha256"))? {
        let path = entry?.path();
        let mut magic = [0; 2];
        File::open(&path)?.read_exact(&mut magic)?;
        if magic == [0x1f, 0x8b] {
            layers.push((std::fs::metadata(&path)?.len(), path));
        }
    }
    layers.sort_by(|one, other| other.cmp(one));
    Ok(layers.into_iter().map(|(_, path)| path).collect())
}

/// Runs a program that must succeed.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to run {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        text(Path::new(command.get_program()))?,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
