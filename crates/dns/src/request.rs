//! A question, read from bytes that anyone may have sent.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};

/// The longest question that is read: a name, its type, and an OPT record with more options than anyone sends.
pub(crate) const MAX_QUESTION: usize = 4096;
/// The most that is sent in a datagram, whatever the asker takes: what crosses every link in one piece.
pub(crate) const MAX_DATAGRAM: u16 = 1232;
/// What an asker takes that does not say.
const PLAIN_DATAGRAM: u16 = 512;

/// What bytes are read as.
#[derive(Debug)]
pub(crate) enum Received {
    /// No question at all: nothing is said to it.
    Nothing,
    /// A question that is answered with an error, whatever it is about.
    Wrong(Question, ResponseCode),
    /// A question.
    Question(Question),
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// What the asker knows it by.
    pub(crate) id: u16,
    /// What the asker wrote, in its own letters; none if it could not be read.
    pub(crate) query: Option<Query>,
    /// The name, in lower case.
    pub(crate) name: Name,
    /// The type of record.
    pub(crate) kind: RecordType,
    /// The asker's wish to have it looked up.
    pub(crate) recursion_desired: bool,
    /// Given back as it came.
    pub(crate) checking_disabled: bool,
    /// The kind of request.
    pub(crate) op_code: OpCode,
    /// The longest datagram that the asker takes, if it speaks EDNS.
    pub(crate) payload: Option<u16>,
}

impl Question {
    /// The longest datagram to send.
    pub(crate) fn datagram(&self) -> usize {
        let takes = self.payload.unwrap_or(PLAIN_DATAGRAM);
        takes.clamp(PLAIN_DATAGRAM, MAX_DATAGRAM).into()
    }

    fn unread(id: u16) -> Self {
        Self {
            id,
            query: None,
            name: Name::root(),
            kind: RecordType::ANY,
            recursion_desired: false,
            checking_disabled: false,
            op_code: OpCode::Query,
            payload: None,
        }
    }
}

/// Reads a question.
pub(crate) fn read(bytes: &[u8]) -> Received {
    // A response is never answered, or two servers would talk forever (RFC 1035, 4.1.1: ID, then QR in the next bit).
    let Some(&[id_high, id_low, flags, ..]) = bytes.first_chunk::<12>() else {
        return Received::Nothing;
    };
    if flags & 0x80 != 0 {
        return Received::Nothing;
    }
    let id = u16::from_be_bytes([id_high, id_low]);
    let wrong = |question, code| Received::Wrong(question, code);
    if bytes.len() > MAX_QUESTION {
        return wrong(Question::unread(id), ResponseCode::FormErr);
    }
    let Ok(message) = Message::from_vec(bytes) else {
        return wrong(Question::unread(id), ResponseCode::FormErr);
    };
    let question = question(&message);
    let is_version_0 = message.edns.as_ref().is_none_or(|edns| edns.version() == 0);
    let code = match &message.queries[..] {
        _ if message.metadata.op_code != OpCode::Query => ResponseCode::NotImp,
        _ if !is_version_0 => ResponseCode::BADVERS,
        [query] if query.query_class() != DNSClass::IN => ResponseCode::NotImp,
        [query] if is_transfer(query.query_type()) => ResponseCode::NotImp,
        [_] if message.answers.is_empty() && message.metadata.message_type == MessageType::Query => {
            return Received::Question(question);
        }
        _ => ResponseCode::FormErr,
    };
    wrong(question, code)
}

fn question(message: &Message) -> Question {
    let query = message.queries.first().filter(|_| message.queries.len() == 1);
    Question {
        query: query.cloned(),
        name: query.map_or_else(Name::root, |query| query.name().to_lowercase()),
        kind: query.map_or(RecordType::ANY, Query::query_type),
        recursion_desired: message.metadata.recursion_desired,
        checking_disabled: message.metadata.checking_disabled,
        op_code: message.metadata.op_code,
        payload: message.edns.as_ref().map(Edns::max_payload),
        ..Question::unread(message.metadata.id)
    }
}

/// Whole zones, and what is no type of a record.
fn is_transfer(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::AXFR | RecordType::IXFR | RecordType::OPT | RecordType::TSIG
    )
}
