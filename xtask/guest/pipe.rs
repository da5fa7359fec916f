//! The guest's side of a bare vsock pipe, which `cp.vs_bare_vsock_ratio` measures beside: `pipe PORT DIR`. A connection
//! says `r` or `w`, eight bytes of a length, and a name's length and the name of a file in `DIR`; then that many bytes of
//! the file go one way, by plain reads and writes, and one byte says that all is done.

use std::fs::File;
use std::io::{Read, Result, Write};
use std::os::fd::FromRawFd;

unsafe extern "C" {
    fn socket(domain: i32, kind: i32, protocol: i32) -> i32;
    fn bind(socket: i32, address: *const Address, len: u32) -> i32;
    fn listen(socket: i32, backlog: i32) -> i32;
    fn accept(socket: i32, address: *mut Address, len: *mut u32) -> i32;
}

/// `struct sockaddr_vm` (vsock(7)).
#[repr(C)]
struct Address {
    family: u16,
    reserved: u16,
    port: u32,
    cid: u32,
    zero: [u8; 4],
}

const AF_VSOCK: u16 = 40;
const SOCK_STREAM: i32 = 1;
const ANY: u32 = u32::MAX;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let port = args.next().and_then(|port| port.parse().ok()).unwrap_or(5000);
    let dir = args.next().unwrap_or_default();
    let address = Address { family: AF_VSOCK, reserved: 0, port, cid: ANY, zero: [0; 4] };
    // SAFETY: plain system calls with an address that lives through them; each descriptor is owned once.
    let listener = unsafe {
        let socket = socket(AF_VSOCK.into(), SOCK_STREAM, 0);
        if bind(socket, &address, 16) < 0 || listen(socket, 8) < 0 {
            return Err(std::io::Error::last_os_error());
        }
        socket
    };
    println!("listening");
    loop {
        // SAFETY: as above.
        let stream = unsafe { accept(listener, std::ptr::null_mut(), std::ptr::null_mut()) };
        if stream < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: as above.
        let stream = unsafe { File::from_raw_fd(stream) };
        if let Err(error) = serve(stream, &dir) {
            eprintln!("pipe: {error}");
        }
    }
}

fn serve(mut stream: File, dir: &str) -> Result<()> {
    let mut head = [0; 10];
    stream.read_exact(&mut head)?;
    let len = u64::from_le_bytes([head[1], head[2], head[3], head[4], head[5], head[6], head[7], head[8]]);
    let mut name = vec![0; head[9].into()];
    stream.read_exact(&mut name)?;
    let path = format!("{dir}/{}", String::from_utf8_lossy(&name));
    if head[0] == b'w' {
        copy(&mut stream, &mut File::create(path)?, len)?;
    } else {
        copy(&mut File::open(path)?, &mut stream, len)?;
    }
    stream.write_all(&[1])
}

fn copy(from: &mut File, to: &mut File, mut len: u64) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    while len > 0 {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&buffer[..read])?;
        len -= read as u64;
    }
    Ok(())
}
