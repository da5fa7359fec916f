//! A VM's settings are edited as a text.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image, Output, Terminal};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("a_vm_is_edited_as_a_text", as_a_text),
    on_the_host("a_text_that_is_refused_is_edited_again", again),
];

/// An editor: a program that does `script` to its file, `$1`.
fn editor(dir: &Path, name: &str, script: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    Ok(path)
}

fn edit(home: &Home, editor: &str, more: &[&str]) -> Result<Output> {
    let mut command = home.command([&["vm", "edit", "web"], more].concat());
    // `VISUAL` is the one that counts.
    command.env("VISUAL", editor).env("EDITOR", "false");
    home.finish(command, Vec::new())
}

fn as_a_text(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(
        backend,
        Image::Busybox,
        "web",
        &["--env", "A=1", "--label", "team=core"],
    )?;
    // What is left as it is changes nothing, in each way.
    for editor in ["true", "sh -c ': > \"$1\"' sh", "touch"] {
        edit(&home, editor, &[])?.ok()?.saying("VM web is unchanged")?;
    }
    edit(&home, "sh -c 'exit 3'", &[])?
        .exited(1)?
        .saying("the editor `sh -c 'exit 3'` ended with exit status: 3")?;
    edit(&home, "no-such-editor", &[])?
        .exited(1)?
        .saying("set EDITOR")?;

    // What needs no restart applies to a VM that runs.
    let pid = || anyhow::Ok(home.vm("web")?.machine.map_or(0, |machine| machine.pid));
    let before = pid()?;
    let sed = "sed -i -e s/^A.*/B=2/ -e s/^team.*// -e '$a ci = true'";
    let shown = edit(&home, sed, &["--json"])?.ok()?;
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
    ensure!(shown["env"] == serde_json::json!({ "B": "2" }), "{shown}");
    ensure!(shown["labels"] == serde_json::json!({ "ci": "true" }), "{shown}");
    ensure!(pid()? == before, "it was not restarted");

    // What does needs the option, and the text is kept until then.
    let refused = edit(&home, "sed -i s/^memory.*/memory=\\\"640M\\\"/", &[])?
        .exited(4)?
        .saying("--restart")?;
    ensure!(home.vm("web")?.memory.as_mib() != 640, "it was refused");
    // As the hint says it, by a shell.
    home.follow(&refused, "applies it")?.ok()?;
    ensure!(
        home.vm("web")?.memory.as_mib() == 640 && pid()? != before,
        "{}",
        refused.stderr
    );
    home.banger(["vm", "edit", "nope"])?.exited(3)?;
    let mut nobody = home.command(["vm", "edit", "web"]);
    nobody.env_remove("VISUAL").env_remove("EDITOR");
    home.finish(nobody, Vec::new())?
        .exited(1)?
        .saying("there is no terminal for an editor")?;
    home.end()
}

fn again(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &[])?;
    let dir = tempfile::tempdir()?;
    let seen = dir.path().join("seen");
    // Makes a mistake, sees what was wrong, corrects it.
    let script = format!(
        "cat \"$1\" >> {0}; if grep -q '^#! ' \"$1\"; then sed -i s/nine/9/ \"$1\"; else sed -i 's/^vcpus.*/vcpus = nine/' \"$1\"; fi",
        seen.display()
    );
    let corrects = editor(dir.path(), "corrects", &script)?;
    let start = |editor: &Path| -> Result<Terminal> {
        let mut command = home.command(["vm", "edit", "web"]);
        command.env("VISUAL", editor);
        Terminal::start(command, 24, 80)
    };
    let mut terminal = start(&corrects)?;
    // Whether to restart it is asked where somebody can answer.
    terminal.expect("Restart it now? [y/N]")?;
    terminal.write("y\n")?;
    terminal.expect("web")?;
    ensure!(terminal.end()? == 0, "it was corrected");
    ensure!(home.vm("web")?.vcpus == 9, "it has what was corrected");
    let seen = std::fs::read_to_string(&seen)?;
    ensure!(
        seen.contains("#! error: failed to read the edited settings of VM web\n#!   caused by: line "),
        "{seen}"
    );
    // One who leaves what was refused as it is gets the refusal.
    let gives_up = editor(
        dir.path(),
        "gives-up",
        "grep -q '^#! ' \"$1\" || sed -i 's/^vcpus.*/vcpus = nine/' \"$1\"",
    )?;
    let mut terminal = start(&gives_up)?;
    terminal.expect("error: failed to read the edited settings of VM web")?;
    terminal.expect("your text is in ")?;
    ensure!(terminal.end()? == 1, "it was refused");
    // So does one who wants no restart.
    let mut terminal = start(&editor(
        dir.path(),
        "two",
        "sed -i 's/^vcpus.*/vcpus = 2/' \"$1\"",
    )?)?;
    terminal.expect("Restart it now? [y/N]")?;
    terminal.write("n\n")?;
    terminal.expect("--restart")?;
    ensure!(terminal.end()? == 4 && home.vm("web")?.vcpus == 9, "it stays");
    home.end()
}
