//! Who a client is (RFC 4252): a user that exists, with a key that may be it. There is no other way.

use crate::wire::{Reader, Write};
use crate::{Error, PublicKey, kex, message};

/// Keys that a client may try. One that keeps many in its agent offers them one after the other.
pub(crate) const ATTEMPTS: u32 = 20;

/// What becomes of a request to be somebody.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is this user.
    Proved(String),
    /// The key would do; this is the answer that says so.
    Promising(Vec<u8>),
    /// Not so.
    Refused,
}

/// Judges a USERAUTH_REQUEST of the session of this name.
pub(crate) fn judge(
    payload: &[u8],
    session: &[u8],
    keys: &[PublicKey],
    knows: impl Fn(&str) -> bool,
) -> Result<Verdict, Error> {
    let mut from = Reader::new(payload);
    from.skip(1)?;
    let user = from.text()?;
    let service = from.text()?;
    let method = from.text()?;
    if service != "ssh-connection" || method != "publickey" {
        return Ok(Verdict::Refused);
    }
    let is_signed = from.boolean()?;
    let algorithm = from.text()?;
    let blob = from.string()?;
    let key = PublicKey::of_blob(blob).filter(|key| algorithm == kex::ED25519 && keys.contains(key));
    let Some(key) = key.filter(|_| knows(user)) else {
        return Ok(Verdict::Refused);
    };
    if !is_signed {
        let mut answer = vec![message::USERAUTH_PK_OK];
        answer.put_string(algorithm.as_bytes());
        answer.put_string(blob);
        return Ok(Verdict::Promising(answer));
    }
    let signature = from.string()?;
    // All that came before the signature, after the session's name.
    let mut signed = Vec::new();
    signed.put_string(session);
    signed.put_byte(message::USERAUTH_REQUEST);
    signed.put_string(user.as_bytes());
    signed.put_string(service.as_bytes());
    signed.put_string(method.as_bytes());
    signed.put_byte(1);
    signed.put_string(algorithm.as_bytes());
    signed.put_string(blob);
    Ok(if key.has_signed(&signed, signature) {
        Verdict::Proved(user.to_owned())
    } else {
        Verdict::Refused
    })
}

/// That it is not so, and what else may be tried.
pub(crate) fn failure() -> Vec<u8> {
    let mut answer = vec![message::USERAUTH_FAILURE];
    answer.put_string(b"publickey");
    answer.put_byte(0);
    answer
}
