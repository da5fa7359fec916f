//! What is asked upstream, and how often.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use banger_dns::Limits;
use banger_model::network::NetMode;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::A;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::client::{ask, ask_by_tcp, connect, question, send, texts, told, with_edns};
use crate::world::{HOST, World, guest};

#[tokio::test]
async fn the_same_question_is_asked_once() {
    let world = World::new(&[(NetMode::Nat, &[])]).await;
    let mut asking = JoinSet::new();
    for number in 0..20 {
        let from = if number % 2 == 0 { HOST } else { guest(1) };
        asking.spawn(told(from, world.server, "slow.x.org.", A));
    }
    for (_, found) in asking.join_all().await {
        assert_eq!(found, ["203.0.113.1"]);
    }
    told(HOST, world.server, "SLOW.x.org.", A).await;
    assert_eq!(world.upstream.count("udp slow.x.org."), 1);
}

#[tokio::test]
async fn what_is_not_there_is_kept_too_and_nothing_longer_than_it_lives() {
    let world = World::new(&[]).await;
    for _ in 0..3 {
        let answer = ask(HOST, world.server, "none.x.org.", A).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(answer.authorities.len(), 1);
        told(HOST, world.server, "brief.x.org.", A).await;
    }
    assert_eq!(world.upstream.count("udp none.x.org."), 1);
    assert_eq!(world.upstream.count("udp brief.x.org."), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    told(HOST, world.server, "brief.x.org.", A).await;
    assert_eq!(world.upstream.count("udp brief.x.org."), 2);
}

#[tokio::test]
async fn a_long_answer_comes_by_tcp_and_leaves_so() {
    let world = World::new(&[]).await;
    for message in [
        question("big.x.org.", A),
        with_edns(question("big.x.org.", A), 700),
    ] {
        let cut = send(HOST, world.server, &message).await;
        assert!(cut.metadata.truncation && cut.answers.is_empty());
    }
    assert_eq!(world.upstream.count("tcp big.x.org."), 1);
    let whole = send(HOST, world.server, &with_edns(question("big.x.org.", A), 1232)).await;
    assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 60));
    let mut stream = connect(HOST, world.server).await;
    let whole = ask_by_tcp(&mut stream, &question("big.x.org.", A)).await.unwrap();
    assert_eq!(whole.answers.len(), 60);
}

#[tokio::test]
async fn who_only_guesses_is_not_believed() {
    let world = World::new(&[]).await;
    let (_, found) = told(HOST, world.server, "guessed.x.org.", A).await;
    assert_eq!(found, ["203.0.113.1"]);
    // An answer in other letters than the question's is asked for again where no one can guess.
    let (_, found) = told(HOST, world.server, "quiet-letters.x.org.", A).await;
    assert_eq!(found, ["203.0.113.1"]);
    assert_eq!(world.upstream.count("tcp quiet-letters.x.org."), 1);
}

#[tokio::test]
async fn the_next_upstream_is_asked_when_one_is_silent_or_not_there() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let gone: SocketAddr = {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.local_addr().unwrap()
    };
    let limits = Limits {
        try_time: Duration::from_millis(150),
        ..Limits::default()
    };
    let world = World::with(&[], limits, &[gone, silent.local_addr().unwrap()]).await;
    let since = Instant::now();
    let (_, found) = told(HOST, world.server, "a.x.org.", A).await;
    assert_eq!(found, ["203.0.113.1"]);
    assert!(since.elapsed() >= limits.try_time);
    let failed = ask(HOST, world.server, "broken.x.org.", A).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(world.upstream.count("udp broken.x.org."), 2);
    assert!(texts(&failed).is_empty());
}

#[tokio::test]
async fn silence_ends() {
    let limits = Limits {
        try_time: Duration::from_millis(200),
        question_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let world = World::with(&[], limits, &[]).await;
    let since = Instant::now();
    let (code, _) = told(HOST, world.server, "silent.x.org.", A).await;
    assert_eq!(code, ResponseCode::ServFail);
    assert!(since.elapsed() < Duration::from_secs(2));
    assert_eq!(world.upstream.count("udp silent.x.org."), 2);
}
