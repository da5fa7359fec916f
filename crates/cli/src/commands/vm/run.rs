//! `banger vm run`

use std::path::Path;

use banger_api::stream::{Exec, Tty};
use banger_api::{
    GUEST_PATH, Vm, VmCreate, VmCreated, WORKSPACE_LABEL, WorkspacePlan, WorkspaceRequest, user_env,
};
use banger_client::Client;
use banger_client::run::{self, Held};
use banger_command::create::create;
use banger_command::failure::Failure;
use banger_command::output::Verbosity;
use banger_command::remove::remove;
use banger_command::values::absolute;
use banger_command::{connection, exit, print, session};
use banger_model::{Phase, shell_word};

use super::shape::Shape;
use super::tty::TtyArgs;
use super::words::Words;
use super::workspace::Taken;
use super::{bootstrap, reuse, wishes, workspace};

/// Create a VM with your repository and open a shell or run a command in it
///
/// Makes a git checkout of the repository that contains PATH at /root/repo in a new VM: HEAD, staged and unstaged
/// changes, and untracked files that are not ignored. Untracked files that look like secrets are not copied; their
/// names are printed. Your repository is not modified. Outside a repository, the VM gets no checkout.
///
/// The repository's banger.toml (or else devcontainer.json) applies unless overridden by options, after you have
/// trusted it: the command asks on a terminal, and scripts pass --trust. mise installs the tools that the repository
/// names in the background; a command waits for them, a shell does not.
///
/// Without COMMAND, a pulled image runs its entry point if it has one, else a shell. The command runs as the image's
/// user, who owns the checkout, and has a terminal if standard input and output are terminals.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm run                               open a shell in a VM with this repository
  banger vm run --rm -- make test             run a command, then remove the VM
  banger vm run --branch fix --from v1.2 -d   create branch fix at tag v1.2, and keep the VM running
  banger vm run --secret NPM_TOKEN            put your variable into a file in the VM's memory
  banger vm run --env-file .env               set variables, which are stored with the VM
  banger vm run --trust --rm make test        trust the repository's configuration without asking
  banger vm run --reuse make test             run a command in the VM that has this repository
  banger vm run --dry-run                     list the files that would be copied")]
pub(crate) struct Args {
    #[command(flatten)]
    words: Words,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    taken: Taken,
    /// Ignore the repository's banger.toml or devcontainer.json
    #[arg(long)]
    no_repo_config: bool,
    /// Trust the repository's configuration: apply it now, and in future as long as it does not change
    #[arg(long, conflicts_with = "no_repo_config")]
    trust: bool,
    /// Do not install the tools that the repository names, and do not run its post-create commands
    #[arg(long)]
    no_bootstrap: bool,
    /// Open a shell even if the image has an entry point
    #[arg(long, conflicts_with_all = ["command", "words", "entrypoint"])]
    shell: bool,
    /// Use the VM that already has this repository, as it is, and start it if it is stopped; without one, create a VM
    #[arg(long, conflicts_with_all = ["rm", "name", "dry_run", "entrypoint"])]
    reuse: bool,
    /// Remove the VM on exit
    #[arg(long, conflicts_with = "detach")]
    rm: bool,
    #[command(flatten)]
    tty: TtyArgs,
    #[command(flatten)]
    verbosity: Verbosity,
    /// Do not open a shell or run the entry point; leave the VM running and exit
    #[arg(long, short)]
    detach: bool,
    /// List the files that would be copied, and exit
    #[arg(long)]
    dry_run: bool,
    /// Working directory of the command, relative to the checkout; by default your current directory in the checkout
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,
    /// User to run the command as: USER or USER:GROUP, names or numbers; the image's user or root if omitted
    #[arg(long, short)]
    user: Option<String>,
    /// Run this program in place of the image's entry point, with COMMAND as its arguments; a shell if empty
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<i32, Failure> {
    go(args).await.map_err(Failure::unless_of_guest)
}

async fn go(args: Args) -> Result<i32, Failure> {
    let meaning = args.words.meaning()?;
    let path = absolute(meaning.path)?;
    let secrets = args.shape.secrets.read()?;
    let asked_secrets = args.shape.secrets.names();
    let client = connection::connect().await?;
    if let Some(word) = &meaning.lone {
        not_an_image(&client, word).await?;
    }
    let workspace = args.taken.request(path.clone(), GUEST_PATH.to_owned());
    let mut request = args.shape.request();
    let shapes = request != VmCreate::default()
        || !asked_secrets.is_empty()
        || workspace != WorkspaceRequest::of(path.clone(), GUEST_PATH.to_owned())
        || args.trust
        || args.no_repo_config
        || args.no_bootstrap;
    let plan = client.plan_workspace(&workspace).await?;
    if args.dry_run {
        workspace::print_plan(&plan);
        return Ok(exit::OK);
    }
    let below = below(&plan, &path);
    if args.reuse
        && let Some(root) = &plan.root
        && let Some(vm) = reuse::running(&client, root, shapes).await?
    {
        let purpose = Purpose {
            top: vm.labels.get(WORKSPACE_LABEL).cloned(),
            asked: !meaning.command.is_empty(),
            command: meaning.command,
            below,
            workdir: args.workdir,
            user: args.user,
            tty: args.tty.tty(true),
            detach: args.detach,
        };
        let is_prepared_behind = bootstrap::goes_on(&client, vm.name.as_str()).await;
        return use_vm(&client, &vm, purpose, is_prepared_behind).await;
    }
    let workspace = plan.root.is_some().then_some(workspace);
    if workspace.is_none() {
        print::notice!("note: not in a git repository, so the VM gets no checkout");
    }
    let configured = plan.root.as_deref().filter(|_| !args.no_repo_config);
    let said = wishes::Said {
        trusts: args.trust,
        bootstraps: !args.no_bootstrap,
    };
    if let Some(root) = configured {
        let wishes = wishes::grant(&client, root, said, &mut request).await?;
        wishes::remind(&wishes, &asked_secrets);
    }
    if let Some(root) = &plan.root {
        print_others(&client, root).await?;
    }
    request.secrets = secrets.for_new_vm();
    request.workspace = workspace;
    request.bootstrap = configured.is_some() && !args.no_bootstrap;
    request.user_env = user_env::of_process(false);
    request.remove_on_exit = args.rm;
    let made = create(&client, &request).await?;
    // From now on the daemon removes the VM when this client ends, for any reason.
    let held = match args.rm {
        true => Some(Held::of(&client, made.vm.name.as_str(), connection::connect).await?),
        false => None,
    };
    print_furnished(&made);
    let vm = made.vm;
    let command = with_program(args.entrypoint.as_deref(), meaning.command);
    let asked = !command.is_empty();
    let is_shell = args.shell || args.entrypoint.is_some();
    let purpose = Purpose {
        top: made.workspace.map(|report| report.guest_path),
        asked,
        command: match !asked && !is_shell && !args.detach {
            true => vm.entry_point.clone(),
            false => command,
        },
        below,
        workdir: args.workdir,
        user: args.user,
        tty: args.tty.tty(true),
        detach: args.detach,
    };
    let outcome = use_vm(&client, &vm, purpose, made.bootstrap).await;
    if args.rm {
        if workspace::bring_back(&client, vm.name.as_str()).await
            && let Some(work) = remove(vm.name.as_str()).await?
        {
            workspace::report(vm.name.as_str(), &work, workspace::Ending::Deleted);
        }
        drop(held);
    } else if !args.detach {
        print::notice!(
            "VM {0} keeps running: open a shell with `banger vm shell {0}`, remove it with `banger vm delete -f {0}`",
            vm.name
        );
    }
    outcome
}

/// Prints what was placed in a new VM, and whether its preparation continues in the background.
fn print_furnished(made: &VmCreated) {
    let name = made.vm.name.as_str();
    if let Some(report) = &made.workspace {
        workspace::print_placed(name, report);
    }
    if made.bootstrap {
        print::notice!("preparing the checkout: follow it with `banger vm logs --bootstrap -f {name}`");
    }
}

/// Prints the VMs that already have the repository: the user may have meant one of them.
async fn print_others(client: &Client, root: &Path) -> Result<(), Failure> {
    const MOST: usize = 3;
    let others = run::others(client, root).await?;
    for vm in others.iter().take(MOST) {
        let (name, phase) = (&vm.name, vm.phase);
        let enter = match phase {
            Phase::Running => format!("open a shell with `banger vm shell {name}`"),
            _ => format!("open a shell with `banger vm start {name} && banger vm shell {name}`"),
        };
        print::notice!(
            "note: VM {name} already has this repository and is {phase}: {enter}, or use `--reuse`; creating another VM"
        );
    }
    if others.len() > MOST {
        print::notice!("note: {} more VMs have this repository", others.len() - MOST);
    }
    Ok(())
}

/// The purpose of a VM.
struct Purpose {
    /// Where the checkout is in the guest, if there is one.
    top: Option<String>,
    /// Whether the user gave the command; otherwise the command is the image's.
    asked: bool,
    /// Empty for a shell.
    command: Vec<String>,
    /// The user's current directory in the checkout, if it is not the top.
    below: Option<String>,
    workdir: Option<String>,
    user: Option<String>,
    tty: Option<Tty>,
    detach: bool,
}

impl Purpose {
    /// Where the command starts in the guest; `None` is the guest's choice.
    fn cwd(&self) -> Option<String> {
        match (&self.workdir, &self.top, &self.below) {
            (Some(dir), None, _) => Some(dir.clone()),
            (Some(dir), Some(_), _) if dir.starts_with('/') => Some(dir.clone()),
            (Some(dir), Some(top), _) | (None, Some(top), Some(dir)) => Some(format!("{top}/{dir}")),
            (None, top, _) => top.clone(),
        }
    }
}

/// The directory of `path` below the top of its work tree, if the guest gets it, too.
fn below(plan: &WorkspacePlan, path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let below = path.strip_prefix(plan.root.as_ref()?).ok()?.to_str()?;
    let begin = format!("{below}/");
    let is_placed = plan.files.iter().any(|file| file.path.starts_with(&begin));
    (!below.is_empty() && is_placed).then(|| below.to_owned())
}

/// The command of `--entrypoint` and the words after it.
fn with_program(program: Option<&str>, command: Vec<String>) -> Vec<String> {
    let program = program.filter(|program| !program.is_empty());
    program.map(str::to_owned).into_iter().chain(command).collect()
}

/// `vm run ubuntu` is what a container's user types. No guest has a program of that name.
async fn not_an_image(client: &Client, word: &str) -> Result<(), Failure> {
    let images = client.images().await?;
    let is_image = images.iter().any(|image| image.name.as_str() == word);
    if !is_image && !word.contains(':') {
        return Ok(());
    }
    let typed = shell_word(word);
    let (what, hint) = if is_image {
        let hint = format!("boot the image with `banger vm run --image {typed}`");
        ("is an image, not a command", hint)
    } else {
        let name = word.rsplit('/').next().unwrap_or_default();
        let name = shell_word(name.split(':').next().unwrap_or_default());
        let hint = format!(
            "pull the image with `banger image pull {typed} --name {name}`, then boot it with `--image {name}`"
        );
        ("looks like the reference of an image, not like a command", hint)
    };
    let anyway = "a command of this name goes after `--`";
    let message = format!("\"{}\" {what}", word.escape_debug());
    Err(Failure::new(message, &[&hint, anyway]).exiting(exit::USAGE))
}

/// Runs the requested command while the checkout is prepared.
async fn use_vm(
    client: &Client,
    vm: &Vm,
    purpose: Purpose,
    mut is_prepared_behind: bool,
) -> Result<i32, Failure> {
    let cwd = purpose.cwd();
    let Purpose {
        asked,
        command,
        user,
        tty,
        detach,
        ..
    } = purpose;
    let name = vm.name.as_str();
    // A command of a script must not race with the preparation; a person at a shell sees it.
    if is_prepared_behind && asked {
        bootstrap::end(client, name).await?;
        is_prepared_behind = false;
    }
    if detach && command.is_empty() {
        print::line(name);
        print::notice!("open a shell with `banger vm shell {name}`");
        return Ok(exit::OK);
    }
    let exec = Exec {
        argv: command,
        cwd,
        user,
        tty,
        ..Exec::default()
    };
    let ended = session::run(client, name, &exec, session::Input::Ours).await;
    if is_prepared_behind {
        bootstrap::print_state(client, name).await;
    }
    ended
}
