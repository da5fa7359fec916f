//! Requests of routes: what a route's type says is filled with values of its types.

use std::marker::PhantomData;

use bytes::Bytes as Chunk;
use futures_util::TryStreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Request, header};
use serde::Serialize;

use crate::routes::body::{Bytes, Json};
use crate::routes::{Body as _, Query, Reply, Route, parameter_count};

/// A body that is sent.
pub(super) type Body = BoxBody<Chunk, std::io::Error>;

/// A request of the route `R`.
pub(super) struct Call<R> {
    path: String,
    body: Body,
    protocol: Option<&'static str>,
    route: PhantomData<R>,
}

/// Begins requests: `GetVm.at(["web"])`.
pub(super) trait At: Route {
    /// A request of this route, with these names in its path.
    fn at<const N: usize>(self, names: [&str; N]) -> Call<Self> {
        const {
            assert!(
                N == parameter_count(Self::PATH),
                "the path has another number of names"
            );
        }
        Call {
            path: filled(Self::PATH, &names),
            body: whole(Vec::new()),
            protocol: Self::Reply::UPGRADES.first().copied(),
            route: PhantomData,
        }
    }
}

impl<R: Route> At for R {}

impl<R: Route> Call<R> {
    /// The same with a query.
    pub(super) fn query(mut self, query: &R::Query) -> Self {
        let query = query.to_query();
        if !query.is_empty() {
            self.path = format!("{}?{query}", self.path);
        }
        self
    }

    /// The same for a client that takes no descriptor.
    pub(super) fn relayed(mut self) -> Self {
        self.protocol = R::Reply::UPGRADES.last().copied();
        self
    }

    /// The request as HTTP has it.
    pub(super) fn request(self) -> Request<Body> {
        let mut request = Request::builder()
            .method(R::METHOD.as_str())
            .uri(self.path)
            .header(header::HOST, "bangerd");
        if let Some(content_type) = R::Body::CONTENT_TYPE {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Some(protocol) = self.protocol {
            request = request
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, protocol);
        }
        request.body(self.body).expect("paths of the API are encoded")
    }
}

impl<R: Route<Body = Json<B>>, B: Serialize> Call<R> {
    /// The same with a body.
    pub(super) fn json(mut self, body: &B) -> Self {
        self.body = whole(serde_json::to_vec(body).expect("API types have only string keys"));
        self
    }
}

impl<R: Route<Body = Bytes<W>>, W> Call<R> {
    /// The same with a body.
    pub(super) fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = whole(body);
        self
    }

    /// The same with a body of chunks as they come.
    pub(super) fn chunks(
        mut self,
        chunks: impl futures_util::Stream<Item = std::io::Result<Chunk>> + Send + Sync + 'static,
    ) -> Self {
        self.body = BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data)));
        self
    }
}

fn whole(bytes: Vec<u8>) -> Body {
    Full::new(Chunk::from(bytes))
        .map_err(|never| match never {})
        .boxed()
}

/// A path with names in place of its parameters.
fn filled(path: &str, names: &[&str]) -> String {
    let mut names = names.iter();
    let segments = path.split('/').map(|part| {
        if part.starts_with('{') {
            names.next().map(|name| segment(name)).unwrap_or_default()
        } else {
            part.to_owned()
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A segment of a path, percent-encoded (RFC 3986, section 2.1).
fn segment(text: &str) -> String {
    banger_guest_api::query::encoded(text.as_bytes()).replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{CopyFilesIn, ExecVm, GetSession, GetVm, GetVmLog, ListVms};
    use crate::{LogQuery, LogSource};
    use banger_guest_api::PutFiles;

    #[test]
    fn names_stay_in_their_segment() {
        let uri = |request: Request<Body>| request.uri().to_string();
        assert_eq!(uri(ListVms.at([]).request()), "/v1/vms");
        assert_eq!(uri(GetVm.at(["../a?b#c"]).request()), "/v1/vms/..%2Fa%3Fb%23c");
        assert_eq!(
            uri(GetSession.at(["web", "a b"]).request()),
            "/v1/vms/web/sessions/a%20b"
        );
    }

    #[test]
    fn queries_and_protocols_go_along() {
        let query = LogQuery {
            source: LogSource::Vmm,
            follow: true,
        };
        let request = GetVmLog.at(["web"]).query(&query).request();
        assert_eq!(request.uri(), "/v1/vms/web/logs?source=vmm&follow=true");
        let put = PutFiles {
            path: b"/a b\xff".to_vec(),
            ..PutFiles::default()
        };
        let request = CopyFilesIn.at(["web"]).query(&put).request();
        assert_eq!(request.uri(), "/v1/vms/web/files?path=/a%20b%FF");
        assert_eq!(request.headers()[header::UPGRADE], "handed_over_v1");
        let request = ExecVm.at(["web"]).request();
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers()[header::CONNECTION], "upgrade");
    }
}
