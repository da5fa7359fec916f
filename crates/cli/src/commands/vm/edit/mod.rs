//! `banger vm edit`

mod document;

use std::io::IsTerminal;
use std::path::Path;

use banger_api::{Vm, VmSet};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{ask, complete, connection, exit, output, print};
use banger_model::shell_word;
use tempfile::NamedTempFile;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::set;

/// Edit the settings of a VM in your editor
///
/// Opens $VISUAL, $EDITOR or vi on the settings that `banger vm set` changes, as TOML with comments. Only what you
/// change is set. A text that is refused is opened again, with the reason above it; one that you leave unchanged ends
/// the command. Size, VMM and kernel can only change while the VM is stopped; --restart stops and starts it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm edit web
  banger vm edit web --restart
  EDITOR='code --wait' banger vm edit web")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// Stop and start the VM if a change requires it; otherwise banger asks
    #[arg(long)]
    restart: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let vm = client.vm(&args.name).await?;
    let text = Text::create(&vm)?;
    let changed = edited(&client, &vm, &args, &text)
        .await
        .map_err(|refusal| refusal.kept(text, &args))?;
    if changed.is_none() {
        print::notice(&format!("note: VM {} is unchanged", vm.name));
    }
    args.output
        .print(&changed.unwrap_or(vm), |vm| print::line(vm.name.as_str()))?;
    Ok(exit::OK)
}

/// Why a text was not applied.
struct Refusal {
    failure: Failure,
    /// The text, if there is something of the user's in it.
    edited: bool,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            edited: false,
        }
    }
}

impl Refusal {
    /// The failure, with the file that has the user's text.
    fn kept(self, text: Text, args: &Args) -> Failure {
        let mut failure = self.failure;
        if self.edited
            && let Ok((_, path)) = text.file.keep()
        {
            let copy = format!("cp {}", shell_word(&path.display().to_string()));
            let restart = if args.restart || failure.is_of_phase() {
                " --restart"
            } else {
                ""
            };
            let (copy, name) = (shell_word(&copy), shell_word(&args.name));
            failure.add_hint(&format!(
                "your text is in {}; `EDITOR={copy} banger vm edit {name}{restart}` applies it",
                path.display()
            ));
        }
        failure
    }
}

/// Has the user edit the settings until they are accepted, or left as they are.
async fn edited(client: &Client, vm: &Vm, args: &Args, file: &Text) -> Result<Option<Vm>, Refusal> {
    let mut shown = document::of(vm);
    let mut refusal = None;
    loop {
        file.write(&shown)?;
        let text = file.edited().await?;
        if document::is_empty(&text) {
            return Ok(None);
        }
        if text == shown {
            return refusal.map_or(Ok(None), Err);
        }
        let failure = match document::change(vm, &text) {
            Ok(None) => return Ok(None),
            Ok(Some(set)) => match apply(client, vm, &set, args.restart).await {
                Ok(vm) => return Ok(Some(vm)),
                Err(failure) => failure,
            },
            Err(mistake) => {
                let what = format!("failed to read the edited settings of VM {}", vm.name);
                Failure::during(what, &mistake)
            }
        };
        // What another text would not help, and where nobody would correct it.
        let is_final = failure.is_of_phase() || failure.is_absence() || !std::io::stdin().is_terminal();
        shown = document::refused(&text, &reasons(&failure));
        let refused = Refusal {
            failure,
            edited: true,
        };
        if is_final {
            return Err(refused);
        }
        refusal = Some(refused);
    }
}

/// Applies a change. Asks whether to restart the VM if that is needed and somebody can answer.
async fn apply(client: &Client, vm: &Vm, set: &VmSet, restart: bool) -> Result<Vm, Failure> {
    let name = vm.name.as_str();
    match set::apply(client, name, set, restart).await {
        Err(failure) if failure.is_of_phase() && !restart && can_ask() => {
            let question = format!("VM {name} must be stopped and started again for this. Restart it now?");
            match ask::sure(&question, &format!("banger vm edit {name} --restart"))? {
                true => set::apply(client, name, set, true).await,
                false => Err(failure),
            }
        }
        done => done,
    }
}

fn can_ask() -> bool {
    !output::is_json() && std::io::stdin().is_terminal()
}

/// What is wrong with a text, for the head of the file.
fn reasons(failure: &Failure) -> Vec<String> {
    let body = failure.as_json();
    let causes = body.causes.iter().map(|cause| format!("  caused by: {cause}"));
    let hints = body.hints.iter().map(|hint| format!("hint: {hint}"));
    let message = format!("error: {}", body.message);
    std::iter::once(message).chain(causes).chain(hints).collect()
}

/// The file that is edited. Only its user can read it, because variables may be secrets.
struct Text {
    file: NamedTempFile,
}

impl Text {
    fn create(vm: &Vm) -> Result<Self, Failure> {
        let prefix = format!("banger-{}-", vm.name);
        let mut named = tempfile::Builder::new();
        let file = named.prefix(&prefix).suffix(".toml").tempfile();
        let file = file.map_err(|error| Failure::during("failed to create a file for the editor", &error))?;
        Ok(Self { file })
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        let path = self.file.path();
        std::fs::write(path, text)
            .map_err(|error| Failure::during(format!("failed to write {}", path.display()), &error))
    }

    /// The text after the editor has ended.
    async fn edited(&self) -> Result<String, Failure> {
        let path = self.file.path();
        run_editor(path).await?;
        // Read by its name, because many editors replace the file.
        std::fs::read_to_string(path)
            .map_err(|error| Failure::during(format!("failed to read {}", path.display()), &error))
    }
}

/// The user's editor: a line for a shell, as git takes it.
fn editor() -> Result<String, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    set("VISUAL")
        .or_else(|| set("EDITOR"))
        // The editor that nobody chose would wait for keys that do not come.
        .or_else(|| std::io::stdin().is_terminal().then(|| "vi".to_owned()))
        .ok_or_else(|| {
            let hints = [
                "set EDITOR to a program that changes the file by itself",
                "or change settings by options: `banger vm set --help` lists them",
            ];
            Failure::new("there is no terminal for an editor", &hints)
        })
}

async fn run_editor(path: &Path) -> Result<(), Failure> {
    let editor = editor()?;
    let hint = "set EDITOR to your editor, such as `EDITOR=nano`";
    let started = || {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{editor} \"$@\""), &editor]);
        // Standard output may be a pipe that waits for JSON.
        let shown = rustix::stdio::stderr().try_clone_to_owned()?;
        command.arg(path).stdout(shown).spawn()
    };
    let mut child = started()
        .map_err(|error| Failure::during(format!("failed to start the editor `{editor}`"), &error))?;
    // Ctrl-C is the editor's while it runs.
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| Failure::during("failed to listen for signals", &error))?;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended,
            _ = interrupt.recv() => {}
        }
    };
    let failed = match ended {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => Failure::new(format!("the editor `{editor}` ended with {status}"), &[hint]),
        Err(error) => Failure::during(format!("failed to wait for the editor `{editor}`"), &error),
    };
    Err(failed)
}
