//! What a registry does instead of giving what it is asked for, and the bounded reading of what it sends.

use banger_fetch::{Refused, shown};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::mismatch::Mismatch;

/// The longest words of a server that are read when it refuses something.
const LONGEST_WORDS: u64 = 64 << 10;

/// Why a registry has not given something. URLs are shown without what may be secret in them.
#[derive(Debug, thiserror::Error)]
pub enum Answer {
    /// There was no answer.
    #[error("failed to request {url}")]
    Unanswered {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer broke off.
    #[error("failed to read {url}")]
    Broken {
        /// What was read.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It ended too early.
    #[error("{url} ended after {got} of {wanted} bytes")]
    Cut {
        /// What was read.
        url: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that there should be.
        wanted: u64,
    },
    /// The answer was another one than the thing itself.
    #[error("{url} answered with {status}{}", words.as_ref().map(|words| format!(": {words}")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        url: String,
        /// The status.
        status: StatusCode,
        /// The codes of the specification's error document, if one came (`spec.md`, "Error Codes").
        codes: Vec<String>,
        /// What the server said.
        words: Option<String>,
    },
    /// It wants to know who asks, and what it was told does not do.
    #[error("access to {url} was denied: a login with permission is required")]
    Unauthorized {
        /// What was asked for.
        url: String,
    },
    /// A token must be asked for without TLS, which would tell everyone the password.
    #[error("the login server {realm} of the registry does not use TLS")]
    UnsafeRealm {
        /// Where tokens are given.
        realm: String,
    },
    /// The registry leads us where it may not.
    #[error("the registry refers to {url} for a login or a layer")]
    LedAway {
        /// Where to.
        url: String,
        /// Why not.
        #[source]
        source: Refused,
    },
    /// The realm's answer has no token in it.
    #[error("{url} answered without a token")]
    NoToken {
        /// Who was asked.
        url: String,
    },
    /// What should be a token is none.
    #[error("failed to parse the token from {url}")]
    Token {
        /// Who gave it.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It is longer than anything of its kind.
    #[error("{url} is larger than {most} bytes")]
    TooLong {
        /// What was read.
        url: String,
        /// The bound.
        most: u64,
    },
    /// It is not what was asked for by its digest, or not what the registry says it is.
    #[error("failed to read {url}")]
    Mismatch {
        /// What was read.
        url: String,
        /// In what it differs.
        #[source]
        source: Mismatch,
    },
    /// The part of a blob is another than was asked for.
    #[error("{url} answered with another range than requested")]
    Range {
        /// What was asked for.
        url: String,
    },
    /// It cannot be asked for.
    #[error("invalid URL `{0}`")]
    Url(String),
}

/// The document of an error (the distribution specification's `spec.md`, "Error Codes").
#[derive(Debug, Deserialize)]
struct Envelope {
    errors: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    code: String,
    #[serde(default)]
    message: String,
}

impl Answer {
    /// Of a request without an answer.
    pub(crate) fn unanswered(url: &reqwest::Url, source: reqwest::Error) -> Self {
        Self::Unanswered {
            url: shown(url),
            source: source.without_url(),
        }
    }

    /// Of an answer that broke off.
    pub(crate) fn broken(url: &reqwest::Url, source: reqwest::Error) -> Self {
        Self::Broken {
            url: shown(url),
            source: source.without_url(),
        }
    }

    /// Of an answer that is not the thing itself, with the server's words.
    pub(crate) async fn refused(response: Response) -> Self {
        let url = shown(response.url());
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Self::Unauthorized { url };
        }
        // Without its words the status has to do.
        let body = whole(response, LONGEST_WORDS).await.unwrap_or_default();
        let (codes, words) = match serde_json::from_slice::<Envelope>(&body) {
            Ok(envelope) => envelope
                .errors
                .into_iter()
                .map(|fault| (fault.code, fault.message))
                .unzip(),
            Err(_) => (Vec::new(), vec![String::from_utf8_lossy(&body).into_owned()]),
        };
        let words = words.join("; ");
        let words: String = words.chars().filter(|c| !c.is_control()).take(300).collect();
        Self::Refused {
            url,
            status,
            codes,
            words: Some(words).filter(|words| !words.trim().is_empty()),
        }
    }

    /// Whether there was no connection, or none that is understood.
    pub(crate) const fn is_silence(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }

    /// Whether the server answered that it does not give it.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether the registry led us where it may not.
    pub(crate) fn is_led_away(&self) -> bool {
        Refused::is_in(self)
    }

    /// Whether this is that there is no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        let Self::Refused { status, codes, .. } = self else {
            return false;
        };
        let missing = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"];
        *status == StatusCode::NOT_FOUND || codes.iter().any(|code| missing.contains(&&**code))
    }

    /// Whether this is what a server that wants TLS tells those who speak plain HTTP. A registry's own faults have a code
    /// in JSON.
    pub(crate) fn wants_tls(&self) -> bool {
        matches!(self, Self::Refused { status, codes, .. } if *status == StatusCode::BAD_REQUEST && codes.is_empty())
    }

    /// Whether the same question may have another answer later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            // A connection that is refused, or not TLS, will be so again.
            Self::Unanswered { source, .. } => !source.is_connect() && !source.is_builder(),
            Self::Broken { .. } | Self::Cut { .. } => true,
            Self::Refused { status, codes, .. } => {
                status.as_u16() == 429
                    || status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED
                    || codes.iter().any(|code| code == "TOOMANYREQUESTS")
            }
            _ => false,
        }
    }
}

/// Reads all of an answer, which may have so many bytes at most. No more than these are ever kept.
pub(crate) async fn whole(mut response: Response, most: u64) -> Result<Vec<u8>, Answer> {
    let url = response.url().clone();
    let too_long = || Answer::TooLong {
        url: shown(&url),
        most,
    };
    if response.content_length().is_some_and(|length| length > most) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|source| Answer::broken(&url, source))?
    {
        if (bytes.len() + chunk.len()) as u64 > most {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
