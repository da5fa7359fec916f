//! What no one can do to the server: make it panic, fill it, or keep it from the others.

use std::time::{Duration, Instant};

use banger_dns::Limits;
use banger_model::network::NetMode;
use hickory_proto::rr::RecordType::{A, ANY, HTTPS};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::client::{ask_by_tcp, connect, exchange, question, socket, told, with_edns};
use crate::world::{HOST, World, guest};

/// Bytes that are a question in part.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec![
        "vm1.vm.",
        "a.x.org.",
        "www.x.org.",
        "1.0.16.172.in-addr.arpa.",
    ]);
    let kinds = prop::sample::select(vec![A, ANY, HTTPS]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let tail = prop::collection::vec(any::<u8>(), 0..40);
    let cut = any::<prop::sample::Index>();
    (names, kinds, changes, tail, prop::option::of(cut)).prop_map(|(name, kind, changes, tail, cut)| {
        let mut bytes = with_edns(question(name, kind), 1232).to_vec().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes.extend(tail);
        bytes
    })
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![mutated(), prop::collection::vec(any::<u8>(), 0..600)]
}

proptest! {
    #![proptest_config(Config::with_cases(20_000))]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in any_bytes()) {
        banger_dns::read(&bytes);
    }
}

#[test]
fn no_bytes_make_the_server_stop() {
    let runtime = Runtime::new().unwrap();
    let limits = Limits {
        try_time: Duration::from_millis(20),
        question_time: Duration::from_millis(40),
        guest_rate: 1_000_000,
        ..Limits::default()
    };
    let policies: &[(NetMode, &[&str])] = &[(NetMode::Nat, &[]), (NetMode::Allow, &["*.x.org"])];
    let world = runtime.block_on(World::with(policies, limits, &[]));
    let sockets = [HOST, guest(1), guest(2)].map(|from| runtime.block_on(socket(from, world.server)));
    let mut runner = TestRunner::new(Config::with_cases(6000));
    let sent = runner.run(&any_bytes(), |bytes| {
        for socket in &sockets {
            runtime.block_on(socket.send(&bytes)).unwrap();
        }
        Ok(())
    });
    sent.unwrap();
    let mut runner = TestRunner::new(Config::with_cases(200));
    let sent = runner.run(&any_bytes(), |bytes| {
        runtime.block_on(async {
            let mut stream = connect(guest(1), world.server).await;
            let length = u16::try_from(bytes.len()).unwrap();
            // It may end the connection at any byte.
            let _ = stream.write_all(&length.to_be_bytes()).await;
            let _ = stream.write_all(&bytes).await;
        });
        Ok(())
    });
    sent.unwrap();
    for from in [HOST, guest(1), guest(2)] {
        let (_, found) = runtime.block_on(told(from, world.server, "a.x.org.", A));
        assert_eq!(found, ["203.0.113.1"]);
    }
}

/// What this process has in memory, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_vm_is_its_own_affair() {
    let limits = Limits {
        guest_questions: 16,
        guest_rate: 500,
        ..Limits::default()
    };
    let policies: &[(NetMode, &[&str])] = &[(NetMode::Nat, &[]), (NetMode::Nat, &[])];
    let world = World::with(policies, limits, &[]).await;
    let before = resident();
    let flood = socket(guest(1), world.server).await;
    let flooding = tokio::spawn(async move {
        let until = Instant::now() + Duration::from_secs(2);
        let mut sent = 0u32;
        while Instant::now() < until {
            for _ in 0..200 {
                sent += 1;
                let bytes = question(&format!("silent{sent}.x.org."), A).to_vec().unwrap();
                let _ = flood.try_send(&bytes);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sent
    });
    let (mut answered, mut asked) = (0, 0);
    let (host, other) = (
        socket(HOST, world.server).await,
        socket(guest(2), world.server).await,
    );
    while !flooding.is_finished() {
        for socket in [&host, &other] {
            let bytes = question("a.x.org.", A).to_vec().unwrap();
            // A datagram may be lost in the kernel; the next one is another chance, as for any client.
            asked += 1;
            answered += usize::from(
                exchange(socket, &bytes, Duration::from_millis(200))
                    .await
                    .is_some(),
            );
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sent = flooding.await.unwrap();
    println!(
        "{sent} sent by the flood; {answered} of {asked} others answered; {before} to {} KiB",
        resident()
    );
    assert!(sent > 10_000, "{sent}");
    assert!(asked > 50 && answered * 10 >= asked * 9, "{answered} of {asked}");
    // Those that have a place, and their second try.
    assert!(world.upstream.total() < 100, "{}", world.upstream.total());
    // Other tests run beside this one; a task for each of the flood would take more than a hundred MiB.
    assert!(resident() < before + (48 << 10), "{before} to {}", resident());
}

#[tokio::test]
async fn connections_are_counted_and_end_when_they_are_still() {
    let limits = Limits {
        guest_connections: 2,
        idle_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let policies: &[(NetMode, &[&str])] = &[(NetMode::Nat, &[]), (NetMode::Nat, &[])];
    let world = World::with(policies, limits, &[]).await;
    let asks = async |slot| {
        let mut stream = connect(guest(slot), world.server).await;
        let answer = ask_by_tcp(&mut stream, &question(&format!("vm{slot}.vm."), A)).await;
        (answer.is_some(), stream)
    };
    let (first, mut one) = asks(1).await;
    let (second, _two) = asks(1).await;
    let (third, _) = asks(1).await;
    assert!(first && second && !third);
    let (other, _) = asks(2).await;
    assert!(other);
    assert_eq!(one.read(&mut [0; 1]).await.unwrap(), 0);
    let (again, _) = asks(1).await;
    assert!(again);
}
