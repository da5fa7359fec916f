//! Networks as they are: servers that take their time, and a way out that becomes another one.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use banger_e2e::{Backend, Home, Image, Internet, SITES};

use crate::networks::{counted, networked};
use crate::{Scenario, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    in_guests("late_answers_come_through_a_rootless_network", late_rootless)
        .with("pasta")
        .by_root(),
    in_guests("late_answers_come_through_the_bridge", late_bridged).by_root(),
];

const LATE: u16 = 8443;
const AT_THE_END: u16 = 8444;
/// What a TLS handshake with a server a continent away takes.
const AFTER: Duration = Duration::from_millis(150);

/// Says something, and twice more after each answer, as a handshake does; all three answers must come.
fn talks(internet: &Internet, home: &Home, vm: &str, when: &str) -> Result<()> {
    let line = format!(
        "(for word in one two three; do echo $word; sleep 1; done) | timeout 15 nc {} {LATE}",
        SITES[0]
    );
    let said = home.exec(vm, &["sh", "-c", &line])?;
    let answers = said.text();
    if ["one", "two", "three"].iter().all(|word| answers.contains(word)) {
        return Ok(());
    }
    bail!(
        "{when}: of three late answers came {answers:?} {}\n{}",
        said.stderr,
        surroundings(internet, home, vm)?
    )
}

/// What may have stood in the way.
fn surroundings(internet: &Internet, home: &Home, vm: &str) -> Result<String> {
    let inside = "ip addr; ip route; ip neigh; cat /proc/net/snmp /proc/net/dev";
    let outside = "ip -s addr; ip route; ip neigh; bridge -d link; cat /proc/net/stat/nf_conntrack; \
                   cat /proc/net/nf_conntrack; nft list ruleset";
    let egress = home.banger(["vm", "egress", vm])?;
    Ok(format!(
        "in the guest:\n{}\non the host:\n{}\negress: {} {}",
        home.exec(vm, &["sh", "-c", inside])?.text(),
        internet.on_the_host(&["sh", "-c", outside])?.1,
        egress.text(),
        egress.stderr
    ))
}

fn late_answers(internet: &Internet, home: &Home, backend: Backend) -> Result<()> {
    internet.answer_late(LATE, AFTER)?;
    internet.answer_at_the_end(AT_THE_END, Duration::from_secs(1))?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    for when in ["at first", "once more"] {
        talks(internet, home, "web", when)?;
    }
    // A question whose end says that it is one. Debian 12's pasta does not pass on the answer's end, and may repeat it.
    let line = format!("printf question | timeout 5 nc {} {AT_THE_END}", SITES[0]);
    let said = home.exec("web", &["sh", "-c", &line])?.text();
    let mut answers = said.lines();
    let is_old = home.banger(["doctor"])?.text().contains("git20250503");
    let is_first = answers.next() == Some("8 bytes");
    // The old one was seen to repeat it up to 18 times in the five seconds, on a busy host.
    let is_answer = is_first
        && if is_old {
            answers.all(|more| more == "8 bytes")
        } else {
            answers.next().is_none()
        };
    ensure!(is_answer, "a half-closed connection got {said:?}");
    // Wi-Fi to cable: what begins from now on goes the new way.
    internet.change_cables()?;
    talks(internet, home, "web", "after the way out was changed")?;
    // A site that is a neighbour now is the neighbours' own.
    let reached = |site: &str| -> Result<bool> {
        let line = format!(
            "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc -w 5 {site} 80 2>/dev/null | grep -c hello"
        );
        counted(&home.exec("web", &["sh", "-c", &line])?)
    };
    ensure!(reached(SITES[1])?, "a site is not reached");
    internet.on_the_host(&[
        "ip",
        "addr",
        "add",
        "93.184.216.99/24",
        "dev",
        "up1",
        "noprefixroute",
    ])?;
    std::thread::sleep(Duration::from_millis(500));
    ensure!(!reached(SITES[1])?, "a neighbour of the host is reached");
    banger_cases::refused("egress", "neighbour.joined-network");
    let told = home.banger(["vm", "egress", "web"])?.ok()?.text();
    ensure!(told.contains("a network of this host"), "{told}");
    let rule = format!("{}:80", SITES[1]);
    home.banger(["vm", "set", "web", "--allow", &rule])?.ok()?;
    ensure!(reached(SITES[1])?, "a neighbour that is named is not reached");
    Ok(())
}

fn late_rootless(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let home = Home::new(&[Image::Busybox])?.of_plain_user(Some(internet.host()))?;
    late_answers(&internet, &home, backend)?;
    let by = home.vm("web")?.network.by;
    ensure!(by.as_deref() == Some("rootless"), "its network is {by:?}");
    home.end()
}

fn late_bridged(backend: Backend) -> Result<()> {
    let internet = Internet::new()?;
    let home = networked(&internet, &[Image::Busybox])?;
    late_answers(&internet, &home, backend)?;
    home.end()
}
