//! Records of pax headers, sound and broken.

use super::*;
use crate::format::written::record as encoded;

fn all(records: &[(&str, &[u8])]) -> Vec<u8> {
    records
        .iter()
        .flat_map(|(key, value)| encoded(key.as_bytes(), value))
        .collect()
}

#[test]
fn times_are_exact_on_both_sides_of_1970() {
    let time = |text: &str| timestamp(text.as_bytes()).map(|time| (time.secs, time.nanos));
    assert_eq!(time("1700000000.123456789"), Some((1_700_000_000, 123_456_789)));
    assert_eq!(time("12.5"), Some((12, 500_000_000)));
    assert_eq!(time("12."), Some((12, 0)));
    assert_eq!(time("1.0000000019"), Some((1, 1)));
    assert_eq!(time("-1.25"), Some((-2, 750_000_000)));
    assert_eq!(time("-0.25"), Some((-1, 750_000_000)));
    assert_eq!(time("-3"), Some((-3, 0)));
    for wrong in [
        "x",
        "",
        "-",
        ".5",
        "1.x",
        "1.+5",
        "1.-5",
        "1.000000000x",
        "99999999999999999999",
    ] {
        assert_eq!(time(wrong), None, "{wrong}");
    }
}

#[test]
fn the_last_record_counts_and_an_empty_one_says_nothing() {
    let records = Records::parse(&all(&[
        ("path", b"a"),
        ("path", b"b"),
        ("uid", b"1000"),
        ("uid", b""),
        ("size", b"5"),
    ]))
    .unwrap();
    assert_eq!(records.path.as_deref(), Some(&b"b"[..]));
    assert_eq!((records.uid, records.size), (None, Some(5)));
    let long = vec![b'x'; 5000];
    let records = Records::parse(&all(&[("linkpath", &long), ("gid", b"-2")])).unwrap();
    assert_eq!((records.linkpath, records.gid), (Some(long), Some(-2)));
}

#[test]
fn records_that_lie_are_refused() {
    let wrong: [&[u8]; 15] = [
        b"11 path=a\n",
        b"8 path=a\n",
        b"9 path=a",
        b"9 path=ab",
        b"99999999999999999999 path=a\n",
        b"-9 path=a\n",
        b"+9 path=a\n",
        b"0 \n",
        b"2 \n",
        b"4 =\n",
        b"8 patha\n",
        b"11 path=a\0b\n",
        b"10 size=-1\n",
        b"9 path=a\nrest",
        b"00000000009 path=a\n",
    ];
    for content in wrong {
        assert!(Records::parse(content).is_err(), "{}", content.escape_ascii());
    }
}

#[test]
fn attributes_come_with_any_name_and_value() {
    let content = all(&[
        ("SCHILY.xattr.user.a", b"b"),
        ("SCHILY.xattr.user.b", b"\0\n"),
        ("SCHILY.xattr.user.c", b""),
        ("SCHILY.xattr.user.a%3Db%25c%41", b"v"),
        ("LIBARCHIVE.xattr.user.d%20e", b"AP9/Cg"),
        ("RHT.security.selinux", b"label\0"),
        ("SCHILY.xattr.com.apple.provenance", b"macOS"),
        ("SCHILY.xattr.system.nfs4_acl", b"NFS"),
        ("SCHILY.xattr.system.posix_acl_access", b"list"),
        ("SCHILY.acl.access", b"user::rw-"),
    ]);
    let records = Records::parse(&content).map(|records| records.xattrs).unwrap();
    let seen: Vec<(&[u8], &[u8])> = records
        .iter()
        .map(|xattr| (&*xattr.name, &*xattr.value))
        .collect();
    let expected: [(&[u8], &[u8]); 6] = [
        (b"user.a", b"b"),
        (b"user.b", b"\0\n"),
        (b"user.c", b""),
        (b"user.a=b%c%41", b"v"),
        (b"user.d e", b"\0\xff\x7f\n"),
        (b"system.posix_acl_access", b"list"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn base_64_is_read_with_and_without_padding() {
    assert_eq!(base64(b"").as_deref(), Some(&b""[..]));
    assert_eq!(base64(b"Zg==").as_deref(), Some(&b"f"[..]));
    assert_eq!(base64(b"Zm8").as_deref(), Some(&b"fo"[..]));
    assert_eq!(base64(b"Zm9v").as_deref(), Some(&b"foo"[..]));
    assert_eq!(base64(b"Z"), None);
    assert_eq!(base64(b"Zm_v"), None);
}
