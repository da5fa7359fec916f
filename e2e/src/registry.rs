//! Debian's registry server on loopback, and images to put into it.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Who may pull from a guarded registry.
pub const USER: &str = "someone";

/// With this password,
pub const PASSWORD: &str = "word";

/// which bcrypt hashes so, at its lowest cost. No program that makes these is on every Debian.
const HASH: &str = "$2b$04$29p6tA0TBRN5N1k1NdOsFOgdgaWWFr0tMAme08tC2BC581f10pqoa";

/// A registry. It ends when this is dropped.
#[derive(Debug)]
pub struct Registry {
    server: Child,
    host: String,
    dir: tempfile::TempDir,
    guarded: bool,
}

impl Registry {
    /// One that speaks plain HTTP with everybody.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn open() -> Result<Self> {
        Self::start("", false, tempfile::tempdir()?)
    }

    /// One that speaks TLS, with a certificate of its own authority, and wants a name and a password.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn guarded() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        certify(dir.path())?;
        std::fs::write(dir.path().join("users"), format!("{USER}:{HASH}\n"))?;
        let path = |name| dir.path().join(name).display().to_string();
        let more = format!(
            "  tls:\n    certificate: {}\n    key: {}\nauth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            path("cert.pem"),
            path("key.pem"),
            path("users")
        );
        Self::start(&more, true, dir)
    }

    fn start(more: &str, guarded: bool, dir: tempfile::TempDir) -> Result<Self> {
        let host = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = dir.path().join("config.yml");
        let root = dir.path().join("data");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
                 http:\n  addr: {host}\n{more}",
                root.display()
            ),
        )?;
        let server = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(File::create(dir.path().join("requests"))?)
            .stderr(File::create(dir.path().join("errors"))?)
            .spawn()
            .context("start docker-registry: `scripts/setup.sh test` installs it")?;
        let registry = Self {
            server,
            host,
            dir,
            guarded,
        };
        let since = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            ensure!(
                since.elapsed() < Duration::from_secs(10),
                "the registry does not listen: {}",
                std::fs::read_to_string(registry.dir.path().join("errors"))?
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// Its address and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The certificate of who vouches for it.
    pub fn authority(&self) -> String {
        self.dir.path().join("ca.pem").display().to_string()
    }

    /// The reference of an image in it.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// Puts an image in.
    ///
    /// # Errors
    /// When it is refused.
    pub fn push(&self, image: &OciImage, name: &str) -> Result<()> {
        self.push_as(image, name, &[])
    }

    /// Puts an image in, as these options of `skopeo copy` say.
    ///
    /// # Errors
    /// When it is refused.
    pub fn push_as(&self, image: &OciImage, name: &str, options: &[&str]) -> Result<()> {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--dest-tls-verify=false"]);
        skopeo.args(options);
        if self.guarded {
            skopeo.args(["--dest-creds", &format!("{USER}:{PASSWORD}")]);
        }
        run(skopeo.args([image.reference(), format!("docker://{}", self.reference(name))]))
    }

    /// The requests so far: method, path and status.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn requests(&self) -> Result<Vec<String>> {
        let log = std::fs::read_to_string(self.dir.path().join("requests"))?;
        // `ADDRESS - - [TIME] "METHOD PATH HTTP/1.1" STATUS BYTES "" "AGENT"`
        let lines = log.lines().filter_map(|line| {
            let mut parts = line.split('"');
            let (request, status) = (parts.nth(1)?, parts.next()?);
            let mut words = request.split(' ');
            let (method, path) = (words.next()?, words.next()?);
            Some(format!("{method} {path} {}", status.split_whitespace().next()?))
        });
        Ok(lines.collect())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Makes an authority and a certificate of it for loopback.
fn certify(dir: &Path) -> Result<()> {
    let make = |name: &str, key: &str, more: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl
            .current_dir(dir)
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ])
            .args(["-nodes", "-days", "2", "-keyout", key, "-out", name])
            .args(more);
        run(&mut openssl)
    };
    make("ca.pem", "ca-key.pem", &["-subj", "/CN=authority"])?;
    make(
        "cert.pem",
        "key.pem",
        &[
            "-subj",
            "/CN=registry",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-key.pem",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:false",
        ],
    )
}

/// An image in a layout of its own.
#[derive(Debug)]
pub struct OciImage {
    dir: tempfile::TempDir,
}

impl OciImage {
    /// An image of layers, each a plain tar; `config` is for `umoci config`, such as `--config.env=A=1`.
    ///
    /// # Errors
    /// When umoci cannot make it.
    pub fn new(layers: &[Vec<u8>], config: &[&str]) -> Result<Self> {
        let image = Self {
            dir: tempfile::tempdir()?,
        };
        let name = format!("{}:latest", image.layout().display());
        run(Command::new("umoci")
            .args(["init", "--layout"])
            .arg(image.layout()))?;
        run(Command::new("umoci").args(["new", "--image", &name]))?;
        for layer in layers {
            let path = image.path("layer.tar");
            std::fs::write(&path, layer)?;
            run(Command::new("umoci")
                .args(["raw", "add-layer", "--image", &name])
                .arg(path))?;
        }
        if !config.is_empty() {
            run(Command::new("umoci")
                .args(["config", "--image", &name])
                .args(config))?;
        }
        Ok(image)
    }

    /// Its layout.
    pub fn layout(&self) -> PathBuf {
        self.path("layout")
    }

    /// A file beside its layout.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// How skopeo and we call it.
    pub fn reference(&self) -> String {
        format!("oci:{}:latest", self.layout().display())
    }

    /// Copies it to where skopeo calls `to`.
    ///
    /// # Errors
    /// When skopeo cannot.
    pub fn copy(&self, to: &str) -> Result<()> {
        run(Command::new("skopeo").args(["copy", "--quiet", &self.reference(), to]))
    }
}

/// Runs a program that must succeed.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {program}: `scripts/setup.sh test` installs it"))?;
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
