//! The README and the tutorials are followed literally: every command of theirs is typed, and what they show of its output must
//! come. The README's session is recorded in `docs/session.svg`, which must show what the commands print today.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::pages::{Step, steps};
use banger_e2e::{Backend, Home, Image, Internet, Key, SITES, Shell, git, lay_mirror, recording};

use crate::networks::networked;
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("the_readme_is_followed", readme).by_root(),
    in_guests("the_tutorial_of_repositories_is_followed", of_repositories).by_root(),
    // It commits an image by a fixed name into the store that all scenarios share.
    Scenario::on(
        "the_tutorial_of_services_is_followed",
        &[Backend::Firecracker],
        of_services,
    )
    .by_root(),
];

const README: &str = include_str!("../../../README.md");
const REPOSITORIES: &str = include_str!("../../../docs/tutorial-repository.md");
const SERVICES: &str = include_str!("../../../docs/tutorial-service.md");

/// When this is set, the recording is written, and not compared.
const RECORD: &str = "BANGER_RECORD";

/// Columns of the terminal.
const COLS: u16 = 110;

/// The image that a fresh host gets by `banger setup`, by another name.
const IMAGE: Image = Image::Git;

/// A home whose user has a repository `my-repo` with uncommitted work, and the programs in a network of their own: the pages
/// publish fixed ports.
fn home(internet: &Internet, backend: Backend, image: &str) -> Result<(Home, PathBuf)> {
    let home = networked(internet, &[IMAGE])?;
    home.prefer(backend)?;
    let config = home.path().join("config/config.toml");
    let rest = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("default_image = \"{image}\"\n{rest}"))?;
    let user = home.user_dir();
    std::fs::write(
        user.join(".gitconfig"),
        "[user]\n\tname = Sam\n\temail = sam@example.org\n[core]\n\tpager = cat\n",
    )?;
    let repository = user.join("my-repo");
    std::fs::create_dir(&repository)?;
    git(&repository, &["init", "-q", "-b", "main"])?;
    std::fs::write(repository.join("notes.txt"), "one\n")?;
    git(&repository, &["add", "-A"])?;
    git(&repository, &["commit", "-q", "-m", "Add notes"])?;
    std::fs::write(repository.join("notes.txt"), "one\ntwo\n")?;
    Ok((home, repository))
}

/// Types the commands of a page. `before` does what the text around a command asks for in words.
fn follow(
    shell: &mut Shell,
    steps: &[Step],
    repository: &Path,
    before: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    for step in steps {
        let (line, shown) = match step {
            Step::Toml(text) => {
                std::fs::write(repository.join("banger.toml"), text)?;
                continue;
            }
            Step::Command { line, shown } => (line, shown),
        };
        before(line)?;
        let key = match line {
            line if line.contains("ctrl-c") => Some(Key::CtrlC),
            line if line.contains("ctrl-d") => Some(Key::CtrlD),
            _ => None,
        };
        let ended = shell.run(line, key)?;
        // What this host lacks is another matter, as long as it is said.
        let is_well =
            ended.code == 0 || key.is_some() || line == "banger doctor" && ended.text.contains("fix:");
        ensure!(is_well, "`{line}` exited with {}: {}", ended.code, ended.text);
        for expected in shown {
            ensure!(
                ended.text.lines().any(|line| line.trim_end() == expected),
                "`{line}` printed no line `{expected}`: {}",
                ended.text
            );
        }
    }
    Ok(())
}

fn readme(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let (home, repository) = home(&internet, backend, IMAGE.name())?;
    let (_, section) = README.split_once("## A first session").context("the section")?;
    let (section, _) = section.split_once("\n## ").context("the next section")?;
    let steps = steps(section);
    let at = |step: &Step| matches!(step, Step::Command { line, .. } if line == "cd my-repo");
    let first = steps.iter().position(at).context("the repository")?;
    ensure!(first == 2 && steps.len() == 11, "{steps:?}");
    let (preparing, session) = steps.split_at(first);
    follow(
        &mut Shell::start(home.bash(), COLS)?,
        preparing,
        &repository,
        |_| Ok(()),
    )?;
    let mut shell = Shell::start(home.bash(), COLS)?;
    follow(&mut shell, session, &repository, |_| Ok(()))?;
    ensure!(
        repository.join("built.txt").exists(),
        "the guest's file is not here"
    );
    // What differs from a fresh host by this test alone: its directory, the generated name, and what its images are called.
    let user = home.user_dir().to_string_lossy().into_owned();
    let contents = shell.screen(&[])?.screen().contents();
    let created = contents.lines().find_map(|line| line.split_once(": image "));
    let (generated, _) = created.context("the name of the first VM")?;
    let [_, _, _, kernel] = backend.options();
    let screen = shell.screen(&[
        (&user, "/home/sam"),
        (generated, "tidy-harbor"),
        (&format!("image {}", IMAGE.name()), "image debian-bookworm"),
        (&format!("kernel {kernel}"), "kernel debian"),
    ])?;
    let svg = recording::svg(screen.screen(), "A session with banger, as in README.md");
    drop(shell);
    recorded(&svg)?;
    home.end()
}

/// Compares the recording with the one of the documentation, or replaces that.
fn recorded(svg: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/session.svg");
    if std::env::var_os(RECORD).is_some() {
        return Ok(std::fs::write(&path, svg)?);
    }
    let there =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let (there, now) = (recording::lines(&there), recording::lines(svg));
    ensure!(
        there == now,
        "docs/session.svg is not what the commands print: `{RECORD}=1 cargo nextest run -E 'test(the_readme_is_followed)'` \
         records it again\nthere:\n{}\nnow:\n{}",
        there.join("\n"),
        now.join("\n")
    );
    Ok(())
}

fn of_repositories(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let (home, repository) = home(&internet, backend, IMAGE.name())?;
    // The tutorial merges commits of the guest's, which takes a clean work tree.
    git(&repository, &["commit", "-q", "-a", "-m", "Add more notes"])?;
    let steps = steps(REPOSITORIES);
    ensure!(steps.len() > 15, "{steps:?}");
    let mut shell = Shell::start(home.bash(), COLS)?;
    shell.run("cd my-repo", None)?;
    follow(&mut shell, &steps, &repository, |line| {
        if line.starts_with("banger vm workspace prepare") {
            std::fs::write(repository.join("notes.txt"), "three\n")?;
        }
        Ok(())
    })?;
    drop(shell);
    ensure!(std::fs::read_to_string(repository.join("hello.txt"))? == "hello\n");
    home.end()
}

/// Waits until the tutorial's server listens, as a reader does who looks at the list of ports.
fn until_served(home: &Home) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ports = home.banger(["vm", "ports", "web"])?.ok()?.text();
        if ports.contains("python3") {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the server does not listen: {ports}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn of_services(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let base = "tutorial-base";
    let (home, repository) = home(&internet, backend, base)?;
    // Debian's mirror is one here.
    home.create(backend, IMAGE, "base", &[])?;
    let status = home.sh("base", "cat /var/lib/dpkg/status")?;
    lay_mirror(&internet.pages(), &status, &["python3"])?;
    let sources = format!(
        "rm -rf /etc/apt/sources.list* && echo 'deb [trusted=yes] http://{}/ ./' > /etc/apt/sources.list",
        SITES[0]
    );
    home.sh("base", &sources)?;
    home.banger(["vm", "commit", "base", "--force", "--name", base])?
        .ok()?;
    home.banger(["vm", "delete", "-f", "base"])?.ok()?;

    let site = home.user_dir().join("site");
    std::fs::create_dir(&site)?;
    std::fs::write(site.join("index.html"), "hello\n")?;
    let steps = steps(SERVICES);
    ensure!(steps.len() > 14, "{steps:?}");
    let mut shell = Shell::start(home.bash(), COLS)?;
    follow(&mut shell, &steps, &repository, |line| {
        match line.starts_with("curl") {
            true => until_served(&home),
            false => Ok(()),
        }
    })?;
    drop(shell);
    home.banger(["image", "delete", base])?.ok()?;
    home.end()
}
