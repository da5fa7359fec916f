//! Handlers for routes: a handler fits a route when its arguments and its answer are those that the route's type has.
//!
//! axum takes any handler at any path. Here one that reads another body or query than the API's description says, or answers with
//! another type, does not compile.

use axum::Json;
use axum::body::{Body as AxumBody, Bytes as AxumBytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};
use banger_api::routes::body::{Bytes, Json as JsonBody};
use banger_api::routes::reply::{Accepted, List, NoContent};
use banger_api::routes::{Method, Reply, Route, parameter_count};

use super::answer::{Asked, Body, Refused};
use super::{App, alone};

/// A route that has a handler.
pub(super) trait Served: Route {
    /// The handler, for the route's method.
    fn method_router() -> MethodRouter<App>;
}

/// The handler of a route.
pub(super) fn on<R, T, H>(handler: H) -> MethodRouter<App>
where
    R: Route,
    T: 'static,
    H: Handler<T, App> + Fits<R, T>,
{
    const {
        let taken = <H as Fits<R, T>>::PARAMETERS;
        assert!(
            taken == 0 || taken == parameter_count(R::PATH),
            "the handler takes another number of names from the path than the route has"
        );
    }
    let served = axum::routing::on(filter(R::METHOD), handler);
    if R::Reply::IS_WORK {
        served.layer(middleware::from_fn(alone::as_accepted))
    } else {
        served
    }
}

const fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    }
}

/// A handler with these arguments that does what a route says.
pub(super) trait Fits<R, T> {
    /// How many names of the path it takes.
    const PARAMETERS: usize;
}

/// An argument of a handler of a route.
pub(super) trait Takes<R> {
    /// How many names of the path it takes.
    const PARAMETERS: usize = 0;
}

/// An answer of a handler, for a route with this reply. A [`Response`] may be anything.
pub(super) trait Gives<R> {}

impl<R, F, Fut> Fits<R, ((),)> for F
where
    R: Route,
    F: FnOnce() -> Fut,
    Fut: Future<Output: Gives<R::Reply>>,
{
    const PARAMETERS: usize = 0;
}

macro_rules! fits {
    ($($argument:ident),+) => {
        impl<R, F, Fut, M, $($argument),+> Fits<R, (M, $($argument,)+)> for F
        where
            R: Route,
            F: FnOnce($($argument),+) -> Fut,
            Fut: Future<Output: Gives<R::Reply>>,
            $($argument: Takes<R>),+
        {
            const PARAMETERS: usize = 0 $(+ <$argument as Takes<R>>::PARAMETERS)+;
        }
    };
}

fits!(A);
fits!(A, B);
fits!(A, B, C);
fits!(A, B, C, D);

impl<R> Takes<R> for State<App> {}
impl<R> Takes<R> for Request {}
impl<R> Takes<R> for RawQuery {}
impl<R, W> Takes<R> for AxumBody where R: Route<Body = Bytes<W>> {}
impl<R, W> Takes<R> for AxumBytes where R: Route<Body = Bytes<W>> {}
impl<R, B> Takes<R> for Body<B> where R: Route<Body = JsonBody<B>> {}
impl<R, Q> Takes<R> for Asked<Q> where R: Route<Query = Q> {}

impl<R> Takes<R> for Path<String> {
    const PARAMETERS: usize = 1;
}

impl<R> Takes<R> for Path<(String, String)> {
    const PARAMETERS: usize = 2;
}

impl<R> Gives<R> for Response {}
impl<T> Gives<JsonBody<T>> for Json<T> {}
impl<T> Gives<List<T>> for Json<Vec<T>> {}
impl Gives<NoContent> for StatusCode {}
impl Gives<Accepted> for StatusCode {}
impl<R, T: Gives<R>> Gives<R> for Result<T, Refused> {}
