//! File systems that were made to exhaust whoever reads them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A name, and what `debugfs` does to an honest file system for it.
type Recipe = (&'static str, fn() -> String);

const RECIPES: &[Recipe] = &[
    ("directory-in-itself", || {
        "link /d /d/d\nlink /d /d/e\n".to_owned()
    }),
    ("root-in-itself", || {
        "link <2> /d/root\nlink <2> /root\n".to_owned()
    }),
    ("directories-of-one-block", directories_of_one_block),
    ("attributes-of-one-block", attributes_of_one_block),
    ("inodes-4294967295", || "ssv inodes_count 4294967295\n".to_owned()),
    ("blocks-4294967295", || "ssv blocks_count 4294967295\n".to_owned()),
    ("groups-of-no-inodes", || "ssv inodes_per_group 0\n".to_owned()),
    ("groups-of-no-blocks", || "ssv blocks_per_group 0\n".to_owned()),
    ("groups-of-one-block", || "ssv blocks_per_group 8\n".to_owned()),
    ("blocks-of-2-to-the-40", || "ssv log_block_size 30\n".to_owned()),
    ("inodes-of-60-kib", || "ssv inode_size 61440\n".to_owned()),
    ("file-of-4-tib", || "sif /f0 size 0x3ffffffffff\n".to_owned()),
    ("file-of-16-eib", || {
        "sif /f0 size 0xffffffffffffffff\n".to_owned()
    }),
    ("directory-of-8-tib", || "sif /d size 0x7ffffffffff\n".to_owned()),
    ("link-of-4-gib", || "sif /link size 0xffffffff\n".to_owned()),
    ("link-of-1-gib-in-blocks", || {
        "sif /f0 mode 0120777\nsif /f0 size 0x40000000\n".to_owned()
    }),
];

/// Sixty directories in a directory, all of which have that directory's block: sixty to the power of any depth.
fn directories_of_one_block() -> String {
    let made = (0..60).map(|number| format!("mkdir /d/{number}\n"));
    // The sixth word of a directory of one extent is where that is.
    let shared = (0..60).map(|number| format!("sif /d/{number} block[5] @BLOCK(/d)@\n"));
    made.chain(shared).collect()
}

/// Files that all have one block of attributes, as large as a block gets.
fn attributes_of_one_block() -> String {
    let value = "v".repeat(3_500);
    let set = format!("ea_set /f0 user.v {value}\n");
    let shared = (1..FILES).map(|number| format!("sif /f{number} file_acl @ATTRIBUTES(/f0)@\n"));
    std::iter::once(set).chain(shared).collect()
}

/// Files of the honest file system.
const FILES: usize = 2_000;

/// Writes all of them into `dir`.
///
/// # Errors
/// When one cannot be made, such as without e2fsprogs.
pub fn all(dir: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let [honest, summed] = ["honest.ext4", "summed.ext4"].map(|name| dir.join(name));
    make(dir, &honest, "^metadata_csum")?;
    make(dir, &summed, "metadata_csum")?;
    let mut made = Vec::new();
    for (name, recipe) in RECIPES {
        let path = dir.join(format!("{name}.ext4"));
        let script = recipe();
        // Of a superblock that was changed, the sum is right again.
        let from = match script.starts_with("ssv") {
            true => &summed,
            false => &honest,
        };
        fs::copy(from, &path)?;
        tamper(&path, &script)?;
        made.push((*name, path));
    }
    made.push(("extents-in-a-circle", extents_in_a_circle(dir, &honest)?));
    made.push((
        "blocks-of-pointers-in-a-circle",
        pointers_in_a_circle(dir, &honest)?,
    ));
    made.push(("honest", honest));
    Ok(made)
}

/// A file system, with sums of its metadata or without.
fn make(dir: &Path, to: &Path, sums: &str) -> Result<()> {
    let tree = dir.join("tree");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(tree.join("d"))?;
    for number in 0..FILES {
        fs::write(tree.join(format!("f{number}")), "content")?;
    }
    std::os::unix::fs::symlink("f0", tree.join("link"))?;
    let made = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-b", "4096", "-N", "4096"])
        .args(["-O", &format!("{sums},^64bit,^has_journal,^dir_index"), "-d"])
        .arg(&tree)
        .arg(to)
        .arg("16M")
        .output()
        .context("run mke2fs")?;
    let said = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "mke2fs failed: {said}");
    Ok(())
}

/// Runs a script of `debugfs`. What is between two `@` is a number that is looked for when the lines before it are done.
fn tamper(path: &Path, script: &str) -> Result<()> {
    let split = script.find("sif").unwrap_or(script.len());
    let (before, after) = script.split_at(split);
    debugfs(path, before)?;
    let mut after = after.to_owned();
    while let Some(start) = after.find('@') {
        let end = after[start + 1..].find('@').context("a second `@`")? + start + 1;
        let asked = &after[start + 1..end];
        let (what, file) = asked
            .trim_end_matches(')')
            .split_once('(')
            .context("a question")?;
        let number = match what {
            "BLOCK" => block(path, file)?,
            _ => attributes(path, file)?,
        };
        let asked = format!("@{asked}@");
        after = after.replace(&asked, &number.to_string());
    }
    debugfs(path, &after).map(drop)
}

fn debugfs(path: &Path, script: &str) -> Result<String> {
    let mut debugfs = Command::new("debugfs")
        .args(["-w", "-f", "-"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("run debugfs of e2fsprogs")?;
    let mut input = debugfs.stdin.take().context("its input")?;
    // It answers while it is told, so both go on at once.
    let script = script.to_owned();
    let telling = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = debugfs.wait_with_output()?;
    telling.join().expect("writing does not panic")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first block of a file.
fn block(path: &Path, file: &str) -> Result<u32> {
    let said = debugfs(path, &format!("bmap {file} 0\n"))?;
    let number = said.lines().rev().find_map(|line| line.trim().parse().ok());
    number.with_context(|| format!("no block of {file}: {said}"))
}

/// The block of a file's attributes.
fn attributes(path: &Path, file: &str) -> Result<u32> {
    let said = debugfs(path, &format!("stat {file}\n"))?;
    let rest = said.split("File ACL: ").nth(1).context("no File ACL")?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next();
    Ok(digits.unwrap_or_default().parse()?)
}

/// A file whose tree of extents leads to itself.
fn extents_in_a_circle(dir: &Path, honest: &Path) -> Result<PathBuf> {
    let path = dir.join("extents.ext4");
    fs::copy(honest, &path)?;
    let own = block(&path, "/f1")?;
    // A header of one entry of at most 340, deep 4; and an index from block 0 on, which is this block.
    let node = |most: u16| {
        let mut node = Vec::new();
        for half in [0xf30a_u16, 1, most, 4, 0, 0] {
            node.extend_from_slice(&half.to_le_bytes());
        }
        for word in [0, own, 0] {
            node.extend_from_slice(&word.to_le_bytes());
        }
        node
    };
    let file = File::options().write(true).open(&path)?;
    file.write_all_at(&node(340), u64::from(own) * 4096)?;
    let words = node(4);
    let words = words.chunks_exact(4).enumerate().map(|(at, word)| {
        let word = u32::from_le_bytes(word.try_into().expect("four bytes"));
        format!("sif /f0 block[{at}] {word}\n")
    });
    let script: String = words.collect();
    debugfs(
        &path,
        &format!("{script}sif /f0 flags 0x80000\nsif /f0 size 0x10000000\n"),
    )?;
    Ok(path)
}

/// A file whose blocks of pointers are one block, full of its own number: a million times a thousand blocks.
fn pointers_in_a_circle(dir: &Path, honest: &Path) -> Result<PathBuf> {
    let path = dir.join("pointers.ext4");
    fs::copy(honest, &path)?;
    let own = block(&path, "/f1")?;
    let file = File::options().write(true).open(&path)?;
    file.write_all_at(&own.to_le_bytes().repeat(1024), u64::from(own) * 4096)?;
    debugfs(
        &path,
        &format!(
            "sif /f0 flags 0\nsif /f0 block[DIND] {own}\nsif /f0 block[TIND] {own}\nsif /f0 size 0x3ffffffffff\n"
        ),
    )?;
    Ok(path)
}
