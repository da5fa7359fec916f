//! One repository of a registry, over HTTP: the OCI distribution specification (`spec.md`, "Pull"), and the distribution
//! project's "Token Authentication Specification".
//!
//! Who we are is told when a server wants to know it, and to that server alone. All that it sends is bounded where it is
//! read, but for blobs, which go on as they come to whoever counts their bytes.

use std::sync::{PoisonError, RwLock};

use banger_fetch::{Reach, content_range, shown};
use banger_logins::Login;
use banger_store::Digest;
use oci_spec::distribution::Reference;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::answer::{Answer, whole};
use crate::challenge::challenges;
use crate::mismatch::Mismatch;
use crate::verified::LONGEST;

/// The kinds of manifests that are understood.
pub(crate) const MANIFESTS: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The header in which a registry says the digest of a manifest.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The longest answer with a token.
const LONGEST_TOKEN: u64 = 1 << 20;

/// A repository.
#[derive(Debug)]
pub(crate) struct Repository {
    client: Client,
    /// Where the registry may lead us.
    reach: Reach,
    reference: Reference,
    plain: bool,
    login: Login,
    /// What is told with every request.
    told: RwLock<Told>,
}

/// What a server is told of who asks.
#[derive(Debug, Clone)]
enum Told {
    Nothing,
    Password,
    Token(String),
}

impl Repository {
    /// That of a reference, by HTTPS unless it is `plain`.
    pub(crate) fn new(client: Client, reach: Reach, reference: Reference, plain: bool, login: Login) -> Self {
        Self {
            client,
            reach,
            reference,
            plain,
            login,
            told: RwLock::new(Told::Nothing),
        }
    }

    pub(crate) const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The digest that the registry says of the manifest that the reference leads to, in the head of an answer.
    pub(crate) async fn said_digest(&self) -> Result<Option<String>, Answer> {
        let url = self.manifest_url(None)?;
        let response = self.ask(&Method::HEAD, &url, &[accepting()]).await?;
        Ok(said_digest(response.headers()))
    }

    /// The digest of the manifest that the reference leads to.
    pub(crate) async fn digest(&self) -> Result<String, Answer> {
        // Some registries, and proxies before them, know no HEAD; what they say of a GET is what counts.
        let said = match self.said_digest().await {
            Ok(said) => said,
            Err(answer) if answer.is_refusal() && !answer.may_pass() => None,
            Err(answer) => return Err(answer),
        };
        match said {
            Some(digest) => Ok(digest),
            None => Ok(self.manifest(None).await?.1),
        }
    }

    /// A manifest as it came, and its digest: that of `digest`, or of the reference.
    pub(crate) async fn manifest(&self, digest: Option<&str>) -> Result<(Vec<u8>, String), Answer> {
        let url = self.manifest_url(digest)?;
        let response = self.ask(&Method::GET, &url, &[accepting()]).await?;
        let said = said_digest(response.headers());
        let bytes = whole(response, LONGEST).await?;
        let got = Digest::of(Sha256::new_with_prefix(&bytes));
        let wanted = digest.or_else(|| self.reference.digest());
        for wanted in [wanted, said.as_deref()].into_iter().flatten() {
            // Of another kind, it is refused by whoever reads what it names, or just what the registry says.
            let Some(wanted) = wanted.strip_prefix("sha256:").and_then(|hex| hex.parse().ok()) else {
                continue;
            };
            if wanted != got {
                return Err(Answer::Mismatch {
                    url: shown(&url),
                    source: Mismatch::Digest { wanted, got },
                });
            }
        }
        Ok((bytes, format!("sha256:{got}")))
    }

    /// A blob from its byte `at` on, as far as the server can begin there: also how much of the answer comes before.
    /// Where the registry has it not, `elsewhere` is asked, and told nothing of us.
    pub(crate) async fn blob(
        &self,
        digest: &str,
        at: u64,
        elsewhere: &[String],
    ) -> Result<(Response, u64), Answer> {
        let range = format!("bytes={at}-");
        let headers: &[_] = match at {
            0 => &[],
            _ => &[(header::RANGE, range)],
        };
        let url = self.url(&format!("blobs/{digest}"))?;
        let mut asked = self.ask(&Method::GET, &url, headers).await;
        for place in elsewhere.iter().filter(|place| place.starts_with("http")) {
            if asked.is_ok() {
                break;
            }
            let place: Url = place.parse().map_err(|_| Answer::Url(place.clone()))?;
            self.may_lead_to(&place)?;
            asked = answered(with(self.client.get(place.clone()), headers), &place).await;
            asked = good(asked?).await;
        }
        let response = asked?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok((response, at));
        }
        let range = response.headers().get(header::CONTENT_RANGE);
        match range.and_then(|range| content_range(range.to_str().ok()?)) {
            Some((start, _)) if start == at => Ok((response, 0)),
            _ => Err(Answer::Range {
                url: shown(response.url()),
            }),
        }
    }

    fn manifest_url(&self, digest: Option<&str>) -> Result<Url, Answer> {
        let reference = &self.reference;
        let name = digest.or_else(|| reference.digest());
        let name = name.or_else(|| reference.tag()).unwrap_or("latest");
        self.url(&format!("manifests/{name}"))
    }

    fn url(&self, part: &str) -> Result<Url, Answer> {
        let reference = &self.reference;
        let scheme = if self.plain { "http" } else { "https" };
        let host = reference.resolve_registry();
        let text = format!("{scheme}://{host}/v2/{}/{part}", reference.repository());
        let mut url: Url = text.parse().map_err(|_| Answer::Url(text))?;
        // Mirrors of several registries want to know of which it is.
        if let Some(namespace) = reference.namespace() {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Ok(url)
    }

    /// Asks, and logs in when that is wanted and asks again.
    async fn ask(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(HeaderName, String)],
    ) -> Result<Response, Answer> {
        let request = |told: &Told| {
            let request = with(self.client.request(method.clone(), url.clone()), headers);
            match (told, &self.login) {
                (Told::Token(token), _) => request.bearer_auth(token),
                (Told::Password, Login::Password { name, password }) => {
                    request.basic_auth(name, Some(password))
                }
                _ => request,
            }
        };
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner).clone();
        let response = answered(request(&told), url).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return good(response).await;
        }
        let Some(told) = self.log_in(response.headers()).await? else {
            return good(response).await;
        };
        let response = answered(request(&told), url).await?;
        *self.told.write().unwrap_or_else(PoisonError::into_inner) = told;
        good(response).await
    }

    /// Does what the challenges of an answer want, as far as we can.
    async fn log_in(&self, headers: &HeaderMap) -> Result<Option<Told>, Answer> {
        let mut takes_passwords = false;
        let texts = headers.get_all(header::WWW_AUTHENTICATE).iter();
        for challenge in texts.flat_map(|text| challenges(text.to_str().unwrap_or_default())) {
            if challenge.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = challenge.parameter("realm")
            {
                let service = challenge.parameter("service");
                return self.token(realm, service).await.map(Some);
            }
            takes_passwords |= challenge.scheme.eq_ignore_ascii_case("basic");
        }
        Ok(match &self.login {
            Login::Password { .. } if takes_passwords => Some(Told::Password),
            // Who gives no realm takes the token itself.
            Login::Token(token) => Some(Told::Token(token.clone())),
            _ => None,
        })
    }

    /// Refuses what the registry may not lead us to.
    fn may_lead_to(&self, url: &Url) -> Result<(), Answer> {
        self.reach.check(url).map_err(|source| Answer::LedAway {
            url: shown(url),
            source,
        })
    }

    /// A token of a realm that the registry named, for this repository.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<Told, Answer> {
        let url: Url = realm.parse().map_err(|_| Answer::Url(realm.to_owned()))?;
        self.may_lead_to(&url)?;
        let has_secret = !matches!(self.login, Login::None);
        if has_secret && url.scheme() != "https" && !self.plain {
            return Err(Answer::UnsafeRealm { realm: shown(&url) });
        }
        let scope = format!("repository:{}:pull", self.reference.repository());
        if let Login::Token(token) = &self.login {
            let refreshed = self.refreshed(&url, token, service, &scope).await;
            match refreshed {
                // Realms of before OAuth 2 know GET alone.
                Err(Answer::Refused { status, .. }) if is_no_method(status) => {}
                refreshed => return refreshed,
            }
        }
        let mut url = url;
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", &scope);
        let mut request = self.client.get(url.clone());
        match &self.login {
            Login::Password { name, password } => request = request.basic_auth(name, Some(password)),
            Login::Token(token) => request = request.bearer_auth(token),
            Login::None => {}
        }
        self.given(request, &url).await
    }

    /// A token for an identity token, as `docker login` and credential helpers keep it (the distribution project's "OAuth2
    /// Token Authentication").
    async fn refreshed(
        &self,
        url: &Url,
        token: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Told, Answer> {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("client_id", "banger"),
            ("scope", scope),
            ("refresh_token", token),
        ];
        form.extend(service.map(|service| ("service", service)));
        let request = self.client.post(url.clone()).form(&form);
        self.given(request, url).await
    }

    async fn given(&self, request: RequestBuilder, url: &Url) -> Result<Told, Answer> {
        let response = good(answered(request, url).await?).await?;
        let body = whole(response, LONGEST_TOKEN).await?;
        let token: Token = serde_json::from_slice(&body).map_err(|source| Answer::Token {
            url: shown(url),
            source,
        })?;
        token
            .token
            .or(token.access_token)
            .map(Told::Token)
            .ok_or_else(|| Answer::NoToken { url: shown(url) })
    }
}

/// Whether a server says that it does not know the method there.
fn is_no_method(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

/// What a token comes in; some realms give it by both names.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

fn accepting() -> (HeaderName, String) {
    (header::ACCEPT, MANIFESTS.join(", "))
}

fn with(request: RequestBuilder, headers: &[(HeaderName, String)]) -> RequestBuilder {
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value))
}

async fn answered(request: RequestBuilder, url: &Url) -> Result<Response, Answer> {
    request
        .send()
        .await
        .map_err(|source| Answer::unanswered(url, source))
}

async fn good(response: Response) -> Result<Response, Answer> {
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        _ => Err(Answer::refused(response).await),
    }
}

fn said_digest(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(CONTENT_DIGEST)?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_fetch::{Limits, Trust, Waiting, client};

    /// What a secret of `login` would be sent to, when a registry that was reached over TLS names this realm.
    fn named(realm: &str, login: Login) -> Answer {
        let reference: Reference = "registry.example/x".parse().unwrap();
        let client_of = client("registry.example", Limits::default(), &Trust::host())
            .build()
            .unwrap();
        let reach = Reach::of("registry.example");
        let repository = Repository::new(client_of, reach, reference, false, login);
        let waiting = Waiting::new(tokio_util::sync::CancellationToken::new()).unwrap();
        let told = waiting.wait(repository.token(realm, None)).unwrap();
        told.err().unwrap()
    }

    #[test]
    fn a_realm_without_tls_is_sent_no_secret() {
        let password = || Login::Password {
            name: "me".to_owned(),
            password: "secret".to_owned(),
        };
        for realm in [
            "http://registry.example/token",
            "http://203.0.113.7/token",
            "ftp://registry.example/",
        ] {
            for (case, login) in [("password", password()), ("token", Login::Token("t".to_owned()))] {
                let answer = named(realm, login);
                assert!(matches!(answer, Answer::UnsafeRealm { .. }), "{realm}: {answer}");
                let scheme = realm.split(':').next().unwrap_or_default();
                banger_cases::refused("registry", &format!("realm.{scheme}.{case}"));
            }
        }
    }
}
