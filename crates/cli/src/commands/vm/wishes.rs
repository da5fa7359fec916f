//! The configuration of a repository: shown, and applied after the user has trusted it.

use std::io::IsTerminal;
use std::path::Path;

use banger_api::{ImagePull, RepositoryConfig, TrustGrant, VmCreate, WishedImage, Wishes, WishesQuery};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::work::shown;
use banger_command::{ask, print};
use banger_model::network::NetMode;
use banger_model::shell_word;

/// Options about the repository's configuration.
pub(super) struct Said {
    /// Trust the repository.
    pub(super) trusts: bool,
    /// Install its tools and run its commands.
    pub(super) bootstraps: bool,
}

/// Applies the configuration of the repository that contains `path` to `request`, if it is trusted, and prints the
/// configuration. Asks the user on a terminal; otherwise `trusts` decides. Pulls an image that does not exist yet.
/// Returns what is left to do in the VM.
pub(super) async fn grant(
    client: &Client,
    path: &Path,
    Said { trusts, bootstraps }: Said,
    request: &mut VmCreate,
) -> Result<Wishes, Failure> {
    let query = WishesQuery {
        path: path.to_owned(),
        net: request.net,
        allow: request.allow.clone(),
        no_bootstrap: !bootstraps,
    };
    let wishes = client.wishes(&query).await?;
    let (Some(root), Some(digest)) = (wishes.root.clone(), wishes.digest.clone()) else {
        return Ok(wishes);
    };
    if !wishes.trusted && !wishes.needs_trust && !trusts {
        print_notes(&wishes);
        return Ok(wishes);
    }
    show(&wishes);
    if !wishes.trusted {
        if !trusts && !decided(&root)? {
            return Ok(wishes);
        }
        let grant = TrustGrant {
            path: root.clone(),
            digest: Some(digest.clone()),
        };
        client.trust(&grant).await?;
    }
    if let (None, Some(wished)) = (&request.image, &wishes.image)
        && wished.here.is_none()
        && !wished.taken
    {
        pull(client, wished).await?;
    }
    request.repository = Some(RepositoryConfig { path: root, digest });
    Ok(wishes)
}

/// Asks whether to trust the repository. Without a terminal the answer is no.
fn decided(root: &Path) -> Result<bool, Failure> {
    if std::io::stdin().is_terminal() && print::stream::stderr().is_terminal() {
        let question = format!(
            "Trust the configuration of {}? Your files and logins go into the same VM.",
            root.display()
        );
        if ask::sure(&question, "--trust")? {
            return Ok(true);
        }
        print::notice!("note: the VM is created without it; use `--no-repo-config` to skip this question");
        return Ok(false);
    }
    print::notice!(
        "note: {} is not trusted, so its configuration is ignored: apply it with `--trust`, show it \
         with `banger trust show {}`",
        root.display(),
        shell_word(&root.to_string_lossy())
    );
    Ok(false)
}

/// Prints the secrets that the repository asks for and that were not given.
pub(super) fn remind(wishes: &Wishes, given: &[String]) {
    let wanted = wishes.secrets.iter().filter(|name| !given.contains(name));
    let options: Vec<String> = wanted.map(|name| format!("--secret {name}")).collect();
    if let (Some(source), false) = (&wishes.source, options.is_empty()) {
        print::notice!(
            "note: {source} asks for secrets: pass them with {}",
            options.join(" ")
        );
    }
}

/// Prints a repository's configuration: the properties of the VM in one line, then what runs in the VM, one per line.
pub(crate) fn show(wishes: &Wishes) {
    let source = match &wishes.source {
        Some(source) => source.clone(),
        None => wishes.tools.join(", "),
    };
    let asked = asked(wishes);
    if !asked.is_empty() {
        print::notice!("{source} asks for: {}", asked.join(", "));
    }
    for line in effects(wishes) {
        print::notice!("  {line}");
    }
    print_notes(wishes);
}

fn print_notes(wishes: &Wishes) {
    let source = wishes.source.as_deref().unwrap_or_default();
    for note in &wishes.notes {
        print::notice!("note: {source}: {note}");
    }
}

/// A repository's configuration, one item per line.
pub(crate) fn lines(wishes: &Wishes) -> Vec<String> {
    let mut lines = asked(wishes);
    lines.extend(effects(wishes));
    lines
}

/// The properties of the VM, in a few words each.
fn asked(wishes: &Wishes) -> Vec<String> {
    let mut asked = Vec::new();
    asked.extend(wishes.image.as_ref().map(|image| format!("image {}", image.text)));
    asked.extend(wishes.kernel.as_ref().map(|kernel| format!("kernel {kernel}")));
    asked.extend(wishes.vcpus.map(|vcpus| format!("{vcpus} vCPUs")));
    asked.extend(wishes.memory.map(|memory| format!("{memory} memory")));
    asked.extend(wishes.disk_size.map(|size| format!("{size} disk")));
    asked.extend(wishes.net.map(|mode| match mode {
        NetMode::Nat | NetMode::Learn => format!("the public Internet (net {mode})"),
        NetMode::Off | NetMode::Allow => format!("net {mode}"),
    }));
    asked.extend(wishes.allow.iter().map(|rule| format!("allow {rule}")));
    asked.extend(wishes.ports.iter().map(|port| format!("port {port}")));
    asked
}

/// What runs in the VM, and its variables with their values, because a variable may redirect a program.
fn effects(wishes: &Wishes) -> Vec<String> {
    let mut lines: Vec<String> = wishes
        .env
        .iter()
        .map(|(name, value)| format!("variable {name}={}", short(value)))
        .collect();
    lines.extend(wishes.post_create.iter().map(|command| match &command[..] {
        [shell, option, line] if shell == "/bin/sh" && option == "-c" => format!("runs {}", short(line)),
        words => format!("runs {}", short(&words.join(" "))),
    }));
    if !wishes.tools.is_empty() {
        lines.push(format!("tools of {}, installed by mise", wishes.tools.join(", ")));
    }
    lines
}

/// A text from a repository, shortened, with its full length.
fn short(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
    }
}

/// Pulls the image that is asked for.
async fn pull(client: &Client, wished: &WishedImage) -> Result<(), Failure> {
    print::notice!(
        "there is no image {} yet; pulling {}",
        wished.name,
        wished.reference
    );
    let pull = ImagePull {
        reference: wished.text.clone(),
        name: Some(wished.name.clone()),
        logins: banger_command::logins::for_reference(&wished.text)?,
        ..ImagePull::default()
    };
    let pulled = shown("", async |progress| client.pull_image(&pull, progress).await);
    pulled.await?;
    Ok(())
}
