//! Documents, grown and refused.

use super::*;

fn kernel(more: &str) -> String {
    let digest = "0".repeat(64);
    format!(
        r#"{{"name": "k", "arch": "x86_64", "version": "6", "location": "k.tar.zst", "sha256": "{digest}", "bytes": 1{more}}}"#
    )
}

fn document(kernels: &str) -> String {
    format!(r#"{{"format": "banger-catalog-1", "kernels": [{kernels}], "later": {{"a": 1}}}}"#)
}

#[test]
fn what_a_later_version_added_is_kept() {
    let text = document(&kernel(r#", "later": 1"#));
    let mut read = Document::parse(text.as_bytes()).unwrap();
    let mut kernel: CatalogKernel = read.offer("k", "x86_64").cloned().unwrap();
    assert!(read.offer::<CatalogKernel>("k", "aarch64").is_none());
    kernel.bytes = 2;
    read.set(kernel);
    let text = String::from_utf8(read.text()).unwrap();
    assert!(
        text.contains(r#""later": {"#) && text.contains(r#""bytes": 2"#),
        "{text}"
    );
    assert_eq!(Document::parse(text.as_bytes()).unwrap(), read);
}

#[test]
fn a_document_that_could_mislead_is_refused() {
    let escaping = kernel("").replace("k.tar.zst", "../k.tar.zst");
    for (text, words) in [
        (
            r#"{"format": "banger-catalog-2", "kernels": 1}"#.to_owned(),
            "reads `banger-catalog-1`",
        ),
        ("{}".to_owned(), "format"),
        ("<html>".to_owned(), "expected value"),
        (document(&escaping), "invalid path"),
        (document(&kernel("").replace("00", "0G")), "SHA-256"),
        (document(&kernel("").replace("\"k\"", "\"../k\"")), "invalid name"),
        (document(&format!("{0},{0}", kernel(""))), "twice"),
        (
            document(&kernel(r#", "description": "\u001b[2J""#)),
            "control characters",
        ),
    ] {
        let error = Document::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}
