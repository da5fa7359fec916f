//! The root helper as a service of a host.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, Internet, Output, short_dir};

use crate::{Scenario, in_debian, in_guests, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("systemd_runs_the_root_helper", by_systemd),
    in_debian("systemd_resolved_asks_for_the_names_of_vms", by_resolved).taking(NESTED),
    on_the_host("a_helper_is_started_by_hand", by_hand).by_root(),
];

/// A guest under emulation boots another one in 80 s where nothing else goes on, and in 170 s beside other guests.
const NESTED: Duration = Duration::from_secs(600);

/// banger's programs as an archive, without what only a debugger reads. It is not compressed: an emulated processor takes
/// longer to decompress it than to receive it.
fn programs(home: &Home) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let helper = home.programs().join("banger-root");
    for from in home.programs_of_a_user().into_iter().chain([helper]) {
        let to = dir.path().join(from.file_name().context("its name")?);
        let stripped = Command::new("strip").arg("-o").args([&to, &from]).status();
        if !stripped.is_ok_and(|status| status.success()) {
            std::fs::copy(&from, &to)?;
        }
    }
    let tar = Command::new("tar")
        .args(["-cC"])
        .arg(dir.path())
        .arg(".")
        .output()?;
    ensure!(tar.status.success());
    Ok(tar.stdout)
}

/// `banger system` in the guest, as root.
fn system(home: &Home, args: &[&str]) -> Result<Output> {
    let line = ["/opt/banger/banger", "system"];
    home.exec("host", &[&line, args].concat())
}

/// Whose VMs the helper is for: a user that this host need not know.
const OWNER: [&str; 2] = ["--owner", "1000"];

/// A guest named `host` that has banger's programs.
fn host(backend: Backend, image: Image) -> Result<Home> {
    let home = Home::new(&[image])?.patient(NESTED);
    home.create(backend, image, "host", &["--wait", "init", "--memory", "1G"])?;
    let unpack = "mkdir /opt/banger && tar -xC /opt/banger";
    home.banger_with(["vm", "exec", "host", "--", "sh", "-c", unpack], programs(&home)?)?
        .ok()?;
    Ok(home)
}

fn by_systemd(backend: Backend) -> Result<()> {
    let home = host(backend, Image::Systemd)?;
    let install = || system(&home, &[&["install"], &OWNER[..]].concat());
    // What is wrong is said before anything is done.
    let as_user = "setpriv --reuid 1000 --clear-groups /opt/banger/banger system install";
    home.exec("host", &["sh", "-c", as_user])?
        .failed()?
        .saying("hint: sudo /opt/banger/banger system install")?;
    install()?.failed()?.saying("apt-get install nftables")?;
    // The kernel of this guest may have no nftables; before there is a network the helper has nothing to say to `nft`.
    home.sh("host", "cp /bin/true /usr/sbin/nft; chmod 777 /usr/local/lib")?;
    install()?.failed()?.saying("sudo chmod go-w /usr/local/lib")?;
    home.sh(
        "host",
        "chmod 755 /usr/local/lib; test ! -e /usr/local/lib/banger",
    )?;
    // It serves when the command returns, and says so; doing it again changes nothing.
    for _ in 0..2 {
        let installed = install()?.ok()?.text();
        ensure!(installed.contains("for user 1000"), "{installed}");
        let told = system(&home, &[&["status"], &OWNER[..]].concat())?.ok()?.text();
        ensure!(
            told.contains("banger-root@1000.service: enabled, active"),
            "{told}"
        );
    }
    let mode = "stat -c '%a %u' /usr/local/lib/banger/banger-root /run/banger-root/1000.sock";
    ensure!(home.sh("host", mode)? == "755 0\n600 1000");
    // One that crashes comes back, and one that is restarted is another.
    let main = "systemctl show --value -p MainPID banger-root@1000";
    let crash = format!(
        "kill -9 $({main}); for i in $(seq 100); do sleep 0.2; \
         test $(systemctl show --value -p NRestarts banger-root@1000) = 1 && \
         systemctl is-active -q banger-root@1000 && exit; done; exit 1"
    );
    home.sh("host", &crash)?;
    let before = home.sh("host", main)?;
    system(&home, &[&["restart"], &OWNER[..]].concat())?.ok()?;
    ensure!(home.sh("host", main)? != before);
    let left = "find / -xdev -name '*banger-root*' -not -path '/opt/*'; ls -d /run/banger-root";
    ensure!(
        home.sh("host", &format!("{left}; true"))?
            .contains("/etc/systemd/system/banger-root@.service")
    );
    system(&home, &[&["uninstall", "--purge"], &OWNER[..]].concat())?.ok()?;
    let left = home.sh("host", &format!("{left} 2>/dev/null; true"))?;
    ensure!(left.is_empty(), "left: {left}");
    system(&home, &[&["status"], &OWNER[..]].concat())?.exited(1)?;
    home.end()
}

/// A user of a Debian with systemd installs the helper, and finds a VM by its name with what Debian has for that. The VM is a guest
/// in a guest.
fn by_resolved(backend: Backend) -> Result<()> {
    let home = host(backend, Image::Host)?;
    home.sh("host", "useradd --create-home --uid 1000 owner")?;
    system(&home, &[&["install"], &OWNER[..]].concat())?.ok()?;
    let as_owner = |line: &str| {
        let line = format!("PATH=$PATH:/opt/banger runuser -u owner -- banger {line}");
        home.exec("host", &["sh", "-c", &line])
    };
    let found = |name: &str| home.exec("host", &["resolvectl", "query", "--cache=no", name]);
    as_owner("kernel import debian --host")?.ok()?;
    as_owner("image import --name none /etc/skel")?.ok()?;
    as_owner("vm create --kernel debian --image none --memory 256M --name one --net nat")?.ok()?;
    let shown: serde_json::Value = serde_json::from_slice(&as_owner("vm show --json one")?.ok()?.stdout)?;
    let address = shown["network"]["addresses"][0].as_str().context("its address")?;
    let told = found("one.vm")?.ok()?.text();
    ensure!(told.contains(address), "{told}");
    let told = found(address)?.ok()?.text();
    ensure!(told.contains("one.vm"), "{told}");
    found("two.vm")?.failed()?.saying("not found")?;
    // It is the guest that says so.
    let connect = format!(": < /dev/tcp/{address}/9");
    home.exec("host", &["bash", "-c", &connect])?
        .failed()?
        .saying("Connection refused")?;
    // Someone takes the bridge away, and resolved forgets with it.
    home.sh("host", "ip link delete bgrrs")?;
    found("one.vm")?.failed()?;
    system(&home, &[&["status"], &OWNER[..]].concat())?.exited(1)?;
    system(&home, &[&["restart"], &OWNER[..]].concat())?.ok()?;
    // The helper does not wait for resolved.
    let again = "for i in $(seq 100); do resolvectl query one.vm && exit; sleep 0.2; done; exit 1";
    home.sh("host", again)?;
    home.exec("host", &["bash", "-c", &connect])?
        .failed()?
        .saying("Connection refused")?;
    as_owner("vm delete --force one")?.ok()?;
    // Without a VM the bridge has no carrier: a second later resolved asks nobody there, and its words are others.
    found("one.vm")?.failed()?;
    system(&home, &[&["uninstall", "--purge"], &OWNER[..]].concat())?.ok()?;
    let domains = home.sh("host", "resolvectl domain")?;
    ensure!(!domains.contains("~vm"), "{domains}");
    home.end()
}

fn by_hand(_: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let dir = short_dir("bgs-")?;
    let socket = dir.path().join("1000.sock");
    let home = Home::bare()?
        .with_env("BANGER_ROOT_SOCKET", &socket.to_string_lossy())
        .within(internet.host());
    let root = dir.path().join("root");
    let shown = root.to_string_lossy().into_owned();
    let install = ["system", "install", "--root", &shown, "--owner", "1000"];
    home.banger(install.iter().chain(&["--dry-run"]))?.ok()?;
    ensure!(!root.exists(), "a dry run makes something");
    home.banger(install)?.ok()?;
    let status = |in_order: bool| -> Result<serde_json::Value> {
        let output = home.banger(["system", "status", "--owner", "1000", "--json"])?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        // This host may have another build's installed, which is not in order.
        ensure!(in_order || output.code == 1, "{status}");
        Ok(status["helper"].clone())
    };
    ensure!(status(false)?["state"].is_null());
    let mut helper = start(
        &root.join("usr/local/lib/banger/banger-root"),
        dir.path(),
        &internet,
    )?;
    let state = status(true)?["state"].clone();
    ensure!(
        state["pid"] == helper.id() && state["findings"] == serde_json::json!([]),
        "{state}"
    );
    helper.kill()?;
    helper.wait()?;
    ensure!(status(false)?["problem"].is_string());
    Ok(())
}

/// Starts what was installed, as an init would, and waits until it serves.
fn start(program: &Path, dir: &Path, internet: &Internet) -> Result<std::process::Child> {
    use std::io::{BufRead, BufReader};
    let mut helper = Command::new("ip")
        .args(["netns", "exec", internet.host()])
        .arg(program)
        .args(["serve", "--owner", "1000", "--socket-dir"])
        .arg(dir)
        .arg("--state-dir")
        .arg(dir.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(helper.stdout.take().context("its output")?).read_line(&mut line)?;
    ensure!(line == "ready\n", "it does not serve");
    Ok(helper)
}
