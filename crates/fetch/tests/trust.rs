//! Which TLS servers are trusted, over real connections. Environment variables say what a host trusts, so tests that set them run in
//! a process of their own.

use std::error::Error as StdError;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use banger_fetch::{Fetcher, Limits, NoAuthorities, Trust, Url, client};
use banger_model::Describe;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

const BODY: &str = "what was asked for";

/// An authority, in a directory with its certificate as a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        Self::named("an authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn trusted(&self) -> Trust {
        Trust::with_files(&[self.file()]).unwrap()
    }

    /// A certificate of it for a server, and that one's key.
    fn certify(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            cert: cert.der().clone(),
            key,
        }
    }
}

struct Identity {
    cert: CertificateDer<'static>,
    key: KeyPair,
}

impl Identity {
    fn certified(self) -> CertifiedKey {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        CertifiedKey::new(vec![self.cert], key)
    }
}

/// Shows one certificate to everybody, whether or not its key is that of the certificate.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A server on loopback, which lives as long as its test, and the requests that it has read.
struct Server {
    url: String,
    requests: Receiver<Vec<u8>>,
}

impl Server {
    fn plain() -> Self {
        Self::start("http", Some)
    }

    fn tls(shown: CertifiedKey) -> Self {
        Self::of_versions(shown, rustls::ALL_VERSIONS)
    }

    fn of_versions(shown: CertifiedKey, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shows(Arc::new(shown))));
        let config = Arc::new(config);
        Self::start("https", move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Some(StreamOwned::new(connection, stream))
        })
    }

    fn start<S: Read + Write>(scheme: &str, speak: impl Fn(TcpStream) -> Option<S> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://localhost:{}/", listener.local_addr().unwrap().port());
        let (said, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = speak(stream.unwrap()).unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => request.extend_from_slice(&buffer[..read]),
                    }
                }
                if request.is_empty() {
                    continue;
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{BODY}",
                    BODY.len()
                );
                let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
                let _ = said.send(request);
            }
        });
        Self { url, requests }
    }

    /// What this server gives to those who trust these.
    fn ask(&self, trust: &Trust) -> Result<String, reqwest::Error> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = client("localhost", Limits::default(), trust).no_proxy().build()?;
            client.get(&self.url).send().await?.text().await
        })
    }

    fn gives(&self, trust: &Trust) {
        assert_eq!(self.ask(trust).unwrap(), BODY);
        self.requests.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    /// That it is refused for this, before it is told anything.
    fn is_refused(&self, trust: &Trust, why: &str) {
        let error = self.ask(trust).unwrap_err();
        let shown = causes(&error);
        assert!(shown.contains(why), "{shown}");
        assert!(self.requests.try_recv().is_err(), "it was asked");
    }
}

fn causes(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Runs the test of this name in a process of its own, with these variables. Gives whether this is the one that starts it.
fn apart(test: &str, variables: &[(&str, &Path)]) -> bool {
    const APART: &str = "BANGER_TEST_APART";
    if std::env::var_os(APART).is_some() {
        return false;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .env(APART, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    true
}

#[test]
fn certificate_of_an_own_authority_is_accepted() {
    let authority = Authority::new();
    let trust = authority.trusted();
    let shown = || authority.certify(|_| {}).certified();
    Server::tls(shown()).gives(&trust);
    Server::of_versions(shown(), &[&rustls::version::TLS12]).gives(&trust);
    Server::of_versions(shown(), &[&rustls::version::TLS13]).gives(&trust);
}

#[test]
fn certificate_of_an_unknown_authority_is_refused() {
    let (known, other) = (Authority::new(), Authority::named("another"));
    let server = Server::tls(other.certify(|_| {}).certified());
    // A second time too, with what was read by then.
    let trust = known.trusted();
    server.is_refused(&trust, "UnknownIssuer");
    server.is_refused(&trust, "UnknownIssuer");
    let of_that_name = Server::tls(Authority::new().certify(|_| {}).certified());
    of_that_name.is_refused(&trust, "BadSignature");
}

#[test]
fn certificate_of_another_host_is_refused() {
    let authority = Authority::new();
    let shown = authority.certify(|params| {
        params.subject_alt_names = CertificateParams::new(vec!["other.example".to_owned()])
            .unwrap()
            .subject_alt_names;
    });
    Server::tls(shown.certified()).is_refused(&authority.trusted(), "not valid for name");
}

#[test]
fn certificate_of_another_time_is_refused() {
    let authority = Authority::new();
    let expired = authority.certify(|params| params.not_after = date_time_ymd(2020, 1, 1));
    Server::tls(expired.certified()).is_refused(&authority.trusted(), "certificate expired");
    let early = authority.certify(|params| params.not_before = date_time_ymd(4000, 1, 1));
    Server::tls(early.certified()).is_refused(&authority.trusted(), "not valid yet");
}

#[test]
fn certificate_without_its_key_is_refused() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stolen = Identity {
            key: KeyPair::generate().unwrap(),
            ..authority.certify(|_| {})
        };
        let server = Server::of_versions(stolen.certified(), &[version]);
        server.is_refused(&authority.trusted(), "BadSignature");
    }
}

#[test]
fn who_trusts_anybody_reads_no_authorities() {
    let test = "who_trusts_anybody_reads_no_authorities";
    if apart(test, &[("SSL_CERT_FILE", Path::new("/nowhere"))]) {
        return;
    }
    let expired = Authority::new().certify(|params| params.not_after = date_time_ymd(2020, 1, 1));
    Server::tls(expired.certified()).gives(&Trust::anybody());
}

#[test]
fn own_files_must_have_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("own.pem");
    let no_der = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (text, why) in [("", "the file has no PEM certificate"), (no_der, "BadEncoding")] {
        fs::write(&file, text).unwrap();
        let error = Trust::with_files(&[&file]).unwrap_err().to_string();
        assert!(error.contains("own.pem: ") && error.contains(why), "{error}");
    }
    let missing = Trust::with_files(&[dir.path().join("missing")]).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn without_authorities_nobody_is_trusted() {
    let test = "without_authorities_nobody_is_trusted";
    if apart(test, &[("SSL_CERT_FILE", Path::new("/nowhere"))]) {
        return;
    }
    let authority = Authority::new();
    let server = Server::tls(authority.certify(|_| {}).certified());
    let error = server.ask(&Trust::host()).unwrap_err();
    assert!(NoAuthorities::is_in(&error), "{}", causes(&error));
    server.is_refused(&Trust::host(), "No CA certificates were loaded");
    let url = Url::parse(&server.url).unwrap();
    let error = Fetcher::new(Limits::default()).small(&url, 100).unwrap_err();
    assert_eq!(error.describe().hints, [NoAuthorities::HINT]);
    // Who has an own authority needs no others, and who speaks plain HTTP none.
    server.gives(&authority.trusted());
    Server::plain().gives(&Trust::host());
}

#[test]
fn authorities_of_the_environment_are_trusted() {
    let test = "authorities_of_the_environment_are_trusted";
    if let Some(own) = std::env::var_os("BANGER_TEST_OWN") {
        let own = PathBuf::from(own);
        let read = |name| fs::read(own.join(name)).unwrap();
        let identity = Identity {
            cert: read("cert.der").into(),
            key: KeyPair::try_from(read("key.der")).unwrap(),
        };
        Server::tls(identity.certified()).gives(&Trust::host());
        let other = Authority::named("another").certify(|_| {});
        Server::tls(other.certified()).is_refused(&Trust::host(), "UnknownIssuer");
        return;
    }
    let authority = Authority::new();
    let Identity { cert, key } = authority.certify(|_| {});
    let own = authority.dir.path();
    fs::write(own.join("cert.der"), cert).unwrap();
    fs::write(own.join("key.der"), key.serialize_der()).unwrap();
    let authorities = own.join("authorities");
    fs::create_dir(&authorities).unwrap();
    fs::copy(authority.file(), authorities.join("ca.pem")).unwrap();
    let own = ("BANGER_TEST_OWN", own);
    assert!(apart(test, &[own, ("SSL_CERT_FILE", &authority.file())]));
    assert!(apart(test, &[own, ("SSL_CERT_DIR", &authorities)]));
}

/// A pipe gives its bytes to whoever reads it, once.
#[test]
fn authorities_are_read_once_and_for_tls_only() {
    let test = "authorities_are_read_once_and_for_tls_only";
    let Some(pipe) =
        std::env::var_os("SSL_CERT_FILE").filter(|_| std::env::var_os("BANGER_TEST_APART").is_some())
    else {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(apart(test, &[("SSL_CERT_FILE", &pipe)]));
        return;
    };
    let authority = Authority::new();
    let trust = Trust::host();
    Server::plain().gives(&trust);
    // Nobody has it open who would have to be waited for.
    let opened = File::options()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(&pipe);
    assert_eq!(
        opened.unwrap_err().raw_os_error(),
        Some(rustix::io::Errno::NXIO.raw_os_error())
    );
    let server = Server::tls(authority.certify(|_| {}).certified());
    let pem = authority.issuer.pem();
    let writer = thread::spawn(move || fs::write(pipe, pem).unwrap());
    server.gives(&trust);
    writer.join().unwrap();
    server.gives(&trust);
    server.gives(&trust.clone());
}
