//! A client that does what a test wants of it, also what none should.

use ml_kem::kem::{Ciphertext, Decapsulate, KeyExport};
use ml_kem::{DecapsulationKey768, MlKem768, Seed};
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::cipher::{Cipher, Key, Way};
use crate::method::{self, Method};
use crate::wire::{Reader, Write};
use crate::{Error, Event, HostKey, PublicKey, Server, Users, kex, message};

const VERSION: &str = "SSH-2.0-test";
const CIPHER: Cipher = Cipher::Aes128;

/// Everybody whose name is a letter.
struct Letters;

impl Users for Letters {
    fn knows(&self, name: &str) -> bool {
        name.len() == 1
    }
}

/// The client's half of a secret.
struct Ours {
    curve: EphemeralPrivateKey,
    lattice: Option<DecapsulationKey768>,
    public: Vec<u8>,
}

impl Ours {
    fn new(method: Method) -> Self {
        let curve = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
        let lattice = (method == Method::Hybrid).then(|| DecapsulationKey768::from_seed(Seed::from([7; 64])));
        let mut public = Vec::new();
        if let Some(lattice) = &lattice {
            public.extend_from_slice(&lattice.encapsulation_key().to_bytes());
        }
        public.extend_from_slice(curve.compute_public_key().unwrap().as_ref());
        Self {
            curve,
            lattice,
            public,
        }
    }

    /// The secret, as it is hashed.
    fn secret(self, theirs: &[u8]) -> Vec<u8> {
        let (capsule, theirs) = theirs.split_at(theirs.len() - 32);
        let theirs = UnparsedPublicKey::new(&X25519, theirs);
        let curve = agreement::agree_ephemeral(self.curve, &theirs, <[u8]>::to_vec).unwrap();
        let mut secret = Vec::new();
        match self.lattice {
            Some(lattice) => {
                let capsule: &Ciphertext<MlKem768> = capsule.try_into().unwrap();
                secret.put_string(&method::joined(&lattice.decapsulate(capsule), &curve));
            }
            None => secret.put_mpint(&curve),
        }
        secret
    }
}

/// A server and its client.
pub(crate) struct Pair {
    pub(crate) server: Server,
    sealing: Key,
    opening: Key,
    sent: u32,
    received: u32,
    session: Vec<u8>,
    from_server: Vec<u8>,
    their_init: Vec<u8>,
}

impl Pair {
    /// Both, with their first keys.
    pub(crate) fn new() -> Self {
        let mut pair = Self::strangers();
        pair.exchange(Method::Curve, true);
        pair
    }

    /// Both, once the server has said what it can.
    pub(crate) fn strangers() -> Self {
        let user = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let mut public = [0; 32];
        public.copy_from_slice(user.public_key().as_ref());
        let host = HostKey::new(&[2; 32]).unwrap();
        let server = Server::new(host, vec![PublicKey(public)], Box::new(Letters)).unwrap();
        let mut pair = Self {
            server,
            sealing: Key::None,
            opening: Key::None,
            sent: 0,
            received: 0,
            session: Vec::new(),
            from_server: Vec::new(),
            their_init: Vec::new(),
        };
        pair.server.receive(format!("{VERSION}\r\n").as_bytes()).unwrap();
        let output = pair.server.output().to_vec();
        pair.server.sent(output.len());
        let end = output.iter().position(|&byte| byte == b'\n').unwrap();
        pair.from_server = output[end + 1..].to_vec();
        pair.their_init = pair.receive().unwrap();
        pair
    }

    /// Says what the client can: this method, after one that nobody knows. Gives what it said.
    pub(crate) fn propose(&mut self, method: Method) -> Vec<u8> {
        let mut init = vec![message::KEXINIT];
        init.extend([0; 16]);
        let known = Method::NAMES.into_iter().find(|&(_, known)| known == method);
        let methods = format!(
            "none@example.com,{},ext-info-c,kex-strict-c-v00@openssh.com",
            known.unwrap().0
        );
        let name = CIPHER.name().as_bytes();
        for list in [
            methods.as_bytes(),
            b"ssh-ed25519",
            name,
            name,
            b"",
            b"",
            b"none",
            b"none",
            b"",
            b"",
        ] {
            init.put_string(list);
        }
        init.extend([0; 5]);
        self.send(&init).unwrap();
        init
    }

    /// Sends a public key.
    pub(crate) fn offer(&mut self, public: &[u8]) -> Result<(), Error> {
        let mut payload = vec![message::KEX_ECDH_INIT];
        payload.put_string(public);
        self.send(&payload)
    }

    /// Exchanges keys. The server's first KEXINIT is here already.
    pub(crate) fn exchange(&mut self, method: Method, first: bool) {
        let init = self.propose(method);
        if !first {
            self.their_init = self.until(message::KEXINIT);
        }
        let ours = Ours::new(method);
        self.offer(&ours.public).unwrap();
        let reply = self.until(message::KEX_ECDH_REPLY);
        let mut from = Reader::new(&reply[1..]);
        let (host_key, theirs) = (from.string().unwrap(), from.string().unwrap());
        let signature = from.string().unwrap();
        let mut hashed = Vec::new();
        for part in [
            VERSION.as_bytes(),
            b"SSH-2.0-banger",
            &init,
            &self.their_init,
            host_key,
            &ours.public,
            theirs,
        ] {
            hashed.put_string(part);
        }
        let secret = ours.secret(theirs);
        hashed.extend_from_slice(&secret);
        let hash = ring::digest::digest(&ring::digest::SHA256, &hashed);
        let host = PublicKey::of_blob(host_key).unwrap();
        assert!(host.has_signed(hash.as_ref(), signature), "the host's signature");
        if first {
            self.session = hash.as_ref().to_vec();
        }
        assert_eq!(self.receive().unwrap(), [message::NEWKEYS]);
        let exchanged = kex::Exchanged::of(hash.as_ref(), secret);
        let keys = |way| exchanged.derived(CIPHER, way, &self.session);
        let ((key_in, iv_in), (key_out, iv_out)) = (keys(Way::In), keys(Way::Out));
        let sealing = Key::new(CIPHER, Way::Out, &key_in, iv_in).unwrap();
        let opening = Key::new(CIPHER, Way::In, &key_out, iv_out).unwrap();
        self.send(&[message::NEWKEYS]).unwrap();
        (self.sealing, self.opening) = (sealing, opening);
        // Strict.
        (self.sent, self.received) = (0, 0);
        if first {
            assert_eq!(self.receive().unwrap()[0], message::EXT_INFO);
        }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut packet = Vec::new();
        self.sealing.seal(self.sent, payload, &mut packet).unwrap();
        self.sent = self.sent.wrapping_add(1);
        self.server.receive(&packet)
    }

    /// Takes the next message of the server's.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let output = self.server.output().to_vec();
        self.server.sent(output.len());
        self.from_server.extend(output);
        let first = *self.from_server.first_chunk()?;
        let size = self.opening.size(self.received, first);
        let mut packet: Vec<u8> = self.from_server.drain(..size).collect();
        let payload = self.opening.open(self.received, &mut packet).unwrap().to_vec();
        self.received = self.received.wrapping_add(1);
        Some(payload)
    }

    /// Takes messages until one of this kind.
    pub(crate) fn until(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let payload = self.receive().expect("a message");
            if payload[0] == kind {
                return payload;
            }
        }
    }

    /// Asks to be a user, with a signature of `key`.
    pub(crate) fn prove(&mut self, user: &str, key: &Ed25519KeyPair) -> u8 {
        let mut blob = Vec::new();
        blob.put_string(b"ssh-ed25519");
        blob.put_string(key.public_key().as_ref());
        let mut payload = vec![message::USERAUTH_REQUEST];
        for part in [user.as_bytes(), b"ssh-connection", b"publickey"] {
            payload.put_string(part);
        }
        payload.put_byte(1);
        payload.put_string(b"ssh-ed25519");
        payload.put_string(&blob);
        let mut signed = Vec::new();
        signed.put_string(&self.session);
        signed.extend_from_slice(&payload);
        let mut signature = Vec::new();
        signature.put_string(b"ssh-ed25519");
        signature.put_string(key.sign(&signed).as_ref());
        payload.put_string(&signature);
        match self.send(&payload) {
            Ok(()) => self.receive().unwrap()[0],
            Err(_) => message::DISCONNECT,
        }
    }

    /// Begins to be somebody.
    pub(crate) fn begin(&mut self) {
        let mut payload = vec![message::SERVICE_REQUEST];
        payload.put_string(b"ssh-userauth");
        self.send(&payload).unwrap();
        assert_eq!(self.receive().unwrap()[0], message::SERVICE_ACCEPT);
    }

    /// Becomes the user.
    pub(crate) fn enter() -> Self {
        let mut pair = Self::new();
        pair.begin();
        let user = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        assert_eq!(pair.prove("a", &user), message::USERAUTH_SUCCESS);
        let user = "a".to_owned();
        assert_eq!(pair.server.next_event(), Some(Event::Authenticated { user }));
        pair
    }

    /// Asks for a session's channel; whether it was offered to whoever uses the server.
    pub(crate) fn open(&mut self, number: u32) -> Option<crate::ChannelId> {
        let mut payload = vec![message::CHANNEL_OPEN];
        payload.put_string(b"session");
        payload.put_number(number);
        payload.put_number(100);
        payload.put_number(1 << 15);
        self.send(&payload).unwrap();
        match self.server.next_event() {
            Some(Event::Open { channel, .. }) => Some(channel),
            None => None,
            event => panic!("{event:?}"),
        }
    }

    /// Sends data on a channel.
    pub(crate) fn data(&mut self, number: u32, bytes: &[u8]) -> Result<(), Error> {
        let mut payload = vec![message::CHANNEL_DATA];
        payload.put_number(number);
        payload.put_string(bytes);
        self.send(&payload)
    }
}
