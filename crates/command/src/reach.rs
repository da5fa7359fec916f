//! Network options that several commands share.

use banger_model::network::NetMode;

/// Network options of a new VM.
#[derive(Debug, clap::Args)]
pub struct Reach {
    #[command(flatten)]
    net: Net,
    /// Allow access to the public Internet; same as `--net nat`
    #[arg(long, conflicts_with = "net")]
    nat: bool,
}

impl Reach {
    /// The network mode, if one was given.
    pub fn mode(&self) -> Option<NetMode> {
        self.net.net.or(self.nat.then_some(NetMode::Nat))
    }

    /// The additional rules.
    pub fn rules(&self) -> Vec<String> {
        self.net.allow.clone()
    }
}

impl Net {
    /// The mode and the rules that were given.
    pub fn change(self) -> (Option<NetMode>, Option<Vec<String>>) {
        (self.net, (!self.allow.is_empty()).then_some(self.allow))
    }
}

/// Network mode and rules.
#[derive(Debug, clap::Args)]
pub struct Net {
    /// Network mode: off, nat (public Internet), allow (only destinations of --allow) or learn (like nat, and record
    /// destinations)
    #[arg(long, value_name = "MODE")]
    net: Option<NetMode>,
    /// Additional destination to allow: HOST, CIDR or *.DOMAIN, each with an optional :PORT; vm:NAME, host:PORT or
    /// @PRESET; repeatable
    #[arg(long, value_name = "RULE")]
    allow: Vec<String>,
}
