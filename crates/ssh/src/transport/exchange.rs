//! The exchange of keys: what both sides propose, the secret that they agree on, and the keys that come of it.

use super::{Exchange, Transport, VERSION};
use crate::cipher::{Key, Way};
use crate::kex::{self, Agreed, Exchanged, Said};
use crate::wire::Write;
use crate::{Error, message};

impl Transport {
    pub(super) fn propose(&mut self) -> Result<(), Error> {
        self.our_init = kex::proposal()?;
        let payload = self.our_init.clone();
        self.seal(&payload)?;
        self.exchange = Some(Exchange::Proposed);
        Ok(())
    }

    pub(super) fn hear_proposal(&mut self, theirs: Vec<u8>) -> Result<(), Error> {
        match self.exchange {
            None => self.propose()?,
            Some(Exchange::Proposed) => {}
            Some(Exchange::Agreed { .. } | Exchange::Keyed { .. }) => {
                return Err(Error::Unexpected(message::KEXINIT));
            }
        }
        let agreed = kex::agree(&theirs)?;
        if self.session.is_none() {
            self.strict = agreed.strict;
            // Strict means that this is the very first packet.
            if agreed.strict && self.incoming.packets != 1 {
                return Err(Error::Unexpected(message::KEXINIT));
            }
        }
        self.exchange = Some(Exchange::Agreed {
            skip: agreed.wrong_guess,
            agreed,
            theirs,
        });
        Ok(())
    }

    pub(super) fn hear_key(&mut self, payload: &[u8]) -> Result<(), Error> {
        let Some(Exchange::Agreed { agreed, theirs, skip }) = self.exchange.take() else {
            return Err(Error::Unexpected(message::KEX_ECDH_INIT));
        };
        if skip {
            self.exchange = Some(Exchange::Agreed {
                agreed,
                theirs,
                skip: false,
            });
            return Ok(());
        }
        let said = Said {
            client_version: self.their_version.as_deref().unwrap_or_default(),
            server_version: VERSION.as_bytes(),
            client_init: &theirs,
            server_init: &self.our_init,
        };
        let exchanged = kex::exchange(agreed.method, payload, &said, &self.host)?;
        self.seal(&exchanged.reply)?;
        self.seal(&[message::NEWKEYS])?;
        let is_first = self.session.is_none();
        let opening = self.renew(&agreed, &exchanged)?;
        self.exchange = Some(Exchange::Keyed { opening });
        if is_first && agreed.extensions {
            self.tell_extensions()?;
        }
        Ok(())
    }

    /// Seals with the new key from here on; gives the one to open with, after their NEWKEYS.
    fn renew(&mut self, agreed: &Agreed, exchanged: &Exchanged) -> Result<Key, Error> {
        let session = self.session.get_or_insert_with(|| exchanged.hash.clone());
        let sealing = exchanged.key(agreed, Way::Out, session)?;
        let opening = exchanged.key(agreed, Way::In, session)?;
        self.outgoing.renew(sealing, self.strict);
        Ok(opening)
    }

    pub(super) fn hear_new_keys(&mut self) -> Result<(), Error> {
        let Some(Exchange::Keyed { opening }) = self.exchange.take() else {
            return Err(Error::Unexpected(message::NEWKEYS));
        };
        self.incoming.renew(opening, self.strict);
        self.held_bytes = 0;
        for payload in std::mem::take(&mut self.held) {
            self.seal(&payload)?;
        }
        Ok(())
    }

    /// Which signatures we take (RFC 8308, section 3.1): our first message with keys.
    fn tell_extensions(&mut self) -> Result<(), Error> {
        let mut payload = vec![message::EXT_INFO];
        payload.put_number(1);
        payload.put_string(b"server-sig-algs");
        payload.put_string(kex::ED25519.as_bytes());
        self.seal(&payload)
    }
}
