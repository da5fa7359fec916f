//! `banger setup`

use std::path::{Path, PathBuf};

use banger_api::{CheckStatus, Image, Kernel};
use banger_cli_stores::first;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::sudo::for_sudo;
use banger_command::{ask, connection, exit, print};
use banger_model::{ImageName, KernelName};
use clap_complete::aot::Shell;
use serde::Serialize;

use super::{completion, doctor};

/// Get everything that a first VM needs
///
/// Imports a kernel from Debian's package, makes an image of Debian with git and imports it, and installs completion for
/// your shell. What is there already is left as it is, so the command can be repeated. It prints what it will do and
/// asks once; if this host lacks something, it prints all of it and does nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger setup
  banger setup --dry-run                         print what is missing
  banger setup --yes                             do not ask")]
pub(crate) struct Args {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Release of Debian for the image
    #[arg(long, value_name = "NAME", default_value = "bookworm")]
    suite: String,
    /// Do not install completion
    #[arg(long)]
    no_completion: bool,
    #[command(flatten)]
    output: Output,
}

/// One thing that is missing.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Kernel(KernelName),
    Image(ImageName),
    Completion(Shell, PathBuf),
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<Kernel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let report = doctor::report().await?;
    let client = connection::connect().await?;
    let steps = steps(&client, &args).await?;
    let failed = report
        .checks
        .iter()
        .filter(|check| check.status == CheckStatus::Failed);
    let mut lacks: Vec<(String, String)> = failed
        .map(|check| (check.message.clone(), check.fix.clone().unwrap_or_default()))
        .collect();
    let makes_image = steps.iter().any(|step| matches!(step, Step::Image(_)));
    if makes_image && !is_on_path("mmdebstrap") {
        let fix = "sudo apt-get install mmdebstrap".to_owned();
        lacks.push((
            "mmdebstrap, which makes the image, is not installed".to_owned(),
            fix,
        ));
    }
    if !steps.is_empty() {
        print::notice!("this is missing:");
        for step in &steps {
            print::notice!("  {}", step.words(&args.suite));
        }
    }
    if !lacks.is_empty() {
        return Err(lacking(&lacks));
    }
    let mut done = Done::default();
    if steps.is_empty() || args.dry_run {
        args.output.print(&done, |_| {
            if steps.is_empty() {
                print::notice!("nothing is missing: `cd my-repo && banger vm run`");
            }
        })?;
        return Ok(exit::OK);
    }
    if !args.yes && !ask::sure("get it?", "banger setup --yes")? {
        return Ok(exit::FAILED);
    }
    for step in steps {
        step.take(&client, &args.suite, &mut done).await?;
    }
    args.output.print(&done, |_| {
        print::notice!("ready: `cd my-repo && banger vm run`");
    })?;
    Ok(exit::OK)
}

/// All that this host lacks in one error: each with its command.
fn lacking(lacks: &[(String, String)]) -> Failure {
    let words: Vec<&str> = lacks.iter().map(|(problem, _)| problem.as_str()).collect();
    let fixes: Vec<String> = lacks
        .iter()
        .filter(|(_, fix)| !fix.is_empty())
        .map(|(_, fix)| for_sudo(fix).to_string())
        .collect();
    let fixes: Vec<&str> = fixes.iter().map(String::as_str).collect();
    Failure::new(format!("this host is not ready: {}", words.join("; ")), &fixes).exiting(exit::HOST)
}

async fn steps(client: &Client, args: &Args) -> Result<Vec<Step>, Failure> {
    let invalid = |error| Failure::during("invalid name of a release", &error);
    let mut steps = Vec::new();
    if client.kernels().await?.is_empty() {
        steps.push(Step::Kernel("debian".parse().expect("a valid name")));
    }
    if client.images().await?.is_empty() {
        let name = format!("debian-{}", args.suite);
        steps.push(Step::Image(name.parse().map_err(invalid)?));
    }
    if !args.no_completion {
        let at = completion_file(std::env::var_os("SHELL").as_deref().map(Path::new));
        steps.extend(at.map(|(shell, path)| Step::Completion(shell, path)));
    }
    Ok(steps)
}

/// Where the user's shell looks for completion by itself, if it does and finds none yet.
fn completion_file(shell: Option<&Path>) -> Option<(Shell, PathBuf)> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let of = |variable: &str, default: &str| {
        let set = std::env::var_os(variable).map(PathBuf::from);
        set.filter(|path| path.is_absolute())
            .unwrap_or_else(|| home.join(default))
    };
    let (shell, name, own) = match shell?.file_name()?.to_str()? {
        "bash" => (
            Shell::Bash,
            "bash-completion/completions/banger",
            of("XDG_DATA_HOME", ".local/share").join("bash-completion/completions/banger"),
        ),
        "fish" => (
            Shell::Fish,
            "fish/vendor_completions.d/banger.fish",
            of("XDG_CONFIG_HOME", ".config").join("fish/completions/banger.fish"),
        ),
        // zsh has no directory of the user's own that it looks in.
        _ => return None,
    };
    let program = std::env::current_exe().ok()?;
    let installed = program.parent()?.parent()?.join("share").join(name);
    (!own.exists() && !installed.exists()).then_some((shell, own))
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

impl Step {
    fn words(&self, suite: &str) -> String {
        match self {
            Self::Kernel(name) => {
                format!("kernel {name}: from Debian's package {}", first::kernel_package())
            }
            Self::Image(name) => {
                format!("image {name}: Debian {suite} with git, by mmdebstrap (a minute)")
            }
            Self::Completion(shell, path) => format!("completion for {shell}: {}", path.display()),
        }
    }

    async fn take(self, client: &Client, suite: &str, done: &mut Done) -> Result<(), Failure> {
        match self {
            Self::Kernel(name) => {
                done.kernel = Some(first::import_kernel(client, name.clone()).await?);
                print::notice!("imported the kernel {name}");
            }
            Self::Image(name) => {
                done.image = Some(first::make_image(client, &name, suite).await?);
                print::notice!("imported the image {name}");
            }
            Self::Completion(shell, path) => {
                let failed = |error: std::io::Error| {
                    Failure::during(format!("failed to write {}", path.display()), &error)
                };
                let script = completion::script(shell)?;
                let dir = path.parent().unwrap_or(Path::new("/"));
                std::fs::create_dir_all(dir)
                    .and_then(|()| std::fs::write(&path, script))
                    .map_err(failed)?;
                print::notice!("completion for {shell} begins with the next shell");
                done.completion = Some(path);
            }
        }
        Ok(())
    }
}
