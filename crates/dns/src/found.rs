//! What an upstream says to a question, kept apart from the message that it came in.

use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// The longest time to live, in seconds: a day.
pub(crate) const MAX_TTL: u32 = 86_400;
/// The longest time that it is kept that there is nothing, in seconds (RFC 2308 speaks of one to three hours at most).
const MAX_NEGATIVE_TTL: u32 = 300;

/// What is asked: a name in lower case, and the type of record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) name: Name,
    pub(crate) kind: RecordType,
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whether there is such a name.
    pub(crate) code: ResponseCode,
    /// The records: aliases from the question's name on, and what the last one has.
    pub(crate) answers: Vec<Record>,
    /// The zone's SOA, if there are none.
    pub(crate) soa: Option<Record>,
}

impl Found {
    /// Takes what belongs to the question out of a message.
    pub(crate) fn of(key: &Key, message: Message) -> Self {
        let mut answers = chain(key, message.answers);
        for record in &mut answers {
            record.ttl = record.ttl.min(MAX_TTL);
        }
        let soa = message
            .authorities
            .into_iter()
            .find(|record| record.record_type() == RecordType::SOA)
            .filter(|_| answers.is_empty())
            .map(|mut record| {
                record.ttl = negative_ttl(&record);
                record
            });
        Self {
            code: message.metadata.response_code,
            answers,
            soa,
        }
    }

    /// How long it may be kept.
    pub(crate) fn lifetime(&self) -> Duration {
        let shortest = self
            .answers
            .iter()
            .chain(&self.soa)
            .map(|record| record.ttl)
            .min();
        Duration::from_secs(shortest.unwrap_or(0).into())
    }

    /// The same, this much later.
    pub(crate) fn aged(&self, age: Duration) -> Self {
        let mut aged = self.clone();
        let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        for record in aged.answers.iter_mut().chain(&mut aged.soa) {
            record.ttl = record.ttl.saturating_sub(age);
        }
        aged
    }

    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let record = |record: &Record| size_of::<Record>() + record.name.len() + data_size(&record.data);
        self.answers.iter().chain(&self.soa).map(record).sum::<usize>() + 256
    }
}

/// The records that the question leads to, by aliases; nothing else that someone may have put beside them.
fn chain(key: &Key, records: Vec<Record>) -> Vec<Record> {
    let mut names = vec![key.name.clone()];
    let mut at = 0;
    // There are at most as many aliases as records, and each name is looked at once.
    while let Some(name) = names.get(at).cloned() {
        at += 1;
        let aliases = records.iter().filter(|record| record.name == name);
        for target in aliases.filter_map(|record| match &record.data {
            RData::CNAME(target) => Some(target.0.to_lowercase()),
            _ => None,
        }) {
            if !names.contains(&target) && names.len() < 16 {
                names.push(target);
            }
        }
    }
    let is_kind = |kind| kind == key.kind || kind == RecordType::CNAME || key.kind == RecordType::ANY;
    let belongs = |record: &Record| is_kind(record.record_type()) && names.contains(&record.name);
    records.into_iter().filter(belongs).collect()
}

/// RFC 2308: the lesser of the SOA's own time and what it says.
fn negative_ttl(soa: &Record) -> u32 {
    let says = match &soa.data {
        RData::SOA(data) => data.minimum,
        _ => 0,
    };
    says.min(soa.ttl).min(MAX_NEGATIVE_TTL)
}

fn data_size(data: &RData) -> usize {
    match data {
        RData::TXT(text) => text.txt_data.iter().map(|part| part.len() + 16).sum(),
        RData::NULL(bytes) | RData::Unknown { rdata: bytes, .. } => bytes.anything.len(),
        _ => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{MessageType, OpCode};
    use hickory_proto::rr::rdata::{A, CNAME};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(owner: &str, last: u8, ttl: u32) -> Record {
        Record::from_rdata(name(owner), ttl, RData::A(A::new(203, 0, 113, last)))
    }

    fn alias(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
    }

    fn found(answers: Vec<Record>) -> Found {
        let key = Key {
            name: name("www.x.org."),
            kind: RecordType::A,
        };
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.answers = answers;
        Found::of(&key, message)
    }

    #[test]
    fn only_what_the_question_leads_to_is_kept() {
        let found = found(vec![
            a("edge.cdn.net.", 1, 90),
            alias("mid.net.", "EDGE.cdn.net."),
            alias("WWW.x.org.", "mid.net."),
            a("bank.example.", 9, 60),
            alias("edge.cdn.net.", "www.x.org."),
        ]);
        let owners: Vec<String> = found
            .answers
            .iter()
            .map(|record| record.name.to_lowercase().to_ascii())
            .collect();
        assert_eq!(
            owners,
            ["edge.cdn.net.", "mid.net.", "www.x.org.", "edge.cdn.net."]
        );
        assert_eq!(found.lifetime(), Duration::from_secs(60));
    }

    #[test]
    fn times_end_at_zero_and_begin_at_a_day() {
        let found = found(vec![a("www.x.org.", 1, u32::MAX)]);
        assert_eq!(found.answers[0].ttl, MAX_TTL);
        assert_eq!(found.aged(Duration::from_secs(10)).answers[0].ttl, MAX_TTL - 10);
        assert_eq!(found.aged(Duration::from_secs(1 << 40)).answers[0].ttl, 0);
        assert_eq!(
            super::Found {
                answers: vec![],
                ..found
            }
            .lifetime(),
            Duration::ZERO
        );
    }
}
