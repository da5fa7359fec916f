//! The description of the API for other clients, from the table of [`crate::routes`]: OpenAPI 3.1, and a page for people.

mod plain;
mod schemas;
mod table;

use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, LicenseBuilder, OpenApiBuilder, Paths, RefOr, Required,
    Response, ResponseBuilder, ServerBuilder,
};

use crate::routes::{self, Body, Method, Query, Reply, Route, parameters};

pub(crate) use plain::plain_alone;
pub use schemas::Schemas;
pub(crate) use schemas::{bytes, event_stream, list_of, null};
pub use table::table;

const DESCRIPTION: &str = "banger's daemon. It serves HTTP/1.1 on the Unix socket `bangerd.sock`; only its user may connect. \
    Every failure has a status of 4xx or 5xx and an `ErrorBody`. Long work answers with server-sent events, or with \
    its result alone where the client accepts `application/json` and no events. `docs/protocol.md` describes all that is \
    not JSON.";

/// A route as the documents have it.
pub(crate) struct Described {
    method: Method,
    path: &'static str,
    operation: Operation,
    /// What it takes and answers, for people.
    takes: Vec<String>,
    answers: String,
}

impl Described {
    /// Describes a route.
    pub(crate) fn of<R: Route>(schemas: &mut Schemas) -> Self {
        let query = R::Query::parameters(schemas);
        let takes = query.iter().map(|parameter| format!("`?{}`", parameter.name));
        let takes = takes
            .chain([R::Body::shown()])
            .filter(|text| !text.is_empty())
            .collect();
        let in_path = parameters(R::PATH).map(path_parameter);
        let in_header = upgrade_parameter(R::Reply::UPGRADES);
        let all: Vec<Parameter> = in_path.chain(query).chain(in_header).collect();
        let operation = OperationBuilder::new()
            .operation_id(Some(R::OPERATION_ID))
            .tag(tag(R::PATH))
            .summary(Some(R::SUMMARY.trim_end_matches('.')))
            .description(Some(R::DESCRIPTION).filter(|text| !text.is_empty()))
            .parameters(Some(all).filter(|all| !all.is_empty()))
            .request_body(body::<R>(schemas))
            .response(R::Reply::STATUS.to_string(), reply::<R>(schemas))
            .response("default", failure());
        Self {
            method: R::METHOD,
            path: R::PATH,
            operation: operation.build(),
            takes,
            answers: R::Reply::shown(),
        }
    }
}

/// The OpenAPI document, as JSON.
pub fn document() -> String {
    let mut schemas = Schemas::default();
    schemas.named::<crate::ErrorBody>();
    let mut paths = Paths::new();
    for route in routes::described(&mut schemas) {
        paths.add_path_operation(route.path, vec![http_method(route.method)], route.operation);
    }
    let license = LicenseBuilder::new()
        .name(env!("CARGO_PKG_LICENSE"))
        .identifier(Some(env!("CARGO_PKG_LICENSE")))
        .build();
    let info = InfoBuilder::new()
        .title("bangerd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    let server = ServerBuilder::new()
        .url("http://bangerd")
        .description(Some("Any host: what counts is the Unix socket"))
        .build();
    let components = schemas
        .into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, schema)| {
            components.schema(name, schema)
        });
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([server]))
        .paths(paths)
        .components(Some(components.build()))
        .build()
        .to_pretty_json()
        .expect("the document has only string keys")
}

/// What a path is of: `vm`, `image`.
fn tag(path: &str) -> String {
    let first = path.split('/').nth(2).unwrap_or_default();
    first.trim_end_matches('s').trim_end_matches(".json").to_owned()
}

fn http_method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

fn path_parameter(name: &str) -> Parameter {
    let what = if name == "vm" { "VM" } else { name };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(format!("The name of the {what}")))
        .schema(Some(text()))
        .build()
}

fn upgrade_parameter(protocols: &[&str]) -> Option<Parameter> {
    if protocols.is_empty() {
        return None;
    }
    let parameter = ParameterBuilder::new()
        .name("Upgrade")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(
            "The protocol that follows on the connection; `Connection: upgrade` goes with it",
        ))
        .schema(Some(text().enum_values(Some(protocols.iter().copied()))));
    Some(parameter.build())
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn body<R: Route>(schemas: &mut Schemas) -> Option<RequestBody> {
    let (content_type, schema) = (R::Body::CONTENT_TYPE?, R::Body::schema(schemas)?);
    let is_required = R::Body::is_required();
    let body = RequestBodyBuilder::new()
        .content(content_type, Content::new(Some(schema)))
        .required(Some(if is_required {
            Required::True
        } else {
            Required::False
        }))
        .build();
    Some(body)
}

fn reply<R: Route>(schemas: &mut Schemas) -> Response {
    let contents: Vec<(&str, RefOr<Schema>)> = R::Reply::contents(schemas);
    let description = if !R::Reply::UPGRADES.is_empty() {
        "The connection speaks the protocol that `Upgrade` named from here on: see docs/protocol.md"
            .to_owned()
    } else if contents.is_empty() {
        "It is done; there is no body".to_owned()
    } else {
        R::Reply::shown()
    };
    let response = ResponseBuilder::new().description(description);
    contents
        .into_iter()
        .fold(response, |response, (content_type, schema)| {
            response.content(content_type, Content::new(Some(schema)))
        })
        .build()
}

fn failure() -> Response {
    ResponseBuilder::new()
        .description("Why it failed")
        .content(
            "application/json",
            Content::new(Some(Schemas::reference("ErrorBody"))),
        )
        .build()
}

#[cfg(test)]
mod tests;
