//! How registries ask who we are, and where they lead us: challenges as they are really written, tokens for passwords and
//! for identity tokens, registries that know no HEAD, and words that must not be followed.

mod host;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use banger_image::{Error, ImageStore, Pull, PullOptions, Pulled};
use banger_oci::{Login, RegistryOptions};
use host::layers::{Described, Entry, Packing, sha256, tar};
use tokio_util::sync::CancellationToken;

/// A request as it came.
#[derive(Debug, Clone)]
struct Request {
    method: String,
    path: String,
    authorization: Option<String>,
    body: String,
}

/// A registry that has one small image, and answers what `trick` does not answer first.
struct Registry {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A status line's end, headers with line ends, and a body.
type Reply = (&'static str, String, Vec<u8>);

struct Image {
    layer: Described,
    config: String,
    manifest: String,
}

impl Image {
    fn new(urls: &str) -> Self {
        let layer = Described::new(&tar(&[Entry::file("f", [7; 10])]), Packing::Plain);
        let config = format!(
            r#"{{"architecture": "amd64", "os": "linux", "rootfs": {{"type": "layers", "diff_ids": ["sha256:{}"]}}}}"#,
            layer.diff_id
        );
        let manifest = format!(
            r#"{{"schemaVersion": 2, "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:{}",
                "size": {}}}, "layers": [{{"mediaType": "{}", "digest": "sha256:{}", "size": {}{urls}}}]}}"#,
            sha256(config.as_bytes()),
            config.len(),
            layer.media_type,
            layer.digest,
            layer.size
        );
        Self {
            layer,
            config,
            manifest,
        }
    }

    fn reply(&self, request: &Request) -> Reply {
        let body = if request.path.contains("/manifests/") {
            self.manifest.clone().into_bytes()
        } else if request.path.ends_with(&self.layer.digest) {
            self.layer.blob.clone()
        } else {
            self.config.clone().into_bytes()
        };
        ("200 OK", String::new(), body)
    }
}

impl Registry {
    fn new(image: Image, trick: impl Fn(&Request, SocketAddr) -> Option<Reply> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(request) = read(BufReader::new(&stream)) else {
                    continue;
                };
                let (status, headers, body) =
                    trick(&request, address).unwrap_or_else(|| image.reply(&request));
                let has_body = request.method != "HEAD";
                seen.lock().unwrap().push(request);
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
                );
                let _ = stream.write_all(head.as_bytes());
                if has_body {
                    let _ = stream.write_all(&body);
                }
            }
        });
        Self { address, requests }
    }

    fn pull(&self, login: Login) -> Result<(), Error> {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        self.pull_into(&store, login).map(drop)
    }

    fn pull_into(&self, store: &ImageStore, login: Login) -> Result<Pulled, Error> {
        let pull = Pull {
            name: "i".parse().unwrap(),
            source: format!("{}/x", self.address).parse().unwrap(),
            kernel: None,
            force: false,
            options: PullOptions {
                platform: "linux/amd64".parse().unwrap(),
                registry: RegistryOptions {
                    logins: vec![(self.address.to_string(), login)],
                    ..RegistryOptions::default()
                },
                ..PullOptions::default()
            },
        };
        store.pull(&pull, &|_, _, _| (), &CancellationToken::new())
    }

    fn refused(&self, login: Login, words: &str) {
        let told = host::words(&self.pull(login).unwrap_err());
        assert!(told.contains(words), "`{words}` is not in: {told}");
    }

    fn asked(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(mut from: impl BufRead) -> Option<Request> {
    let mut line = String::new();
    from.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = String::new();
    from.take(length).read_to_string(&mut body).ok()?;
    Some(Request {
        method,
        path,
        authorization,
        body,
    })
}

/// A challenge, unless the request has this bearer token.
fn wants(request: &Request, token: &str, challenge: String) -> Option<Reply> {
    let has = request.authorization.as_deref() == Some(&format!("Bearer {token}"));
    (!has).then(|| {
        let header = format!("WWW-Authenticate: {challenge}\r\n");
        ("401 Unauthorized", header, Vec::new())
    })
}

fn json(text: &str) -> Option<Reply> {
    Some(("200 OK", String::new(), text.as_bytes().to_vec()))
}

fn password() -> Login {
    Login::Password {
        name: "me".to_owned(),
        password: "secret".to_owned(),
    }
}

#[test]
fn a_challenge_is_read_as_it_is_written() {
    for between in ["  ", "\t", "   realm-before=x, "] {
        let registry = Registry::new(Image::new(""), move |request, address| {
            if request.path.starts_with("/token") {
                return json(r#"{"access_token": "t", "token": "t"}"#);
            }
            let challenge = format!("Bearer{between}realm=\"http://{address}/token\",service=s");
            wants(request, "t", challenge)
        });
        registry.pull(password()).unwrap();
        let token = registry
            .asked()
            .into_iter()
            .find(|request| request.path.starts_with("/token"));
        let token = token.unwrap();
        assert_eq!(token.authorization.as_deref(), Some("Basic bWU6c2VjcmV0"));
        assert_eq!(token.path, "/token?service=s&scope=repository%3Ax%3Apull");
    }
}

#[test]
fn an_identity_token_is_a_refresh_token() {
    let registry = Registry::new(Image::new(""), |request, address| {
        if request.path == "/token" {
            let granted = request.method == "POST"
                && request.authorization.is_none()
                && request.body.contains("grant_type=refresh_token")
                && request.body.contains("refresh_token=idt%2F1")
                && request.body.contains("scope=repository%3Ax%3Apull")
                && request.body.contains("service=s");
            return match granted {
                true => json(r#"{"access_token": "short"}"#),
                false => Some(("400 Bad Request", String::new(), Vec::new())),
            };
        }
        wants(
            request,
            "short",
            format!("Bearer realm=\"http://{address}/token\",service=\"s\""),
        )
    });
    registry.pull(Login::Token("idt/1".to_owned())).unwrap();
    // Nobody but the realm is given it.
    let others = registry
        .asked()
        .into_iter()
        .filter(|request| request.path != "/token");
    assert!(
        others
            .into_iter()
            .all(|request| !format!("{request:?}").contains("idt"))
    );
}

#[test]
fn a_realm_from_before_oauth_takes_an_identity_token_as_it_did() {
    let registry = Registry::new(Image::new(""), |request, address| {
        if request.path.starts_with("/token") {
            let good = request.method == "GET" && request.authorization.as_deref() == Some("Bearer idt");
            return match good {
                true => json(r#"{"token": "short"}"#),
                false => Some(("405 Method Not Allowed", String::new(), Vec::new())),
            };
        }
        wants(
            request,
            "short",
            format!("Bearer realm=\"http://{address}/token\""),
        )
    });
    registry.pull(Login::Token("idt".to_owned())).unwrap();
}

#[test]
fn a_registry_may_know_no_head() {
    for status in [
        "405 Method Not Allowed",
        "501 Not Implemented",
        "403 Forbidden",
        "404 Not Found",
    ] {
        let registry = Registry::new(Image::new(""), move |request, _| {
            (request.method == "HEAD").then(|| (status, String::new(), Vec::new()))
        });
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        registry.pull_into(&store, Login::None).unwrap();
        // The second time asks for the digest alone.
        let again = registry.pull_into(&store, Login::None).unwrap();
        assert!(matches!(again, Pulled::Unchanged(_)), "{status}");
        assert!(
            registry.asked().iter().any(|request| request.method == "HEAD"),
            "{status}"
        );
    }
}

#[test]
fn a_realm_leads_to_no_address_for_special_purposes() {
    for (case, realm) in [
        ("realm.metadata", "http://169.254.169.254/latest/meta-data/"),
        ("realm.metadata-mapped", "http://[::ffff:169.254.169.254]/"),
        ("realm.metadata-shared", "https://100.100.100.200/"),
        ("realm.link-local", "https://[fe80::1]/token"),
    ] {
        let registry = Registry::new(Image::new(""), move |request, _| {
            wants(request, "t", format!("Bearer realm=\"{realm}\""))
        });
        registry.refused(password(), "refused to connect to");
        assert!(registry.asked().len() == 1, "{case}");
        banger_cases::refused("registry", case);
    }
}

#[test]
fn redirections_and_other_places_of_layers_are_not_followed_inside() {
    let registry = Registry::new(Image::new(""), |request, _| {
        let to = "Location: http://169.254.169.254/x\r\n".to_owned();
        request
            .path
            .contains("/blobs/")
            .then(|| ("307 Temporary Redirect", to, Vec::new()))
    });
    registry.refused(Login::None, "refused to connect to");
    banger_cases::refused("registry", "redirect.metadata");

    let urls = r#", "urls": ["http://169.254.169.254/layer"]"#;
    let image = Image::new(urls);
    let layer = image.layer.digest.clone();
    let registry = Registry::new(image, move |request, _| {
        request
            .path
            .ends_with(&layer)
            .then(|| ("404 Not Found", String::new(), Vec::new()))
    });
    registry.refused(Login::None, "refused to connect to");
    banger_cases::refused("registry", "foreign-layer.metadata");
}
