//! `web`, its neighbour `evil`, and what each may see of the other.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::Receiver;

use anyhow::{Context, Result, ensure};
use banger_e2e::frames::Mac;
use banger_e2e::{Backend, Home, Image, Internet, SITES};

use super::{EAR, HOSTS_OWN};
use crate::hostile_guest::probe;

/// One end of a cable.
#[derive(Clone, Copy)]
pub(super) struct Card {
    pub(super) mac: Mac,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
}

/// `web`, which is attacked, `evil`, and the host's side of both.
pub(super) struct Scene {
    pub(super) home: Home,
    pub(super) internet: Internet,
    pub(super) heard: Receiver<Vec<u8>>,
    pub(super) web: Card,
    pub(super) evil: Card,
    pub(super) gateway: Card,
    /// What the cases are named for.
    pub(super) kind: &'static str,
}

/// A frame of an attack, known again by its name, which it has in it.
pub(super) type Attack = (&'static str, Vec<u8>);

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(text: &str) -> Result<Mac> {
    let bytes: Vec<u8> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<_, _>>()?;
    bytes.try_into().ok().with_context(|| format!("{text} is no MAC"))
}

fn card(home: &Home, vm: &str) -> Result<Card> {
    let network = home.vm(vm)?.network;
    let find = |is_v4: bool| {
        network
            .addresses
            .iter()
            .find(|address| address.is_ipv4() == is_v4)
    };
    Ok(Card {
        mac: mac(&home.sh(vm, "cat /sys/class/net/eth0/address")?)?,
        v4: find(true).context("no IPv4")?.to_string().parse()?,
        v6: find(false).context("no IPv6")?.to_string().parse()?,
    })
}

/// What leads out of the guest.
fn gateway(home: &Home, vm: &str) -> Result<Card> {
    let line = "v4=$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'); \
                v6=$(ip -6 route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'); \
                ping -c 1 -W 3 $v4 >/dev/null; ping -c 1 -W 3 $v6 >/dev/null; \
                echo $v4 $v6 $(ip neigh show $v4 | sed -n 's/.*lladdr \\([^ ]*\\).*/\\1/p')";
    let told = home.sh(vm, line)?;
    let words: Vec<_> = told.split_whitespace().collect();
    let [v4, v6, card] = words[..] else {
        anyhow::bail!("its gateway is {told}");
    };
    Ok(Card {
        mac: mac(card)?,
        v4: v4.parse()?,
        v6: v6.parse()?,
    })
}

impl Scene {
    pub(super) fn new(home: Home, internet: Internet, backend: Backend, kind: &'static str) -> Result<Self> {
        internet.serve_on_the_host(HOSTS_OWN)?;
        let heard = internet.hears(EAR)?;
        let dir = tempfile::tempdir()?;
        let program = probe(dir.path(), include_str!("../../probes/frames.rs"))?;
        for vm in ["web", "evil"] {
            home.create(backend, Image::Busybox, vm, &["--nat"])?;
            home.banger(["vm", "cp", &program.to_string_lossy(), &format!("{vm}:/frames")])?
                .ok()?;
            let line = "chmod 755 /frames; (/frames eth0 watch 3600 >/seen 2>&1 </dev/null &)";
            home.sh(vm, line)?;
        }
        home.sh(
            "web",
            "mkdir /www; echo mine >/www/index.html; httpd -p 7777 -h /www",
        )?;
        let (web, evil) = (card(&home, "web")?, card(&home, "evil")?);
        let gateway = gateway(&home, "evil")?;
        Ok(Self {
            home,
            internet,
            heard,
            web,
            evil,
            gateway,
            kind,
        })
    }

    pub(super) fn refused(&self, name: &str) {
        banger_cases::refused("egress", &format!("neighbour.{name}.{}", self.kind));
    }

    pub(super) fn evil(&self, line: &str) -> Result<String> {
        self.home.sh("evil", line)
    }

    /// Whether `web` is as it was: it reaches its site, it is answered over IPv6, and its own server answers. Its card has seen
    /// nothing of `evil`'s, and none of these names.
    pub(super) fn is_well(&self, when: &str, names: &[&str]) -> Result<()> {
        let names: String = names
            .iter()
            .map(|name| format!("{name}={} ", hex(name.as_bytes())))
            .collect();
        let line = format!(
            "ok() {{ timeout 12 \"$@\" 2>&1 || echo \"not: $*\"; }}; before=$(wc -c </seen); ok wget -q -O - http://{}/; \
             ok ping -c 1 -W 5 {} >/seen6 || cat /seen6; ok wget -q -O - http://{}:7777/; \
             for name in {names} card={}; do grep -q ${{name#*=}} /seen && echo \"got ${{name%=*}}\"; done; \
             test $(wc -c </seen) -gt $before && grep -q {} /seen || echo \"its card sees nothing\"",
            SITES[0],
            self.gateway.v6,
            self.web.v4,
            hex(&self.evil.mac),
            hex(&self.web.mac)
        );
        let told = self.home.sh("web", &line)?;
        ensure!(told == "hello\nmine", "{when}: web is told {told}");
        Ok(())
    }

    /// Sends these from `evil`. `web`'s card gets none of them, and `web` goes on; `evil`'s gets nothing that is for `web`.
    pub(super) fn send(&self, what: &str, attacks: &[Attack]) -> Result<()> {
        let frames: Vec<_> = attacks.iter().map(|(_, frame)| hex(frame)).collect();
        self.evil(&format!("/frames eth0 send {}", frames.join(" ")))?;
        let names: Vec<_> = attacks.iter().map(|(name, _)| *name).collect();
        self.is_well(what, &names)?;
        self.is_deaf(what)?;
        names.iter().for_each(|name| self.refused(name));
        Ok(())
    }

    /// `evil`'s card has seen nothing of `web`'s. It has asked for no page.
    pub(super) fn is_deaf(&self, when: &str) -> Result<()> {
        let line = format!(
            "grep -e {} -e {} /seen | head -n 3; pidof frames >/dev/null && grep -q {} /seen || echo \"nobody looks\"",
            hex(&self.web.mac),
            hex(b"hello\n"),
            hex(&self.evil.mac)
        );
        let told = self.evil(&line)?;
        ensure!(told.is_empty(), "{when}: evil got {told}");
        Ok(())
    }
}
