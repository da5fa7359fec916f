//! Sends and shows frames of a network card, as root of a guest. Compiled by a scenario, for guests without a C library.
//!
//! `frames CARD send HEX…` sends each three times, `frames CARD flood SECONDS HEX…` as many as go, and `frames CARD watch SECONDS`
//! prints what arrives, one frame a line.

use std::ffi::{CString, c_int, c_void};
use std::io::Write;
use std::time::{Duration, Instant};

const AF_PACKET: c_int = 17;
const SOCK_RAW: c_int = 3;
const ALL: u16 = 3_u16.to_be();
const OUTGOING: u8 = 4;

#[repr(C)]
#[derive(Default)]
struct Address {
    family: u16,
    protocol: u16,
    index: c_int,
    hardware: u16,
    kind: u8,
    length: u8,
    address: [u8; 8],
}

unsafe extern "C" {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(socket: c_int, address: *const Address, length: u32) -> c_int;
    fn send(socket: c_int, bytes: *const c_void, length: usize, flags: c_int) -> isize;
    fn recvfrom(
        socket: c_int,
        bytes: *mut c_void,
        length: usize,
        flags: c_int,
        from: *mut Address,
        from_length: *mut u32,
    ) -> isize;
    fn if_nametoindex(name: *const std::ffi::c_char) -> u32;
}

fn card(name: &str) -> c_int {
    let name = CString::new(name).unwrap();
    // SAFETY: the calls are of their C signatures; the name ends with a zero, and the address is whole.
    unsafe {
        let card = socket(AF_PACKET, SOCK_RAW, ALL.into());
        let address = Address {
            family: AF_PACKET as u16,
            protocol: ALL,
            index: if_nametoindex(name.as_ptr()) as c_int,
            ..Address::default()
        };
        assert!(card >= 0 && bind(card, &address, size_of::<Address>() as u32) == 0);
        card
    }
}

fn bytes(hex: &String) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16));
    byte.collect::<Result<_, _>>().unwrap()
}

/// Whether the card took it.
fn sent(card: c_int, frame: &[u8]) -> bool {
    // SAFETY: the bytes live, and are as many as is said.
    unsafe { send(card, frame.as_ptr().cast(), frame.len(), 0) == frame.len() as isize }
}

fn watch(card: c_int, end: Instant) {
    let mut frame = [0_u8; 2048];
    let mut out = std::io::stdout().lock();
    while Instant::now() < end {
        let mut from = Address::default();
        let mut length = size_of::<Address>() as u32;
        // SAFETY: the kernel writes what fits into the frame and into the address, which live here.
        let got = unsafe { recvfrom(card, frame.as_mut_ptr().cast(), frame.len(), 0, &mut from, &mut length) };
        let Ok(got @ 1..) = usize::try_from(got) else {
            continue;
        };
        if from.kind != OUTGOING {
            let hex: String = frame[..got.min(512)].iter().map(|byte| format!("{byte:02x}")).collect();
            let _ = writeln!(out, "{hex}");
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let card = card(&args[0]);
    let end = || Instant::now() + Duration::from_secs(args[2].parse().unwrap());
    match args[1].as_str() {
        "watch" => watch(card, end()),
        "flood" => {
            let (frames, end): (Vec<_>, _) = (args[3..].iter().map(bytes).collect(), end());
            let mut count = 0;
            while Instant::now() < end {
                count += frames.iter().filter(|frame| sent(card, frame)).count();
            }
            println!("{count}");
        }
        _ => {
            for frame in args[2..].iter().map(bytes) {
                assert!((0..3).all(|_| sent(card, &frame)));
            }
        }
    }
}
