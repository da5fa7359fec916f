//! `banger image build`

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use banger_api::stream::Exec;
use banger_api::{Image, ImagePull, Vm, VmCommit, VmCreate};
use banger_client::Client;
use banger_client::run::Held;
use banger_command::create::create;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::Display;
use banger_command::reach::Reach;
use banger_command::remove::remove;
use banger_command::session::{self, Input};
use banger_command::values::absolute;
use banger_command::work::interruptible;
use banger_command::{complete, connection, exit, print};
use banger_model::network::NetMode;
use banger_model::{ByteSize, ImageName, KernelName};
use tokio::process::Command;

/// Path of the script in the VM: files below `/run` do not become part of the image.
const SCRIPT: &str = "/run/banger-build-script";

/// Writes standard input to the executable file that is its argument.
const WRITE: &str = r#"umask 077; cat > "$1"; chmod 700 "$1""#;

/// Installs Docker in an image of the usual distributions.
const INSTALL_DOCKER: &[u8] = include_bytes!("install-docker.sh");

/// Build an image in a VM, or from a Dockerfile
///
/// With --from-image: boots that image, runs the script as root and shows its output, and saves the changes as a layer
/// on top of the image; the VM is removed. A script that begins with `#!` is run by that program, any other script by
/// the image's shell, which stops at the first command that fails. With --docker, Docker is first installed from the
/// image's distribution; VMs of the new image keep Docker's data directly on their disks.
///
/// With --file: builds the Dockerfile with buildah and pulls the result.
///
/// If a step fails, nothing is left.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger image build --name tools --from-image debian --nat --script ./provision.sh
  banger image build --name docker --from-image debian --docker
  echo 'echo hello > /etc/motd' | banger image build --name hello --from-image alpine --script -
  banger image build --name app --file Dockerfile .")]
pub struct Args {
    /// Name of the new image
    #[arg(long)]
    name: ImageName,
    /// Image to start from
    #[arg(long, value_name = "IMAGE", required_unless_present = "file", add = complete::images())]
    from_image: Option<String>,
    /// Script to run in the VM; `-` for standard input
    #[arg(long, value_name = "FILE", requires = "from_image")]
    script: Option<PathBuf>,
    /// Install Docker first, with apt, apk or dnf; without --net, --nat and --allow, the VM reaches the public Internet
    #[arg(long, requires = "from_image")]
    docker: bool,
    /// Dockerfile to build with buildah
    #[arg(long, short = 'f', value_name = "DOCKERFILE", conflicts_with = "from_image")]
    file: Option<PathBuf>,
    /// Directory that the Dockerfile copies files from
    #[arg(default_value = ".", requires = "file")]
    context: PathBuf,
    /// Memory size of the VM, such as 4G, 4GiB or 4096M
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Number of virtual CPUs of the VM
    #[arg(long, value_name = "N", visible_alias = "vcpus")]
    vcpu: Option<u32>,
    /// Size of the VM's writable disk, such as 20G
    #[arg(long, value_name = "SIZE")]
    disk_size: Option<ByteSize>,
    #[command(flatten)]
    reach: Reach,
    /// Kernel that the VM and VMs of the image boot
    #[arg(long, add = complete::kernels())]
    kernel: Option<KernelName>,
    /// Replace an existing image of that name; VMs that use the old image keep it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// The network mode of the VM. Docker's packages are downloaded.
    fn net(&self) -> Option<NetMode> {
        let is_silent = self.reach.mode().is_none() && self.reach.rules().is_empty();
        match self.docker && is_silent {
            true => Some(NetMode::Nat),
            false => self.reach.mode(),
        }
    }
}

pub(super) async fn run(client: &Client, args: Args) -> Result<i32, Failure> {
    let json = args.output.json;
    let image = match (&args.file, &args.from_image) {
        // An interrupt also removes what was built so far.
        (Some(file), _) => interruptible(of_dockerfile(client, file, &args)).await?,
        (None, Some(base)) => match in_vm(client, base, &args).await? {
            Ok(image) => image,
            Err(code) => return Ok(code),
        },
        // Not reached: the parser requires one of them.
        (None, None) => return Ok(exit::FAILED),
    };
    super::print_new(&image, json)?;
    Ok(exit::OK)
}

/// Returns the image, or the exit code of the script that failed.
async fn in_vm(client: &Client, base: &str, args: &Args) -> Result<Result<Image, i32>, Failure> {
    // Read before anything is created; standard input may be a terminal.
    let script = match &args.script {
        None => Vec::new(),
        Some(path) if path.as_os_str() == "-" => {
            let mut script = Vec::new();
            std::io::stdin()
                .read_to_end(&mut script)
                .map_err(|error| Failure::during("failed to read standard input", &error))?;
            script
        }
        Some(path) => std::fs::read(path)
            .map_err(|error| Failure::during(format!("failed to read {}", path.display()), &error))?,
    };
    let request = VmCreate {
        image: Some(
            base.parse()
                .map_err(|error| Failure::during(format!("invalid image name \"{base}\""), &error))?,
        ),
        kernel: args.kernel.clone(),
        memory: args.memory,
        vcpus: args.vcpu,
        disk_size: args.disk_size,
        net: args.net(),
        allow: args.reach.rules(),
        // The content of the VM becomes the image, so nothing of the user is injected.
        anonymous: true,
        // The VM is removed when this program ends, for any reason.
        remove_on_exit: true,
        ..VmCreate::default()
    };
    let vm = create(client, &request).await?.vm;
    let _held = Held::of(client, vm.name.as_str(), connection::connect).await?;
    let built = interruptible(provision(client, &vm, script, args)).await;
    let removed = remove(vm.name.as_str()).await;
    // The error of the build takes precedence over the error of the removal.
    let built = built?;
    removed?;
    Ok(built)
}

async fn provision(
    client: &Client,
    vm: &Vm,
    script: Vec<u8>,
    args: &Args,
) -> Result<Result<Image, i32>, Failure> {
    let name = vm.name.as_str();
    let docker = args
        .docker
        .then(|| ("the installation of Docker", INSTALL_DOCKER.to_vec()));
    let own = (!script.is_empty()).then_some(("the script", script));
    for (what, script) in docker.into_iter().chain(own) {
        let code = run_script(client, name, script, args.output.json).await?;
        if code != exit::OK {
            let message = format!("{what} failed with exit code {code}; no image was created");
            return Ok(Err(Failure::new(message, &[]).exiting(code).report()));
        }
    }
    let commit = VmCommit {
        image: args.name.clone(),
        kernel: args.kernel.clone(),
        force: args.force,
    };
    let mut display = Display::new("");
    // The file system is frozen for the commit, whatever the image's init leaves running.
    let image = client
        .commit_vm(name, &commit, |progress| display.show(&progress))
        .await?;
    Ok(Ok(image))
}

/// Runs a script in a VM, and returns its exit code. The script is copied as a file, because the kernel accepts no
/// argument of more than 128 KiB (`MAX_ARG_STRLEN`, execve(2)); the file is in memory, so it does not become part of
/// the image. With `is_quiet`, nothing is printed on standard output.
async fn run_script(client: &Client, vm: &str, script: Vec<u8>, is_quiet: bool) -> Result<i32, Failure> {
    let has_interpreter = script.starts_with(b"#!");
    let as_root = |argv: &[&str]| Exec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        user: Some("0".to_owned()),
        cwd: Some("/".to_owned()),
        ..Exec::default()
    };
    let write = as_root(&["/bin/sh", "-e", "-c", WRITE, "sh", SCRIPT]);
    let written = session::run(client, vm, &write, Input::Bytes(script)).await?;
    if written != exit::OK {
        return Err(Failure::new(
            format!("failed to write the script to {SCRIPT} in the VM: the shell exited with {written}"),
            &["the image needs `cat` and `chmod`"],
        ));
    }
    let run = match (has_interpreter, is_quiet) {
        (true, false) => as_root(&[SCRIPT]),
        (false, false) => as_root(&["/bin/sh", "-e", SCRIPT]),
        (true, true) => as_root(&["/bin/sh", "-c", "exec \"$1\" >&2", "sh", SCRIPT]),
        (false, true) => as_root(&["/bin/sh", "-c", "exec /bin/sh -e \"$1\" >&2", "sh", SCRIPT]),
    };
    session::run(client, vm, &run, Input::None).await
}

/// Runs buildah, which is killed on drop.
async fn buildah(arguments: &[&str]) -> Result<(), Failure> {
    let status = Command::new("buildah")
        .args(arguments)
        .stdin(Stdio::null())
        // Standard output is for the image's name.
        .stdout(Stdio::from(print::stream::stderr()))
        .kill_on_drop(true)
        .status()
        .await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(
            format!("buildah {} failed: {status}", arguments[0]),
            &[],
        )),
        Err(error) => Err(Failure::new(
            format!("failed to run buildah: {error}"),
            &["install it: `sudo apt-get install buildah`"],
        )),
    }
}

/// Builds with buildah, and pulls the result.
async fn of_dockerfile(client: &Client, file: &Path, args: &Args) -> Result<Image, Failure> {
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::during("failed to create a temporary directory", &error))?;
    let built = scratch.path().join("image");
    let tag = format!("banger-build-{}", std::process::id());
    let (file, context) = (file.to_string_lossy(), args.context.to_string_lossy());
    buildah(&["build", "--tag", &tag, "--file", &file, &context]).await?;
    let pushed = buildah(&["push", "--quiet", &tag, &format!("oci:{}", built.display())]).await;
    // The image is copied, so its tag is removed; buildah keeps the layers for the next build.
    let _ = buildah(&["rmi", &tag]).await;
    pushed?;
    let pull = ImagePull {
        reference: format!("oci:{}", built.display()),
        directory: Some(absolute(PathBuf::from("."))?),
        name: Some(args.name.clone()),
        kernel: args.kernel.clone(),
        force: args.force,
        ..ImagePull::default()
    };
    let mut display = Display::new("");
    let pulled = client
        .pull_image(&pull, |progress| display.show(&progress))
        .await?;
    Ok(pulled.image)
}
