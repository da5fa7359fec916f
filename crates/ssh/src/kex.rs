//! Key exchange: what both sides can, what the secret of both is hashed with, and the keys that come of it.

use ring::digest::{Context, Digest, SHA256};
use ring::rand::{SecureRandom, SystemRandom};

use crate::cipher::{Cipher, Key, Way};
use crate::method::{Answer, Method};
use crate::wire::{Reader, Write};
use crate::{Error, HostKey, message};

/// What keys are: of the host, and of users.
pub(crate) const ED25519: &str = "ssh-ed25519";

/// The client will be told of extensions (RFC 8308).
const EXTENSIONS: &str = "ext-info-c";

/// Sequence numbers begin again with new keys, and nothing else may come before them: OpenSSH's PROTOCOL, section 1.9.
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";

/// What the first key exchange settles beside keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) method: Method,
    to_client: Cipher,
    to_server: Cipher,
    /// The client guessed the method and has sent a message for another one.
    pub(crate) wrong_guess: bool,
    pub(crate) strict: bool,
    pub(crate) extensions: bool,
}

/// Our KEXINIT (RFC 4253, section 7.1).
pub(crate) fn proposal() -> Result<Vec<u8>, Error> {
    let mut cookie = [0; 16];
    SystemRandom::new()
        .fill(&mut cookie)
        .map_err(|_| Error::KeyExchange)?;
    let ciphers = Cipher::ALL.map(Cipher::name).join(",");
    let methods = Method::NAMES.map(|(name, _)| name).join(",");
    let methods = format!("{methods},{STRICT_SERVER}");
    // The tag of the encryption stands for a MAC; the list only must not be empty for clients that look.
    let macs = "hmac-sha2-256";
    let mut payload = vec![message::KEXINIT];
    payload.extend_from_slice(&cookie);
    let lists = [
        methods.as_str(),
        ED25519,
        &ciphers,
        &ciphers,
        macs,
        macs,
        "none",
        "none",
        "",
        "",
    ];
    for list in lists {
        payload.put_string(list.as_bytes());
    }
    payload.put_byte(0);
    payload.put_number(0);
    Ok(payload)
}

/// What comes of the client's KEXINIT: its first choice that we can, of each.
pub(crate) fn agree(theirs: &[u8]) -> Result<Agreed, Error> {
    let mut from = Reader::new(theirs);
    from.skip(1 + 16)?;
    let methods = from.text()?;
    let host_keys = from.text()?;
    let to_server = from.text()?;
    let to_client = from.text()?;
    for _macs in 0..2 {
        from.text()?;
    }
    for _compression in 0..2 {
        let list = from.text()?;
        first(list, "compression", |name| (name == "none").then_some(()))?;
    }
    for _languages in 0..2 {
        from.string()?;
    }
    let guesses = from.boolean()?;
    let (name, method) = first(methods, "key exchange method", |name| {
        Some((name.to_owned(), Method::named(name)?))
    })?;
    first(host_keys, "kind of host key", |name| {
        (name == ED25519).then_some(())
    })?;
    let guess = methods.split(',').next() == Some(&name) && host_keys.split(',').next() == Some(ED25519);
    let cipher = |list| {
        first(list, "cipher", |name| {
            Cipher::ALL.into_iter().find(|cipher| cipher.name() == name)
        })
    };
    let says = |word| methods.split(',').any(|name| name == word);
    Ok(Agreed {
        method,
        to_client: cipher(to_client)?,
        to_server: cipher(to_server)?,
        wrong_guess: guesses && !guess,
        strict: says(STRICT_CLIENT),
        extensions: says(EXTENSIONS),
    })
}

fn first<T>(list: &str, what: &'static str, ours: impl FnMut(&str) -> Option<T>) -> Result<T, Error> {
    list.split(',').find_map(ours).ok_or(Error::NothingInCommon(what))
}

/// What the secret is hashed with, beside what the exchange itself says.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) client_version: &'a [u8],
    pub(crate) server_version: &'a [u8],
    pub(crate) client_init: &'a [u8],
    pub(crate) server_init: &'a [u8],
}

/// A finished exchange.
pub(crate) struct Exchanged {
    /// The reply for the client.
    pub(crate) reply: Vec<u8>,
    /// The hash of all that was said; the first one is the session's name.
    pub(crate) hash: Vec<u8>,
    secret: Vec<u8>,
}

#[cfg(test)]
impl Exchanged {
    /// What the other side has of it.
    pub(crate) fn of(hash: &[u8], secret: Vec<u8>) -> Self {
        Self {
            reply: Vec::new(),
            hash: hash.to_vec(),
            secret,
        }
    }
}

/// Answers the client's KEX_ECDH_INIT, which is KEX_HYBRID_INIT too.
pub(crate) fn exchange(
    method: Method,
    payload: &[u8],
    said: &Said<'_>,
    host: &HostKey,
) -> Result<Exchanged, Error> {
    let mut from = Reader::new(payload);
    from.skip(1)?;
    let theirs = from.string()?;
    let Answer { public, secret } = method.answer(theirs)?;
    let host_key = host.public().blob();
    let mut hashed = Vec::new();
    for part in [
        said.client_version,
        said.server_version,
        said.client_init,
        said.server_init,
        &host_key,
        theirs,
        &public,
    ] {
        hashed.put_string(part);
    }
    hashed.extend_from_slice(&secret);
    let hash = ring::digest::digest(&SHA256, &hashed).as_ref().to_vec();
    let mut signature = Vec::new();
    signature.put_string(ED25519.as_bytes());
    signature.put_string(&host.sign(&hash));
    let mut reply = vec![message::KEX_ECDH_REPLY];
    reply.put_string(&host_key);
    reply.put_string(&public);
    reply.put_string(&signature);
    Ok(Exchanged { reply, hash, secret })
}

impl Exchanged {
    /// The key for packets that go one way (RFC 4253, section 7.2).
    pub(crate) fn key(&self, agreed: &Agreed, way: Way, session: &[u8]) -> Result<Key, Error> {
        let cipher = match way {
            Way::In => agreed.to_server,
            Way::Out => agreed.to_client,
        };
        let (key, iv) = self.derived(cipher, way, session);
        Key::new(cipher, way, &key, iv)
    }

    /// The bytes of such a key, and the first ones of its nonces. `way` is the server's.
    pub(crate) fn derived(&self, cipher: Cipher, way: Way, session: &[u8]) -> (Vec<u8>, [u8; 12]) {
        let (iv, key) = match way {
            Way::In => (b'A', b'C'),
            Way::Out => (b'B', b'D'),
        };
        let mut first = [0; 12];
        first.copy_from_slice(&self.derive(iv, session, 12));
        (self.derive(key, session, cipher.key_length()), first)
    }

    fn derive(&self, letter: u8, session: &[u8], length: usize) -> Vec<u8> {
        let hash = |parts: &[&[u8]]| -> Digest {
            let mut context = Context::new(&SHA256);
            context.update(&self.secret);
            context.update(&self.hash);
            for part in parts {
                context.update(part);
            }
            context.finish()
        };
        let mut derived = hash(&[&[letter], session]).as_ref().to_vec();
        while derived.len() < length {
            let more = hash(&[&derived]);
            derived.extend_from_slice(more.as_ref());
        }
        derived.truncate(length);
        derived
    }
}
