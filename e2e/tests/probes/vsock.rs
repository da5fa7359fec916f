//! Tries whatever could be an address of the agent's, as a user of the guest. Compiled by a scenario, for guests without a C
//! library.

use std::ffi::c_int;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

const AF_VSOCK: u16 = 40;
const SOCK_STREAM: c_int = 1;

#[repr(C)]
struct Address {
    family: u16,
    reserved: u16,
    port: u32,
    cid: u32,
    zero: [u8; 4],
}

unsafe extern "C" {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn connect(socket: c_int, address: *const Address, length: u32) -> c_int;
    fn bind(socket: c_int, address: *const Address, length: u32) -> c_int;
}

fn address(cid: u32, port: u32) -> Address {
    Address {
        family: AF_VSOCK,
        reserved: 0,
        port,
        cid,
        zero: [0; 4],
    }
}

fn try_one(cid: u32, port: u32) {
    // SAFETY: the calls are of their C signatures, and the address is whole.
    let mut stream = unsafe {
        let stream = socket(AF_VSOCK.into(), SOCK_STREAM, 0);
        if stream < 0 {
            return;
        }
        let owned = File::from_raw_fd(stream);
        if connect(stream, &address(cid, port), size_of::<Address>() as u32) != 0 {
            return;
        }
        owned
    };
    let _ = stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: guest\r\n\r\n");
    let mut answer = [0; 64];
    if let Ok(read @ 1..) = stream.read(&mut answer) {
        println!("{cid}:{port} answers {:?}", String::from_utf8_lossy(&answer[..read]));
    }
}

fn main() {
    for cid in [0, 1, 2, 3, 4, u32::MAX] {
        for port in [1024, 1025, 1026] {
            try_one(cid, port);
        }
    }
    // The agent's port is taken, for whatever address.
    for cid in [1, 3, u32::MAX] {
        // SAFETY: as above.
        let bound = unsafe {
            let stream = socket(AF_VSOCK.into(), SOCK_STREAM, 0);
            stream >= 0 && bind(stream, &address(cid, 1024), size_of::<Address>() as u32) == 0
        };
        if bound {
            println!("{cid}:1024 could be taken");
        }
    }
    println!("nothing answers");
}
