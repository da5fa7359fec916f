//! A client that asks one question, from whichever address of loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

/// Longer than a server may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);

pub(crate) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

pub(crate) fn with_edns(mut message: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message
}

pub(crate) async fn socket(from: Ipv4Addr, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.connect(server).await.unwrap();
    socket
}

/// Sends a datagram, and gives back what is said to it within this time.
pub(crate) async fn exchange(socket: &UdpSocket, bytes: &[u8], patience: Duration) -> Option<Vec<u8>> {
    socket.send(bytes).await.unwrap();
    let mut buffer = [0; 65_536];
    let length = timeout(patience, socket.recv(&mut buffer)).await.ok()?.unwrap();
    Some(buffer[..length].to_vec())
}

pub(crate) async fn send(from: Ipv4Addr, server: SocketAddr, message: &Message) -> Message {
    let socket = socket(from, server).await;
    let bytes = exchange(&socket, &message.to_vec().unwrap(), PATIENCE).await;
    Message::from_vec(&bytes.expect("an answer")).unwrap()
}

pub(crate) async fn ask(from: Ipv4Addr, server: SocketAddr, name: &str, kind: RecordType) -> Message {
    send(from, server, &question(name, kind)).await
}

/// The code, and the addresses and names in the answer.
pub(crate) async fn told(
    from: Ipv4Addr,
    server: SocketAddr,
    name: &str,
    kind: RecordType,
) -> (ResponseCode, Vec<String>) {
    let message = ask(from, server, name, kind).await;
    (message.metadata.response_code, texts(&message))
}

pub(crate) fn texts(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .map(|record| match &record.data {
            RData::CNAME(target) => target.0.to_lowercase().to_ascii(),
            other => other.to_string(),
        })
        .collect()
}

pub(crate) async fn connect(from: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

pub(crate) async fn ask_by_tcp(stream: &mut TcpStream, message: &Message) -> Option<Message> {
    let bytes = message.to_vec().unwrap();
    let length = u16::try_from(bytes.len()).unwrap();
    let whole = [&length.to_be_bytes(), bytes.as_slice()].concat();
    stream.write_all(&whole).await.ok()?;
    let read = async {
        let mut answer = vec![0; stream.read_u16().await.ok()?.into()];
        stream.read_exact(&mut answer).await.ok()?;
        Message::from_vec(&answer).ok()
    };
    timeout(PATIENCE, read).await.expect("an answer or the end")
}
