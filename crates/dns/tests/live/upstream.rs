//! An upstream that knows a handful of names, some of which it answers oddly.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::svcb::{IpHint, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, CNAME, HTTPS, SOA, SVCB};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

type Counts = Arc<Mutex<HashMap<String, usize>>>;

pub(crate) struct FakeUpstream {
    pub(crate) address: SocketAddr,
    counts: Counts,
    _tasks: JoinSet<()>,
}

impl FakeUpstream {
    pub(crate) async fn start() -> Self {
        let (udp, address, tcp) = loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = udp.local_addr().unwrap();
            // A port that is free for UDP may have a TCP connection of another test.
            match TcpListener::bind(address).await {
                Ok(tcp) => break (udp, address, tcp),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
            }
        };
        let counts = Counts::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(by_udp(Arc::new(udp), Arc::clone(&counts)));
        tasks.spawn(by_tcp(tcp, Arc::clone(&counts)));
        Self {
            address,
            counts,
            _tasks: tasks,
        }
    }

    /// How often it was asked for a name: `udp www.x.org.`, `tcp www.x.org.`.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.counts.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> usize {
        self.counts.lock().unwrap().values().sum()
    }
}

async fn by_udp(socket: Arc<UdpSocket>, counts: Counts) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Some((query, mut answer)) = read(&buffer[..length], "udp", &counts) else {
            continue;
        };
        let name = query.name().to_lowercase().to_ascii();
        if name.starts_with("silent") {
            continue;
        }
        if name == "big.x.org." {
            answer = answer.truncate();
        }
        if name == "quiet-letters.x.org." {
            answer.queries = vec![Query::query(query.name().to_lowercase(), query.query_type())];
        }
        let mut stray = answer.clone();
        stray.metadata.id ^= 1;
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            if name == "slow.x.org." {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            if name == "guessed.x.org." {
                // What someone sends who has guessed the port and nothing else.
                stray.answers = vec![record(&stray.queries[0].name().clone(), 60, address("6.6.6.6"))];
                socket.send_to(b"nonsense", from).await.unwrap();
                socket.send_to(&stray.to_vec().unwrap(), from).await.unwrap();
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        });
    }
}

async fn by_tcp(listener: TcpListener, counts: Counts) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(one(stream, Arc::clone(&counts)));
    }
}

async fn one(mut stream: TcpStream, counts: Counts) -> Option<()> {
    let mut bytes = vec![0; stream.read_u16().await.ok()?.into()];
    stream.read_exact(&mut bytes).await.ok()?;
    let (_, answer) = read(&bytes, "tcp", &counts)?;
    let bytes = answer.to_vec().ok()?;
    stream.write_u16(u16::try_from(bytes.len()).ok()?).await.ok()?;
    stream.write_all(&bytes).await.ok()
}

fn read(bytes: &[u8], transport: &str, counts: &Counts) -> Option<(Query, Message)> {
    let question = Message::from_vec(bytes).ok()?;
    let query = question.queries.first()?.clone();
    let name = query.name().to_lowercase().to_ascii();
    *counts
        .lock()
        .unwrap()
        .entry(format!("{transport} {name}"))
        .or_default() += 1;
    let mut answer = question;
    answer.metadata.message_type = MessageType::Response;
    answer.edns = None;
    fill(&mut answer, query.name(), &name, query.query_type());
    Some((query, answer))
}

fn fill(answer: &mut Message, name: &Name, text: &str, kind: RecordType) {
    let owner = |text: &str| Name::from_ascii(text).unwrap();
    match (text, kind) {
        ("a.x.org." | "slow.x.org." | "quiet-letters.x.org." | "guessed.x.org.", RecordType::A) => {
            answer.answers = vec![record(name, 300, address("203.0.113.1"))];
        }
        ("brief.x.org.", RecordType::A) => {
            answer.answers = vec![record(name, 1, address("203.0.113.1"))];
        }
        ("www.x.org.", RecordType::A) => {
            let alias = RData::CNAME(CNAME(owner("edge.cdn.net.")));
            answer.answers = vec![
                record(name, 60, alias),
                record(&owner("edge.cdn.net."), 20, address("203.0.113.2")),
                record(&owner("bank.example."), 20, address("6.6.6.6")),
            ];
        }
        ("rebind.x.org.", RecordType::A) => {
            answer.answers = ["10.0.0.1", "203.0.113.3", "169.254.169.254"]
                .map(|text| record(name, 60, address(text)))
                .to_vec();
        }
        ("rebind.x.org.", RecordType::HTTPS) => {
            let hint = SvcParamValue::Ipv4Hint(IpHint(vec![A::new(6, 6, 6, 6)]));
            let service = SVCB::new(1, Name::root(), vec![(SvcParamKey::Ipv4Hint, hint)]);
            answer.answers = vec![record(name, 60, RData::HTTPS(HTTPS(service)))];
        }
        ("big.x.org.", RecordType::A) => {
            answer.answers = (0..60)
                .map(|last| record(name, 60, address(&format!("203.0.113.{last}"))))
                .collect();
        }
        ("broken.x.org.", _) => answer.metadata.response_code = ResponseCode::ServFail,
        ("none.x.org.", _) => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(owner("x.org."), owner("x.org."), 1, 60, 60, 60, 60);
            answer.authorities = vec![record(&owner("x.org."), 60, RData::SOA(soa))];
        }
        _ => {}
    }
}

fn record(name: &Name, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name.clone(), ttl, data)
}

fn address(text: &str) -> RData {
    RData::from(text.parse::<IpAddr>().unwrap())
}
