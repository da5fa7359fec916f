//! One question to one upstream: by UDP, and by TCP if the answer is too long or not surely the upstream's.
//!
//! Who cannot see the question has to guess a port, an id and the case of each letter of the name at once: each question
//! has a socket of its own, connected, so that the kernel takes datagrams from that upstream only.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{DEFAULT_MAX_PAYLOAD_LEN, Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::Name;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::found::Key;

/// How many datagrams that are no answer are read before the question is given up.
const MAX_STRAY: usize = 32;

/// One question to one upstream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) server: SocketAddr,
    pub(super) key: &'a Key,
    /// Whether to say that longer datagrams are welcome.
    pub(super) edns: bool,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The host's network refused.
    #[error("failed to query {server}: {source}")]
    Network { server: SocketAddr, source: io::Error },
    /// The question is longer than a message, or no random number was to be had.
    #[error("failed to write a query for {0}")]
    Question(SocketAddr),
    /// Something else came.
    #[error("{0} answered another query")]
    Answer(SocketAddr),
}

/// What a datagram is to the question.
enum Match {
    Stray,
    /// The answer, but cut, or in other letters than asked: some servers write the name again, as does who guesses.
    Unsure,
    Answer(Message),
}

impl Exchange<'_> {
    pub(super) async fn run(self) -> Result<Message, ExchangeError> {
        let (question, bytes) = self.question()?;
        match self.by_udp(&question, &bytes).await? {
            Some(answer) => Ok(answer),
            None => self.by_tcp(&question, &bytes).await,
        }
    }

    async fn by_udp(&self, question: &Message, bytes: &[u8]) -> Result<Option<Message>, ExchangeError> {
        let network = |source| self.network(source);
        let any: SocketAddr = match self.server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await.map_err(network)?;
        socket.connect(self.server).await.map_err(network)?;
        socket.send(bytes).await.map_err(network)?;
        let mut buffer = [0; 4096];
        for _ in 0..MAX_STRAY {
            let length = socket.recv(&mut buffer).await.map_err(network)?;
            match compare(question, &buffer[..length]) {
                Match::Stray => {}
                Match::Unsure => return Ok(None),
                Match::Answer(answer) => return Ok(Some(answer)),
            }
        }
        Err(ExchangeError::Answer(self.server))
    }

    async fn by_tcp(&self, question: &Message, bytes: &[u8]) -> Result<Message, ExchangeError> {
        let network = |source| self.network(source);
        let length = u16::try_from(bytes.len()).map_err(|_| ExchangeError::Question(self.server))?;
        let mut stream = TcpStream::connect(self.server).await.map_err(network)?;
        let message = [&length.to_be_bytes(), bytes].concat();
        stream.write_all(&message).await.map_err(network)?;
        let mut answer = vec![0; stream.read_u16().await.map_err(network)?.into()];
        stream.read_exact(&mut answer).await.map_err(network)?;
        // No one else can speak here, so that the letters do not matter.
        let answer = Message::from_vec(&answer).map_err(|_| ExchangeError::Answer(self.server))?;
        let is_answer = is_for(question, &answer) && !answer.metadata.truncation;
        is_answer
            .then_some(answer)
            .ok_or(ExchangeError::Answer(self.server))
    }

    fn question(&self) -> Result<(Message, Vec<u8>), ExchangeError> {
        let refuse = || ExchangeError::Question(self.server);
        let mut random = [0; 34];
        let count = getrandom(&mut random, GetRandomFlags::empty()).map_err(|_| refuse())?;
        let [id_high, id_low, letters @ ..] = random;
        if count < random.len() {
            return Err(refuse());
        }
        let id = u16::from_be_bytes([id_high, id_low]);
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        let name = in_letters(&self.key.name, &letters).ok_or_else(refuse)?;
        message.add_query(Query::query(name, self.key.kind));
        if self.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(DEFAULT_MAX_PAYLOAD_LEN);
            message.set_edns(edns);
        }
        let bytes = message.to_vec().map_err(|_| refuse())?;
        Ok((message, bytes))
    }

    const fn network(&self, source: io::Error) -> ExchangeError {
        ExchangeError::Network {
            server: self.server,
            source,
        }
    }
}

/// The name in capital and small letters, as the bits say.
fn in_letters(name: &Name, bits: &[u8; 32]) -> Option<Name> {
    let mut at = 0;
    let mut letter = |byte: &u8| {
        let capital = bits[at / 8 % bits.len()] >> (at % 8) & 1 == 1;
        at += 1;
        if capital {
            byte.to_ascii_uppercase()
        } else {
            byte.to_ascii_lowercase()
        }
    };
    let labels: Vec<Vec<u8>> = name
        .iter()
        .map(|label| label.iter().map(&mut letter).collect())
        .collect();
    let mut name = Name::from_labels(labels.iter().map(Vec::as_slice)).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn compare(question: &Message, bytes: &[u8]) -> Match {
    let Ok(answer) = Message::from_vec(bytes) else {
        // By TCP it may be whole.
        let is_ours = bytes.starts_with(&question.metadata.id.to_be_bytes());
        return if is_ours { Match::Unsure } else { Match::Stray };
    };
    if !is_for(question, &answer) {
        return Match::Stray;
    }
    let same_letters = match (&question.queries[..], &answer.queries[..]) {
        ([asked], [said]) => asked.name().eq_case(said.name()),
        _ => false,
    };
    match same_letters && !answer.metadata.truncation {
        true => Match::Answer(answer),
        false => Match::Unsure,
    }
}

/// Whether a message is an answer to the question, in whatever letters.
fn is_for(question: &Message, answer: &Message) -> bool {
    answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.metadata.op_code == OpCode::Query
        && answer.queries == question.queries
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::RecordType;
    use proptest::prelude::*;

    fn question(name: &str) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        message
    }

    fn answer(name: &str, change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = question(name);
        message.metadata.message_type = MessageType::Response;
        change(&mut message);
        message.to_vec().unwrap()
    }

    #[test]
    fn an_answer_has_the_id_the_question_and_its_letters() {
        let asked = question("wWw.x.oRg.");
        let is = |bytes: &[u8]| match compare(&asked, bytes) {
            Match::Stray => "stray",
            Match::Unsure => "unsure",
            Match::Answer(_) => "answer",
        };
        assert_eq!(is(&answer("wWw.x.oRg.", |_| {})), "answer");
        assert_eq!(is(&answer("www.x.org.", |_| {})), "unsure");
        assert_eq!(
            is(&answer("wWw.x.oRg.", |message| message.metadata.truncation = true)),
            "unsure"
        );
        assert_eq!(
            is(&answer("wWw.x.oRg.", |message| message.metadata.id = 8)),
            "stray"
        );
        assert_eq!(is(&answer("wWw.x.net.", |_| {})), "stray");
        assert_eq!(
            is(&answer("wWw.x.oRg.", |message| message.queries.clear())),
            "stray"
        );
        assert_eq!(is(&asked.to_vec().unwrap()), "stray");
        assert_eq!(is(b"\x00\x07"), "unsure");
        assert_eq!(is(b""), "stray");
    }

    proptest! {
        #[test]
        fn other_letters_are_the_same_name(bits: [u8; 32], labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..9)) {
            let mut name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
            name.set_fqdn(true);
            let other = in_letters(&name, &bits).unwrap();
            prop_assert_eq!(&other, &name);
            prop_assert_eq!(other.to_lowercase(), name.to_lowercase());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            compare(&question("x.org."), &bytes);
        }
    }
}
