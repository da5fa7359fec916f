//! What scenarios of pulled images have in common: images to pull, a home, pulls that go well and badly.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banger_api::Image as Described;
use banger_e2e::{Home, OciImage, Output};

use crate::images::{END, files_in, tar};

/// An image of one file.
pub(crate) fn image(content: &[u8]) -> Result<OciImage> {
    OciImage::new(&[layer("./file", content)], &[])
}

pub(crate) fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    [&tar(name, content)[..], &END].concat()
}

/// Bytes that no packing makes fewer.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(byte).take(len).collect()
}

/// A home whose user is logged in nowhere and is impatient, with more in its configuration.
pub(crate) fn home(config: &str) -> Result<Home> {
    let home = Home::bare()?.with_env("NO_PROXY", "127.0.0.1");
    let docker = home.path().join("docker");
    std::fs::create_dir_all(&docker)?;
    let home = home.with_env("DOCKER_CONFIG", &docker.to_string_lossy());
    let dir = home.path().join("config");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(
        dir.join("config.toml"),
        format!("[fetch]\nstall_seconds = 1\n{config}"),
    )?;
    Ok(home)
}

pub(crate) fn pull(home: &Home, reference: &str, more: &[&str]) -> Result<Output> {
    home.banger(["image", "pull", reference].iter().chain(more))
}

/// Pulls, which has to fail with these words, and checks that nothing is left of it.
pub(crate) fn refused(home: &Home, reference: &str, more: &[&str], words: &str) -> Result<Output> {
    let output = pull(home, reference, more)?.failed()?.saying(words)?;
    for place in ["data/images", "cache"] {
        let place = home.path().join(place);
        let left = if place.exists() {
            files_in(&place)?
        } else {
            vec!["lock".to_owned()]
        };
        ensure!(left == ["lock"], "{left:?} after `{words}`");
    }
    ensure!(home.banger(["image", "list", "--json"])?.ok()?.text() == "[]");
    Ok(output)
}

pub(crate) fn described(home: &Home, name: &str) -> Result<Described> {
    let shown = home.banger(["image", "show", "--json", name])?.ok()?;
    Ok(serde_json::from_slice(&shown.stdout)?)
}

/// What docker keeps of a login: a name and a password in base64, or the name of a program that has them.
pub(crate) fn log_in(home: &Home, registry: &str, inline: bool) -> Result<()> {
    let config = if inline {
        // `someone:word`
        format!(r#"{{"auths": {{"{registry}": {{"auth": "c29tZW9uZTp3b3Jk"}}}}}}"#)
    } else {
        format!(r#"{{"credHelpers": {{"{registry}": "story"}}}}"#)
    };
    std::fs::write(home.path().join("docker/config.json"), config)?;
    Ok(())
}

/// Checks what a file of an image has in it.
pub(crate) fn holds(home: &Home, name: &str, path: &str, content: &str) -> Result<()> {
    let shown = Command::new("debugfs")
        .args(["-R", &format!("cat {path}")])
        .arg(&described(home, name)?.layers[0])
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()?;
    let there = String::from_utf8_lossy(&shown.stdout);
    ensure!(there == content, "{path} of {name} has `{there}` in it");
    Ok(())
}

/// Waits until something is so.
pub(crate) fn within(seconds: u64, or: &'static str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let since = Instant::now();
    while !is_so()? {
        ensure!(since.elapsed() < Duration::from_secs(seconds), or);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
