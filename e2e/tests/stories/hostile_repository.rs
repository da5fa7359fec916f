//! Repositories that bring their own git directory: nothing that they name runs on the host, and nothing of the host gets into
//! the guest through them. And guests whose packs would take the host's memory.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, git};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("no_program_of_a_repository_runs", no_program_runs),
    on_the_host("a_repositorys_links_lead_nowhere", links_lead_nowhere),
    on_the_host("a_guests_pack_does_not_exhaust_the_host", pack_bomb),
];

/// Git's keys, and whether they name programs: the list that `banger-git` is tested with.
const KEYS: &str = include_str!("../../../crates/git/tests/keys.txt");

/// Hooks that git knows (githooks(5)).
const HOOKS: [&str; 28] = [
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];

fn repository(dir: &Path, files: &[(&str, &str)]) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    git(dir, &["init", "-q", "-b", "main"])?;
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().context("a directory")?)?;
        std::fs::write(path, text)?;
    }
    git(dir, &["add", "-A"])?;
    git(dir, &["commit", "-q", "-m", "first"]).map(drop)
}

/// Programs that leave a mark when they run.
struct Traps {
    dir: PathBuf,
}

impl Traps {
    fn new(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir.join("ran"))?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        self.write(&path, name)?;
        Ok(path)
    }

    fn write(&self, path: &Path, name: &str) -> Result<()> {
        let mark = self.dir.join("ran").join(name);
        std::fs::write(
            path,
            format!("#!/bin/sh\ntouch {}\ncat 2>/dev/null\n", mark.display()),
        )?;
        Ok(std::fs::set_permissions(
            path,
            std::fs::Permissions::from_mode(0o755),
        )?)
    }

    fn ran(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.dir.join("ran"))?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Sets every key of git's own list that is not plain data, and some on top, in the repository at `dir`.
    fn set(&self, dir: &Path) -> Result<()> {
        let mut text = String::new();
        for (number, line) in KEYS.lines().enumerate() {
            let (class, key) = line.split_once(' ').context("a class and a key")?;
            // With a value that git does not take, it would stop, and prove nothing.
            let is_path = matches!(key, "core.attributesFile" | "core.excludesFile" | "mailmap.file");
            if !(class == "program" || is_path) {
                continue;
            }
            let mut key = key.replace(".*", ".helper");
            while let (Some(open), Some(close)) = (key.find('<'), key.find('>')) {
                key.replace_range(open..=close, "evil");
            }
            let trap = self.make(&format!("key-{number}"))?;
            let (section, rest) = key.split_once('.').context("a section")?;
            let (sub, name) = match rest.rsplit_once('.') {
                Some((sub, name)) => (format!(" \"{sub}\""), name),
                None => (String::new(), rest),
            };
            text.push_str(&format!("[{section}{sub}]\n\t{name} = {}\n", trap.display()));
        }
        let included = self.dir.join("included");
        std::fs::write(&included, &text)?;
        let config = dir.join(".git/config");
        let mut all = std::fs::read_to_string(&config)?;
        all.push_str(&text);
        all.push_str(&format!(
            "[core]\n\thooksPath = .git/hooks\n[include]\n\tpath = {0}\n[includeIf \"gitdir:/\"]\n\tpath = {0}\n\
             [extensions]\n\tworktreeConfig = true\n",
            included.display()
        ));
        std::fs::write(&config, all)?;
        std::fs::write(dir.join(".git/config.worktree"), text)?;
        std::fs::create_dir_all(dir.join(".git/hooks"))?;
        for hook in HOOKS {
            self.write(&dir.join(".git/hooks").join(hook), &format!("hook-{hook}"))?;
        }
        Ok(())
    }
}

/// A file's content as it is, with another time, so that git has to compare it.
fn touch(path: &Path) -> Result<()> {
    let file = std::fs::File::options().append(true).open(path)?;
    Ok(file.set_modified(std::time::SystemTime::now() + Duration::from_secs(5))?)
}

fn no_program_runs(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let (evil, traps) = (dir.path().join("evil"), Traps::new(&dir.path().join("traps"))?);
    let attributes = "* filter=evil diff=evil merge=evil\n*.lfs filter=evil text\n";
    let files = [
        (".gitattributes", attributes),
        ("file", "1\n"),
        ("a.lfs", "2\n"),
        ("banger", "3\n"),
    ];
    repository(&evil, &files)?;
    repository(
        &evil.join("sub"),
        &[("inner", "1\n"), (".gitattributes", attributes)],
    )?;
    git(&evil, &["add", "sub"])?;
    git(&evil, &["commit", "-q", "-m", "sub"])?;
    traps.set(&evil)?;
    traps.set(&evil.join("sub"))?;
    // A program of the name that is looked for, where a careless PATH would find it.
    traps.write(&evil.join("git"), "path-git")?;
    for name in ["file", "a.lfs", "sub/inner"] {
        touch(&evil.join(name))?;
    }
    // The traps work: git itself runs into them.
    let careless = Command::new("git")
        .args(["add", "-A"])
        .current_dir(&evil)
        .output()?;
    ensure!(!traps.ran()?.is_empty(), "no trap works: {careless:?}");
    for name in traps.ran()? {
        std::fs::remove_file(traps.dir.join("ran").join(name))?;
    }
    for name in ["file", "a.lfs", "sub/inner"] {
        touch(&evil.join(name))?;
    }
    std::fs::write(evil.join("new"), "new\n")?;

    home.create(backend, Image::Busybox, "web", &[])?;
    let evil_path = evil.to_str().context("a path")?;
    let untouched = |what: &str| {
        let ran = traps.ran()?;
        ensure!(ran.is_empty(), "{what}: {ran:?} ran on the host");
        refused("git", &format!("run.{what}"));
        Ok(())
    };
    let around = |args: &[&str]| {
        // What surrounds the command is no way in either.
        let mut command = home.command(args);
        command
            .current_dir(&evil)
            .env(
                "PATH",
                format!(".:{evil_path}:{}", std::env::var("PATH").unwrap_or_default()),
            )
            .env("GIT_EXTERNAL_DIFF", traps.dir.join("key-1"))
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "core.fsmonitor")
            .env("GIT_CONFIG_VALUE_0", traps.dir.join("key-1"))
            .env("GIT_DIR", "/nonexistent")
            .env("GIT_SSH_COMMAND", traps.dir.join("key-1"));
        home.finish(command, Vec::new())
    };
    around(&["vm", "workspace", "prepare", "web", evil_path, "--dry-run"])?.ok()?;
    untouched("dry-run")?;
    around(&["vm", "workspace", "prepare", "web", evil_path])?.ok()?;
    untouched("prepare")?;
    home.exec("web", &["sh", "-c", "cd repo && echo more > made"])?
        .ok()?;
    for verb in ["status", "diff", "pull"] {
        around(&["vm", "workspace", verb, "web"])?.ok()?;
        untouched(verb)?;
    }
    around(&[
        "vm",
        "workspace",
        "prepare",
        "web",
        evil_path,
        "--from",
        "HEAD",
        "--force",
    ])?
    .ok()?;
    untouched("from")?;
    around(&["vm", "sync", "web", evil_path, "--guest-path", "/srv/evil"])?.ok()?;
    untouched("sync")?;
    let run = [
        "vm", "run", "--vmm", "fake", "--image", "busybox", "--kernel", "debian", "--name", "other", "-d",
        evil_path,
    ];
    around(&run)?.ok()?;
    untouched("vm-run")?;
    for hook in HOOKS {
        refused("git", &format!("hook.{hook}"));
    }
    home.end()
}

fn links_lead_nowhere(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let secret = dir.path().join("private");
    repository(&secret, &[("key", "a private key\n")])?;
    let evil = dir.path().join("evil");
    repository(&evil, &[("a/key", "public\n"), ("b", "b\n")])?;
    // A link in the middle of a path of the index, and one in place of a list of patterns.
    std::fs::remove_dir_all(evil.join("a"))?;
    symlink(&secret, evil.join("a"))?;
    symlink(secret.join("key"), evil.join(".bangerignore"))?;
    home.create(backend, Image::Busybox, "web", &[])?;
    let evil_path = evil.to_str().context("a path")?;
    let prepare =
        |more: &[&str]| home.banger([&["vm", "workspace", "prepare", "web", evil_path], more].concat());
    let plan: banger_api::WorkspacePlan =
        serde_json::from_slice(&prepare(&["--dry-run", "--json"])?.ok()?.stdout)?;
    ensure!(
        !plan.files.iter().any(|file| file.path == "a/key"),
        "{:?}",
        plan.files
    );
    prepare(&[])?.ok()?;
    // In a fake guest the link itself leads to the host's file, so what is looked at is not behind it.
    let seen = home.exec(
        "web",
        &["sh", "-c", "cd repo && test -L a && grep -rl 'a private' ."],
    )?;
    ensure!(seen.text().trim().is_empty(), "{}", seen.text());
    refused("git", "index.link-in-the-middle");
    refused("git", "bangerignore.link");
    // A repository that says that it is another one.
    let lender = secret.join(".git/objects");
    let alternates = evil.join(".git/objects/info/alternates");
    std::fs::write(&alternates, format!("{}\n", lender.display()))?;
    prepare(&[])?
        .failed()?
        .saying("borrows objects of")?
        .saying("banger.borrower")?;
    refused("git", "prepare.alternates");
    std::fs::remove_file(&alternates)?;
    std::fs::rename(evil.join(".git"), dir.path().join("away"))?;
    std::fs::write(
        evil.join(".git"),
        format!("gitdir: {}\n", secret.join(".git").display()),
    )?;
    prepare(&[])?.failed()?.saying("does not record this work tree")?;
    refused("git", "prepare.git-file");
    std::fs::remove_file(evil.join(".git"))?;
    symlink(secret.join(".git"), evil.join(".git"))?;
    prepare(&[])?.failed()?.saying("does not record this work tree")?;
    refused("git", "prepare.git-link");
    home.end()
}

/// A pack of two objects: 64 KiB of zeros, and a difference that copies them 24,000 times.
fn bomb() -> Result<Vec<u8>> {
    const BASE: usize = 64 << 10;
    let varint = |mut value: u64| {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    let head = |kind: u8, size: u64| {
        let mut first = (kind << 4) | (size & 15) as u8;
        let rest = size >> 4;
        if rest == 0 {
            return vec![first];
        }
        first |= 0x80;
        [vec![first], varint(rest)].concat()
    };
    let copies = 24_000;
    let mut delta = [varint(BASE as u64), varint((BASE * copies) as u64)].concat();
    // One byte copies 64 KiB from the beginning.
    delta.extend(vec![0x80; copies]);
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x02".to_vec();
    let base_at = pack.len();
    pack.extend(head(3, BASE as u64));
    pack.extend(stored(&vec![0; BASE]));
    let back = pack.len() - base_at;
    pack.extend(head(6, delta.len() as u64));
    // Offsets are big-endian in sevens, each but the last less one (gitformat-pack(5)).
    let mut offset = vec![(back & 0x7f) as u8];
    let mut rest = back >> 7;
    while rest > 0 {
        rest -= 1;
        offset.insert(0, (rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    pack.extend(offset);
    pack.extend(stored(&delta));
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &pack)?;
    let sum = Command::new("sha1sum").arg(file.path()).output()?;
    let sum = String::from_utf8(sum.stdout)?;
    let hex = sum.get(..40).context("a sum")?;
    for at in (0..40).step_by(2) {
        pack.push(u8::from_str_radix(&hex[at..at + 2], 16)?);
    }
    Ok(pack)
}

/// Bytes as zlib has them when it does not compress (RFC 1950, RFC 1951).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let chunks: Vec<&[u8]> = bytes.chunks(0xffff).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        out.push(u8::from(number + 1 == chunks.len()));
        let length = chunk.len() as u16;
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(*chunk);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend(((b << 16) | a).to_be_bytes());
    out
}

fn pack_bomb(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let liar = dir.path().join("liar");
    std::fs::create_dir(&liar)?;
    let path = format!("PATH={}:/usr/bin:/bin", liar.display());
    home.create(backend, Image::Busybox, "web", &["--env", &path])?;
    let repo = dir.path().join("repo");
    repository(&repo, &[("f", "1\n")])?;
    home.banger([
        "vm",
        "workspace",
        "prepare",
        "web",
        repo.to_str().context("a path")?,
    ])?
    .ok()?;
    let pack = dir.path().join("bomb.pack");
    std::fs::write(&pack, bomb()?)?;
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' pack-objects '*) exec cat {};; *) exec /usr/bin/git \"$@\";; esac\n",
        pack.display()
    );
    std::fs::write(liar.join("git"), script)?;
    std::fs::set_permissions(liar.join("git"), std::fs::Permissions::from_mode(0o755))?;
    let pid = home.daemon_pid()?;
    let pulled = std::thread::scope(|scope| {
        let pulling = scope.spawn(|| home.banger(["vm", "workspace", "pull", "web"]));
        let mut slowest = Duration::ZERO;
        while !pulling.is_finished() {
            let since = Instant::now();
            let listed = home.banger(["vm", "list"]);
            if listed.is_ok() {
                slowest = slowest.max(since.elapsed());
            }
        }
        // A shared machine: what counts is that nobody waits for the pull.
        let pulled = pulling.join().map_err(|_| anyhow::anyhow!("the pull panicked"))?;
        ensure!(slowest < Duration::from_secs(10), "vm list took {slowest:?}");
        pulled
    })?;
    pulled.failed()?.saying("of memory")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("a peak")?;
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    ensure!(peak < 100 << 10, "the daemon took {peak} kB");
    ensure!(git(&repo, &["for-each-ref", "refs/banger"])?.is_empty());
    refused("budget", "git.pack-of-copies");
    home.end()
}
