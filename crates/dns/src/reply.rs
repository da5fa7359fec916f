//! A reply, written to the size that its asker takes.

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::opt::EdnsOption;

use crate::request::{MAX_DATAGRAM, Question};

/// Extended DNS Errors (RFC 8914): the number of the option, and of the reason "Prohibited".
const EXTENDED_ERROR: u16 = 15;
const PROHIBITED: u16 = 18;

/// How a reply travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// What is said to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// How it went.
    pub(crate) code: ResponseCode,
    /// Said by who owns the name.
    pub(crate) authoritative: bool,
    /// The records.
    pub(crate) answers: Vec<Record>,
    /// The zone's SOA, where there are no records.
    pub(crate) authorities: Vec<Record>,
    /// Why it was prohibited.
    pub(crate) prohibited: Option<&'static str>,
}

impl Reply {
    /// A reply that is nothing but a code.
    pub(crate) fn code(code: ResponseCode) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }

    /// A refusal for this reason.
    pub(crate) fn prohibited(reason: &'static str) -> Self {
        Self {
            prohibited: Some(reason),
            ..Self::code(ResponseCode::Refused)
        }
    }

    /// The message; empty if not even an error can be written.
    pub(crate) fn encode(self, question: &Question, transport: Transport) -> Vec<u8> {
        let limit = match transport {
            Transport::Udp => question.datagram(),
            Transport::Tcp => usize::from(u16::MAX),
        };
        let mut message = self.message(question);
        match message.to_vec() {
            Ok(bytes) if bytes.len() <= limit => return bytes,
            Ok(_) => message = message.truncate(),
            Err(error) => {
                tracing::debug!(%error, "a reply that cannot be written");
                message = Self::code(ResponseCode::ServFail).message(question);
            }
        }
        message
            .to_vec()
            .ok()
            .filter(|bytes| bytes.len() <= limit)
            .unwrap_or_default()
    }

    fn message(self, question: &Question) -> Message {
        let mut message = Message::new(question.id, MessageType::Response, question.op_code);
        let metadata = &mut message.metadata;
        metadata.authoritative = self.authoritative;
        metadata.recursion_desired = question.recursion_desired;
        metadata.recursion_available = true;
        metadata.checking_disabled = question.checking_disabled;
        metadata.response_code = self.code;
        message.queries.extend(question.query.clone());
        message.answers = self.answers;
        message.authorities = self.authorities;
        if question.payload.is_some() {
            message.edns = Some(edns(self.prohibited));
        }
        message
    }
}

fn edns(prohibited: Option<&str>) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_DATAGRAM);
    if let Some(reason) = prohibited {
        let option = [&PROHIBITED.to_be_bytes(), reason.as_bytes()].concat();
        edns.options_mut()
            .insert(EdnsOption::Unknown(EXTENDED_ERROR, option));
    }
    edns
}
