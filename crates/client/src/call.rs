//! Requests of routes: what a route's type says is filled with values of its types.

use std::marker::PhantomData;

use banger_api::routes::body::{Bytes, Json};
use banger_api::routes::{Body as _, Query, Reply, Route, parameter_count};
use banger_guest_api::query::segment;
use banger_wire::{Body, ask_to_switch, chunks, empty, json, whole};
use bytes::Bytes as Chunk;
use http::{Request, header};
use serde::Serialize;

/// A request of the route `R`.
pub(crate) struct Call<R> {
    path: String,
    body: Body,
    protocol: Option<&'static str>,
    route: PhantomData<R>,
}

/// Begins requests: `GetVm.at(["web"])`.
pub(crate) trait At: Route {
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
            body: empty(),
            protocol: Self::Reply::UPGRADES.first().copied(),
            route: PhantomData,
        }
    }
}

impl<R: Route> At for R {}

impl<R: Route> Call<R> {
    /// The same with a query.
    pub(crate) fn query(mut self, query: &R::Query) -> Self {
        let query = query.to_query();
        if !query.is_empty() {
            self.path = format!("{}?{query}", self.path);
        }
        self
    }

    /// The same for a client that takes no descriptor.
    pub(crate) fn relayed(mut self) -> Self {
        self.protocol = R::Reply::UPGRADES.last().copied();
        self
    }

    /// The request as HTTP has it.
    pub(crate) fn request(self) -> Request<Body> {
        let mut request = Request::builder()
            .method(R::METHOD.as_str())
            .uri(self.path)
            .header(header::HOST, "bangerd");
        if let Some(content_type) = R::Body::CONTENT_TYPE {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let mut request = request.body(self.body).expect("paths of the API are encoded");
        if let Some(protocol) = self.protocol {
            ask_to_switch(&mut request, protocol);
        }
        request
    }
}

impl<R: Route<Body = Json<B>>, B: Serialize> Call<R> {
    /// The same with a body.
    pub(crate) fn json(mut self, body: &B) -> Self {
        self.body = json(body);
        self
    }
}

impl<R: Route<Body = Bytes<W>>, W> Call<R> {
    /// The same with a body.
    pub(crate) fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = whole(body);
        self
    }

    /// The same with a body of chunks as they come.
    pub(crate) fn chunks(
        mut self,
        body: impl futures_util::Stream<Item = std::io::Result<Chunk>> + Send + Sync + 'static,
    ) -> Self {
        self.body = chunks(body);
        self
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use banger_api::routes::{CopyFilesIn, ExecVm, GetSession, GetVm, GetVmLog, ListVms};
    use banger_api::{LogQuery, LogSource};
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
            ..LogQuery::default()
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
