//! Registries that send without an end or not at all: what is read of them has a bound, and so has the waiting.

mod host;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use banger_image::{Error, ImageStore, Pull, PullOptions};
use banger_oci::{Limits, RegistryOptions};
use host::layers::{Described, Entry, Packing, sha256, tar};
use tokio_util::sync::CancellationToken;

/// More than any document has, with what sockets hold on the way: nothing that is kept.
const MUCH: u64 = 32 << 20;

/// A server that answers each request on a connection of its own.
struct Server {
    address: SocketAddr,
    /// Bytes that were taken from it.
    sent: Arc<AtomicU64>,
}

impl Server {
    /// `answer` is given the first line of the request.
    fn new(answer: impl Fn(&str, &mut Counting) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let mut to = Counting(stream, Arc::clone(&counter));
                answer(head.first().map_or("", String::as_str), &mut to);
            }
        });
        Self { address, sent }
    }

    fn pull(&self, name: &str) -> Error {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        store
            .pull(&self.wanted(name), &|_, _, _| (), &CancellationToken::new())
            .unwrap_err()
    }

    fn wanted(&self, name: &str) -> Pull {
        let limits = Limits {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(60),
            attempts: 3,
        };
        Pull {
            name: "i".parse().unwrap(),
            source: format!("{}/{name}", self.address).parse().unwrap(),
            kernel: None,
            force: false,
            options: PullOptions {
                registry: RegistryOptions {
                    limits,
                    ..RegistryOptions::default()
                },
                ..PullOptions::default()
            },
        }
    }

    /// What a glimpse tells, which takes neither long nor much.
    fn glimpsed(&self) -> Option<String> {
        let wanted = self.wanted("x");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let since = Instant::now();
        let said = runtime.block_on(banger_oci::glimpse(&wanted.source, &wanted.options.registry));
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "it took {:?}",
            since.elapsed()
        );
        let sent = self.sent.load(Ordering::SeqCst);
        assert!(sent < MUCH, "{sent} bytes were taken");
        said
    }

    /// Pulls, which fails with these words, and has taken no more than it may.
    fn refused(&self, name: &str, words: &str) {
        let error = self.pull(name);
        let told = host::words(&error);
        assert!(told.contains(words), "`{words}` is not in: {told}");
        let sent = self.sent.load(Ordering::SeqCst);
        assert!(sent < MUCH, "{sent} bytes were taken");
    }
}

/// What was sent, in bytes.
struct Counting(TcpStream, Arc<AtomicU64>);

impl Counting {
    fn head(&mut self, status: &str, headers: &str) -> bool {
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
        self.0.write_all(head.as_bytes()).is_ok()
    }

    /// Sends until it is hung up on, or what is too much was taken.
    fn endless(&mut self) {
        let spaces = vec![b' '; 1 << 16];
        while self.1.load(Ordering::SeqCst) < 2 * MUCH && self.0.write_all(&spaces).is_ok() {
            self.1.fetch_add(spaces.len() as u64, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_glimpse_reads_the_digest_in_a_head() {
    let server = Server::new(|line, to| {
        assert_eq!(line, "HEAD /v2/x/manifests/latest HTTP/1.1");
        to.head("200 OK", "Docker-Content-Digest: sha256:12\r\n");
    });
    assert_eq!(server.glimpsed().as_deref(), Some("sha256:12"));
}

#[test]
fn a_glimpse_has_no_password() {
    let server = Server::new(|_, to| {
        to.head("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n");
    });
    assert_eq!(server.glimpsed(), None);
}

#[test]
fn a_glimpse_of_what_is_not_simple_tells_nothing() {
    type Answering = fn(&str, &mut Counting);
    let answers: [(&str, Answering); 7] = [
        ("a head without an end", |_, to| {
            let _ = to.0.write_all(b"HTTP/1.1 200 OK\r\nX: ");
            to.endless();
        }),
        ("heads without an end", |_, to| {
            let _ = to.0.write_all(b"HTTP/1.1 200 OK\r\n");
            let line = b"Docker-Content-Digest: sha256:12\r\n".repeat(1000);
            while to.1.fetch_add(line.len() as u64, Ordering::SeqCst) < 2 * MUCH
                && to.0.write_all(&line).is_ok()
            {}
        }),
        ("silence", |_, to| {
            let mut end = [0];
            let _ = to.0.read(&mut end);
        }),
        ("no digest", |_, to| {
            to.head("200 OK", "");
        }),
        ("a digest that is no text", |_, to| {
            to.head("200 OK", "Docker-Content-Digest: \u{80}\r\n");
        }),
        ("no HEAD", |_, to| {
            to.head("405 Method Not Allowed", "");
        }),
        ("words without an end", |_, to| {
            to.head(
                "200 OK",
                "Docker-Content-Digest: sha256:12\r\nContent-Length: 1\r\n",
            );
            to.endless();
        }),
    ];
    for (case, answer) in answers {
        let said = Server::new(answer).glimpsed();
        // The answer to a HEAD has no body, whatever a server sends after it.
        let wanted = (case == "words without an end").then_some("sha256:12");
        assert_eq!(said.as_deref(), wanted, "{case}");
        banger_cases::refused("registry", &format!("glimpse.{}", case.replace(' ', "_")));
    }
}

#[test]
fn a_manifest_without_an_end_is_refused() {
    let server = Server::new(|_, to| {
        to.head("200 OK", "");
        to.endless();
    });
    server.refused("x", "manifests/latest is larger than 4194304 bytes");
}

#[test]
fn a_manifest_that_says_to_be_long_is_not_read() {
    let server = Server::new(|_, to| {
        to.head("200 OK", "Content-Length: 1099511627776\r\n");
        to.endless();
    });
    server.refused("x", "manifests/latest is larger than 4194304 bytes");
}

#[test]
fn a_configuration_that_says_to_be_long_is_not_asked_for() {
    let manifest = format!(
        r#"{{"schemaVersion": 2, "layers": [], "config": {{"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": "sha256:{}", "size": 1099511627776}}}}"#,
        "0".repeat(64)
    );
    let server = Server::new(move |line, to| {
        to.head("200 OK", "");
        match line.contains("/blobs/") {
            true => to.endless(),
            false => drop(to.0.write_all(manifest.as_bytes())),
        }
    });
    server.refused("x", "has 1099511627776 bytes, more than the limit of 4194304");
}

#[test]
fn a_refusal_without_an_end_is_a_refusal() {
    let server = Server::new(|_, to| {
        to.head("403 Forbidden", "");
        to.endless();
    });
    server.refused("x", "answered with 403 Forbidden");
}

#[test]
fn a_token_without_an_end_is_refused() {
    let server = Server::new(|line, to| {
        if line.contains("/token") {
            to.head("200 OK", "");
            to.endless();
            return;
        }
        let address = to.0.local_addr().unwrap();
        let challenge =
            format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"s\"\r\n");
        to.head("401 Unauthorized", &challenge);
    });
    server.refused("x", "/token is larger than 1048576 bytes");
}

/// A manifest of an image whose only layer is `layer`.
fn manifest_of(layer: &Described, configuration: &str) -> String {
    format!(
        r#"{{"schemaVersion": 2, "config": {{"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": "sha256:{}", "size": {}}}, "layers": [{{"mediaType": "{}", "digest": "sha256:{}", "size": {}}}]}}"#,
        sha256(configuration.as_bytes()),
        configuration.len(),
        layer.media_type,
        layer.digest,
        layer.size
    )
}

/// Pulls from a server that hangs where its requests are for `hanging`, and does not want it any more when it hangs.
fn unwanted(hanging: &'static str) {
    let layer = Described::new(&tar(&[Entry::file("f", [7; 100_000])]), Packing::Plain);
    let configuration = format!(
        r#"{{"architecture": "amd64", "os": "linux", "rootfs": {{"type": "layers", "diff_ids": ["sha256:{}"]}}}}"#,
        layer.diff_id
    );
    let manifest = manifest_of(&layer, &configuration);
    let at = format!("blobs/sha256:{}", layer.digest);
    let left = CancellationToken::new();
    let leaving = left.clone();
    let server = Server::new(move |line, to| {
        if line.contains("/manifests/") {
            to.head("200 OK", &format!("Content-Length: {}\r\n", manifest.len()));
            let sent = if hanging == "/manifests/" {
                10
            } else {
                manifest.len()
            };
            let _ = to.0.write_all(&manifest.as_bytes()[..sent]);
        } else if line.contains(&at) {
            to.head("200 OK", &format!("Content-Length: {}\r\n", layer.size));
            let _ = to.0.write_all(&layer.blob[..layer.size / 2]);
        } else {
            to.head("200 OK", "");
            let _ = to.0.write_all(configuration.as_bytes());
        }
        let hangs = match hanging {
            "layer" => line.contains(&at),
            hanging => line.contains(hanging),
        };
        if hangs {
            leaving.cancel();
            // Until the client hangs up.
            let _ = to.0.read(&mut [0]);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let mut pull = server.wanted("x");
    pull.options.platform = "linux/amd64".parse().unwrap();
    let since = Instant::now();
    let error = store.pull(&pull, &|_, _, _| (), &left).unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    let left = std::fs::read_dir(dir.path().join("images/tmp")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_pull_that_nobody_wants_waits_for_no_layer() {
    unwanted("layer");
}

#[test]
fn a_pull_that_nobody_wants_waits_for_no_manifest() {
    unwanted("/manifests/");
}
