//! The first kernel and the first image, which `banger setup` gets: both from Debian's packages.

use std::io;
use std::process::Stdio;

use banger_api::{Image, ImageUpload, Kernel, KernelImport, KernelSource};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::progress::Display;
use banger_command::work::{interruptible, shown};
use banger_model::{ImageName, KernelName};
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What is in the image beside the smallest Debian: work comes back by git, and certificates are needed to fetch anything.
const PACKAGES: &str = "--include=ca-certificates,git";

/// Bytes that are sent at once.
const CHUNK: usize = 1 << 20;

/// The package of a kernel for VMs.
pub fn kernel_package() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "linux-image-cloud-arm64",
        _ => "linux-image-cloud-amd64",
    }
}

/// Imports the kernel of [`kernel_package`].
pub async fn import_kernel(client: &Client, name: KernelName) -> Result<Kernel, Failure> {
    let import = KernelImport {
        name,
        source: KernelSource::Package(kernel_package().to_owned()),
        append: Vec::new(),
        max_vcpus: None,
        force: false,
    };
    shown("importing the kernel", async |progress| {
        client.import_kernel(&import, progress).await
    })
    .await
}

/// Makes an image of a release of Debian with mmdebstrap, and imports it while it is made. An image that is not finished is
/// not kept.
pub async fn make_image(client: &Client, name: &ImageName, suite: &str) -> Result<Image, Failure> {
    interruptible(make(client, name, suite)).await
}

async fn make(client: &Client, name: &ImageName, suite: &str) -> Result<Image, Failure> {
    let Making { mut tar, ended } = mmdebstrap(suite)?;
    let tar = futures_util::stream::poll_fn(move |context| tar.poll_recv(context));
    let mut display = Display::new("");
    display.now(&format!("making the image {name} with mmdebstrap"));
    let uploaded = client
        .upload_image(name.as_str(), &ImageUpload::default(), tar, |progress| {
            display.show(&progress);
        })
        .await;
    drop(display);
    match (uploaded, ended.await) {
        (Ok(image), _) => Ok(image),
        // What broke off says less than why it did.
        (Err(_), Ok(Err(failure))) => Err(failure),
        (Err(error), _) => Err(error.into()),
    }
}

type Chunk = io::Result<Bytes>;

/// A tar that is being made.
struct Making {
    tar: mpsc::Receiver<Chunk>,
    /// How the program that makes it ends.
    ended: JoinHandle<Result<(), Failure>>,
}

/// Starts mmdebstrap. Its tar ends with an error if it fails.
fn mmdebstrap(suite: &str) -> Result<Making, Failure> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", PACKAGES, suite, "-"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // The task below has it, and goes when nobody wants the tar any more.
    command.kill_on_drop(true);
    let child = command
        .spawn()
        .map_err(|error| Failure::during("failed to run mmdebstrap", &error))?;
    let (sender, tar) = mpsc::channel(2);
    let ended = tokio::spawn(pass_on(child, sender));
    Ok(Making { tar, ended })
}

async fn pass_on(mut child: tokio::process::Child, to: mpsc::Sender<Chunk>) -> Result<(), Failure> {
    let lost = |error: io::Error| Failure::during("failed to read from mmdebstrap", &error);
    let words = tokio::spawn(words(child.stderr.take()));
    if let Some(mut tar) = child.stdout.take() {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let read = tar.read_buf(&mut chunk).await.map_err(lost)?;
            if read == 0 {
                break;
            }
            // The import has failed, and says why.
            if to.send(Ok(chunk.freeze())).await.is_err() {
                return Ok(());
            }
        }
    }
    let status = child.wait().await.map_err(lost)?;
    if status.success() {
        return Ok(());
    }
    let _ = to.send(Err(io::Error::other("mmdebstrap failed"))).await;
    let words = words.await.unwrap_or_default();
    let failure = Failure::new(format!("mmdebstrap failed: {status}"), &[]);
    Err(failure.with_log(words))
}

/// The end of what a program says on standard error.
async fn words(stderr: Option<tokio::process::ChildStderr>) -> String {
    const LONGEST: usize = 4 << 10;
    let mut words = Vec::new();
    let Some(mut stderr) = stderr else {
        return String::new();
    };
    while stderr.read_buf(&mut words).await.is_ok_and(|read| read > 0) {
        words.drain(..words.len().saturating_sub(LONGEST));
    }
    String::from_utf8_lossy(&words).into_owned()
}
