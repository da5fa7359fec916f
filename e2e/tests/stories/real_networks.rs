//! Networks as they are: servers that take their time, and a way out that becomes another one.

use std::time::Duration;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image, Internet, SITES};

use crate::{Story, in_guests};

pub(crate) const STORIES: &[Story] =
    &[
        in_guests("late_answers_come_through_a_rootless_network", late_rootless)
            .with("pasta")
            .by_root(),
    ];

const LATE: u16 = 8443;
/// What a TLS handshake with a server a continent away takes.
const AFTER: Duration = Duration::from_millis(150);

/// Says something, and twice more after each answer, as a handshake does. Gives how many of three answers came.
fn talks(home: &Home, vm: &str) -> Result<usize> {
    let line = format!(
        "(for word in one two three; do echo $word; sleep 1; done) | timeout 15 nc {} {LATE} 2>/dev/null",
        SITES[0]
    );
    let said = home.exec(vm, &["sh", "-c", &line])?.text();
    Ok(["one", "two", "three"]
        .iter()
        .filter(|word| said.contains(**word))
        .count())
}

fn late_answers(internet: &Internet, home: &Home, backend: Backend) -> Result<()> {
    internet.answer_late(LATE, AFTER)?;
    home.create(backend, Image::Busybox, "web", &["--nat"])?;
    for _ in 0..2 {
        let answers = talks(home, "web")?;
        ensure!(
            answers == 3,
            "{answers} of 3 late answers came: {}",
            home.banger(["vm", "egress", "web"])?.text()
        );
    }
    // Wi-Fi to cable: what begins from now on goes the new way.
    internet.change_cables()?;
    let answers = talks(home, "web")?;
    ensure!(
        answers == 3,
        "{answers} of 3 answers came after the way out was changed"
    );
    // A site that is a neighbour now is the neighbours' own.
    let reached = |site: &str| -> Result<bool> {
        let line = format!(
            "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc -w 5 {site} 80 2>/dev/null | grep -c hello"
        );
        Ok(home.exec("web", &["sh", "-c", &line])?.text().trim() == "1")
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
    let home = Home::new(&[Image::Busybox])?.of_plain_user(internet.host())?;
    late_answers(&internet, &home, backend)?;
    let by = home.vm("web")?.network.by;
    ensure!(by.as_deref() == Some("rootless"), "its network is {by:?}");
    home.end()
}
