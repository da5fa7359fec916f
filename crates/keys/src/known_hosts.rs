//! The file of known hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

use banger_model::VmName;
use ssh_key::PublicKey;
use ssh_key::public::{Ed25519PublicKey, KeyData};

const ABOUT: &str = "# Written by bangerd. Each VM's own key, by which ssh knows it.\n";

/// The whole file.
pub(crate) fn render(hosts: &[(&VmName, [u8; 32])]) -> String {
    let mut text = ABOUT.to_owned();
    for (name, public) in hosts {
        let key = PublicKey::from(KeyData::Ed25519(Ed25519PublicKey(*public)));
        // It holds 32 bytes; nothing of that can fail.
        if let Ok(key) = key.to_openssh() {
            text.push_str(&format!("{name}.vm {key}\n"));
        }
    }
    text
}
