//! Maps of sparse files.

use super::super::EntryKind;
use super::super::written::{Tar, base256, entries, gnu};

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What a file with such records and data comes to: its size and segments, or a fault.
fn read(records: Pairs<'_>, data: &[u8]) -> Result<(u64, Vec<(u64, u64)>), String> {
    let records: Vec<(Vec<u8>, &[u8])> = records
        .iter()
        .map(|(key, value)| (format!("GNU.sparse.{key}").into_bytes(), value.as_bytes()))
        .collect();
    let records: Vec<(&[u8], &[u8])> = records.iter().map(|(key, value)| (&**key, *value)).collect();
    let tar = Tar::new().pax(&records).file(b"f", data).end();
    seen(&tar)
}

fn seen(tar: &[u8]) -> Result<(u64, Vec<(u64, u64)>), String> {
    let all = entries(tar).map_err(|error| error.to_string())?;
    match &all[0].0.kind {
        EntryKind::File { size, segments } => {
            let segments = segments.iter().map(|segment| (segment.offset, segment.len));
            Ok((*size, segments.collect()))
        }
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn maps_in_records_are_read_or_refused() {
    let two = [("size", "100"), ("map", "5,3,50,0,98,2")];
    assert_eq!(read(&two, b"abcde"), Ok((100, vec![(5, 3), (98, 2)])));
    let apart = [
        ("size", "9"),
        ("numblocks", "1"),
        ("offset", "4"),
        ("numbytes", "1"),
    ];
    assert_eq!(read(&apart, b"x"), Ok((9, vec![(4, 1)])));
    assert_eq!(read(&[("size", "9"), ("map", "")], b""), Ok((9, vec![])));
    let wrong: [(Pairs<'_>, &str); 9] = [
        (&[("size", "9"), ("map", "5,3,4,2")], "out of order"),
        (&[("size", "9"), ("map", "5,5")], "out of range"),
        (
            &[("size", "9"), ("map", "9223372036854775807,9223372036854775807")],
            "out of range",
        ),
        (&[("size", "9"), ("map", "0,5,6")], "odd number"),
        (&[("size", "9"), ("map", "0,4")], "4 bytes of data, the archive 5"),
        (&[("major", "2"), ("minor", "0")], "sparse file of version 2.0"),
        (&[("map", "0,-5")], "failed to read the archive"),
        (&[("numbytes", "5")], "failed to read the archive"),
        (&[("offset", "5"), ("offset", "5")], "failed to read the archive"),
    ];
    for (records, told) in wrong {
        let fault = read(records, b"abcde").unwrap_err();
        assert!(fault.contains(told), "{records:?}: {fault}");
    }
}

#[test]
fn a_map_before_the_data_is_read_or_refused() {
    let with = |map: &str, data: &[u8]| {
        let mut content = map.as_bytes().to_vec();
        content.resize(content.len().next_multiple_of(512), 0);
        content.extend_from_slice(data);
        read(
            &[("major", "1"), ("minor", "0"), ("realsize", "4000000")],
            &content,
        )
    };
    assert_eq!(with("1\n7\n3\n", b"abc"), Ok((4_000_000, vec![(7, 3)])));
    assert_eq!(with("0\n", b""), Ok((4_000_000, vec![])));
    let long: String = (0..300).map(|part| format!("{}\n1\n", part * 10_000)).collect();
    assert_eq!(
        with(&format!("300\n{long}"), &[1; 300]).map(|(_, parts)| parts.len()),
        Ok(300)
    );
    for map in [
        "",
        "2\n1\n1\n",
        "x\n",
        "\n",
        "-1\n",
        "1048577\n0\n0\n",
        "99999999999999999999\n",
    ] {
        let fault = with(map, b"").unwrap_err();
        assert!(fault.contains("map of holes"), "{map}: {fault}");
    }
}

#[test]
fn an_old_map_is_read_or_refused() {
    let with = |edit: fn(&mut [u8; 512])| {
        let mut tar = Tar::new();
        tar.header(b'S', b"f", 3, |raw| {
            gnu(raw);
            raw[386..410].copy_from_slice(b"00000001000\x0000000000003\0");
            base256(&mut raw[483..495], 1 << 40);
            edit(raw);
        });
        seen(&tar.data(b"abc").end())
    };
    assert_eq!(with(|_| {}), Ok((1 << 40, vec![(512, 3)])));
    assert!(
        with(|raw| raw[390] = b'9')
            .unwrap_err()
            .contains("invalid number")
    );
    assert!(
        with(|raw| base256(&mut raw[483..495], -1))
            .unwrap_err()
            .contains("invalid number")
    );
    assert!(
        with(|raw| base256(&mut raw[398..410], -1))
            .unwrap_err()
            .contains("invalid number")
    );
    // What follows is data, and the end; neither says that the map ends.
    let endless = with(|raw| raw[482] = 1);
    assert!(endless.is_err(), "{endless:?}");
}
