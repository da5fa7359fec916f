//! The zone of VMs.

use std::net::Ipv6Addr;

use banger_dns::{Refusal, Sockets, Verdict};
use banger_model::network::NetMode;
use hickory_proto::op::{MessageType, OpCode, ResponseCode};
use hickory_proto::rr::RecordType::{A, AAAA, PTR, SOA, TXT};
use tokio::net::UdpSocket;

use crate::client::{PATIENCE, ask, ask_by_tcp, connect, question, send, told, with_edns};
use crate::world::{HOST, World, guest};

#[tokio::test]
async fn the_host_finds_every_vm_by_name_and_by_address() {
    let world = World::new(&[(NetMode::Off, &[]), (NetMode::Nat, &[])]).await;
    let found = async |name, kind| told(HOST, world.server, name, kind).await;
    let ok = |texts: &[&str]| {
        (
            ResponseCode::NoError,
            texts.iter().map(|&t| t.to_owned()).collect(),
        )
    };
    assert_eq!(found("vm1.vm.", A).await, ok(&["172.16.0.1"]));
    assert_eq!(found("VM2.Vm.", AAAA).await, ok(&["fd00::2"]));
    assert_eq!(found("vm1.vm.", TXT).await, ok(&[]));
    assert_eq!(found("2.0.16.172.in-addr.arpa.", PTR).await, ok(&["vm2.vm."]));
    for unknown in ["vm3.vm.", "a.vm1.vm.", "x_y.vm."] {
        assert_eq!(found(unknown, A).await.0, ResponseCode::NXDomain, "{unknown}");
    }
    let nothing = ask(HOST, world.server, "vm1.vm.", TXT).await;
    assert!(nothing.metadata.authoritative && nothing.authorities[0].record_type() == SOA);
    assert_eq!(world.upstream.total(), 0);
}

#[tokio::test]
async fn a_vm_finds_itself_and_those_that_a_rule_names() {
    let world = World::new(&[
        (NetMode::Nat, &["vm:vm2"]),
        (NetMode::Allow, &[]),
        (NetMode::Nat, &[]),
    ])
    .await;
    let code = async |slot, name| told(guest(slot), world.server, name, A).await.0;
    assert_eq!(code(1, "vm1.vm.").await, ResponseCode::NoError);
    assert_eq!(code(1, "vm2.vm.").await, ResponseCode::NoError);
    // One that may not be seen is as one that is not there.
    for hidden in ["vm3.vm.", "vm9.vm."] {
        assert_eq!(code(1, hidden).await, ResponseCode::NXDomain);
        assert_eq!(world.last_verdict(), Verdict::Refused(Refusal::Peer));
    }
    assert_eq!(code(2, "vm1.vm.").await, ResponseCode::NXDomain);
    let reverse = async |name| told(guest(1), world.server, name, PTR).await;
    assert_eq!(reverse("2.0.16.172.in-addr.arpa.").await.1, ["vm2.vm."]);
    for hidden in ["3.0.16.172.in-addr.arpa.", "1.0.168.192.in-addr.arpa."] {
        assert_eq!(reverse(hidden).await.0, ResponseCode::NXDomain);
    }
    assert_eq!(world.upstream.total(), 0);
}

#[tokio::test]
async fn a_connection_takes_question_after_question() {
    let world = World::new(&[(NetMode::Nat, &[])]).await;
    let mut stream = connect(HOST, world.server).await;
    for _ in 0..3 {
        let answer = ask_by_tcp(&mut stream, &question("vm1.vm.", A)).await.unwrap();
        assert_eq!(answer.answers.len(), 1);
    }
}

#[tokio::test]
async fn what_is_no_question_is_told_so() {
    let world = World::new(&[]).await;
    let code = async |message| send(HOST, world.server, &message).await.metadata.response_code;
    let mut update = question("vm1.vm.", A);
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(code(update).await, ResponseCode::NotImp);
    let mut two = question("vm1.vm.", A);
    two.queries.push(two.queries[0].clone());
    assert_eq!(code(two).await, ResponseCode::FormErr);
    let mut newer = with_edns(question("vm1.vm.", A), 1232);
    newer.edns.as_mut().unwrap().set_version(1);
    // 16 is BADVERS in a reply, and BADSIG within a signature.
    assert_eq!(u16::from(code(newer).await), 16);
    let transfer = question("vm.", hickory_proto::rr::RecordType::AXFR);
    assert_eq!(code(transfer).await, ResponseCode::NotImp);
    let answered = send(HOST, world.server, &with_edns(question("vm9.vm.", A), 4096)).await;
    assert_eq!(answered.metadata.message_type, MessageType::Response);
    assert_eq!(answered.edns.unwrap().max_payload(), 1232);
}

#[tokio::test]
async fn sockets_come_and_go_while_the_server_runs() {
    let world = World::new(&[(NetMode::Nat, &[])]).await;
    let server = world.another();
    let sockets = || {
        let sockets = Sockets::bind((Ipv6Addr::LOCALHOST, 0).into()).unwrap();
        (sockets.addresses()[0], sockets)
    };
    let asks = async |address| {
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(address).await.unwrap();
        let bytes = question("vm1.vm.", A).to_vec().unwrap();
        socket.send(&bytes).await.unwrap();
        // Where no one listens the kernel says so.
        socket.recv(&mut [0; 512]).await.is_ok()
    };
    let ((first, sockets_of_first), (second, sockets_of_second)) = (sockets(), sockets());
    let one = server.listen(sockets_of_first).unwrap();
    let _two = server.listen(sockets_of_second).unwrap();
    assert!(asks(first).await && asks(second).await);
    drop(one);
    let gone = async { while asks(first).await {} };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    assert!(asks(second).await);
}

#[tokio::test]
async fn a_port_is_kept_from_one_server_to_the_next() {
    let world = World::new(&[(NetMode::Nat, &[])]).await;
    let kept = Sockets::bind((HOST, 0).into()).unwrap();
    let address = kept.addresses()[0];
    let mut before = None;
    for _ in 0..3 {
        // Nobody else can have it in between, whenever the old one lets go.
        drop(before.take());
        before = Some(world.another().listen(kept.try_clone().unwrap()).unwrap());
        assert_eq!(told(HOST, address, "vm1.vm.", A).await.1, ["172.16.0.1"]);
        let mut stream = connect(HOST, address).await;
        let answer = ask_by_tcp(&mut stream, &question("vm1.vm.", A)).await.unwrap();
        assert_eq!(answer.answers.len(), 1);
    }
}
