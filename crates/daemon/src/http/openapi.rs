//! The OpenAPI document, from the types that the API speaks.

mod routes;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, PathItem, PathsBuilder, Ref, Required, ResponseBuilder, ResponsesBuilder,
};

use self::routes::{Out, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "bangerd",
        description = "banger's daemon, on its Unix socket. Long work answers with server-sent \
        events: `progress`, then `done` with the result or `error` with an ErrorBody."
    ),
    components(schemas(
        banger_api::Aspect,
        banger_api::AvailableImage,
        banger_api::AvailableImages,
        banger_api::AvailableKernel,
        banger_api::AvailableKernels,
        banger_api::Catalog,
        banger_api::CatalogAdd,
        banger_api::CatalogFailure,
        banger_api::CatalogImage,
        banger_api::CatalogKernel,
        banger_api::Check,
        banger_api::CheckStatus,
        banger_api::Compression,
        banger_api::DaemonStop,
        banger_api::DifferenceKind,
        banger_api::DoctorReport,
        banger_api::EgressGap,
        banger_api::EgressQuery,
        banger_api::ErrorBody,
        banger_api::FlowVerdict,
        banger_api::ForwardAdd,
        banger_api::ForwardRemove,
        banger_api::ForwardState,
        banger_api::GuestProcess,
        banger_api::HttpGuess,
        banger_api::Image,
        banger_api::ImageConfig,
        banger_api::ImageDiff,
        banger_api::ImageDifference,
        banger_api::ImageExport,
        banger_api::ImageExported,
        banger_api::ImageImport,
        banger_api::ImageInspection,
        banger_api::ImageOrigin,
        banger_api::ImagePublish,
        banger_api::ImagePull,
        banger_api::RegistryLogin,
        banger_api::ImagePulled,
        banger_api::ImageRegister,
        banger_api::ImageTag,
        banger_api::ImageUpload,
        banger_api::Kernel,
        banger_api::KernelImport,
        banger_api::KernelPublish,
        banger_api::KernelPull,
        banger_api::KernelPulled,
        banger_api::KernelSource,
        banger_api::LogQuery,
        banger_api::LogSource,
        banger_api::Machine,
        banger_api::MachineProcess,
        banger_api::Presence,
        banger_api::Progress,
        banger_api::Prune,
        banger_api::Pruned,
        banger_api::Published,
        banger_api::SigningKey,
        banger_api::SshAccess,
        banger_api::SshStart,
        banger_api::Version,
        banger_api::Vm,
        banger_api::VmCommit,
        banger_api::VmCreate,
        banger_api::VmNetwork,
        banger_api::VmFlow,
        banger_api::VmForward,
        banger_api::VmLearned,
        banger_api::VmPort,
        banger_api::VmRestart,
        banger_api::VmSession,
        banger_api::VmSessionLog,
        banger_api::VmSessionState,
        banger_api::VmSessionUsage,
        banger_api::VmSet,
        banger_api::VmStart,
        banger_api::VmStop,
        banger_api::PulledRef,
        banger_api::Unsaved,
        banger_api::UnsavedWorkspace,
        banger_api::WorkspaceChange,
        banger_api::WorkspaceEntry,
        banger_api::WorkspaceMode,
        banger_api::WorkspaceOmission,
        banger_api::RepositoryConfig,
        banger_api::TrustGrant,
        banger_api::TrustRecord,
        banger_api::TrustRevoke,
        banger_api::TrustState,
        banger_api::WishedImage,
        banger_api::Wishes,
        banger_api::WishesQuery,
        banger_api::WorkspacePlan,
        banger_api::WorkspaceApplied,
        banger_api::WorkspacePulled,
        banger_api::WorkspaceQuery,
        banger_api::WorkspaceReport,
        banger_api::WorkspaceRequest,
        banger_api::WorkspaceStatus,
        banger_model::ErrorCode,
        banger_model::network::FlowRule,
        banger_model::network::NetMode,
        banger_model::Forward,
        banger_model::Phase,
        banger_model::Protocol,
        banger_model::Publish,
        banger_model::Reverse,
        banger_model::Stage,
        banger_model::VmmChoice,
        banger_model::VmmKind,
        banger_model::WaitFor,
    ))
)]
struct Document;

/// The document, as JSON.
pub(crate) fn document() -> String {
    let mut document = Document::openapi();
    let mut paths = PathsBuilder::new();
    for (method, path, summary, body_in, out) in routes() {
        paths = paths.path(
            path,
            PathItem::new(method, operation(path, summary, body_in, &out)),
        );
    }
    document.paths = paths.build();
    document
        .to_pretty_json()
        .expect("the document has only string keys")
}

fn operation(
    path: &str,
    summary: &str,
    body_in: Option<&str>,
    out: &Out,
) -> utoipa::openapi::path::Operation {
    let mut operation = OperationBuilder::new().summary(Some(summary));
    if path.contains("{name}") {
        let name = ParameterBuilder::new()
            .name("name")
            .parameter_in(ParameterIn::Path)
            .required(Required::True);
        operation = operation.parameter(name);
    }
    if path.contains("{session}") {
        let session = ParameterBuilder::new()
            .name("session")
            .parameter_in(ParameterIn::Path)
            .required(Required::True);
        operation = operation.parameter(session);
    }
    if let Some(schema) = body_in {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(schema)))
            .build();
        operation = operation.request_body(Some(
            RequestBodyBuilder::new()
                .content("application/json", content)
                .build(),
        ));
    }
    let (status, response) = match out {
        Out::Json(schema) => ("200", content("application/json", schema)),
        Out::Events(schema) => ("200", content("text/event-stream", schema)),
        Out::Unended => (
            "200",
            ResponseBuilder::new().content("text/event-stream", ContentBuilder::new().build()),
        ),
        Out::Text => (
            "200",
            ResponseBuilder::new().content("text/plain", ContentBuilder::new().build()),
        ),
        Out::Frames => (
            "101",
            ResponseBuilder::new().description("frames of stdio_mux_v1 follow"),
        ),
        Out::Handover => (
            "101",
            ResponseBuilder::new()
                .description("send a byte; a connection to the agent follows as a descriptor"),
        ),
        Out::Unnamed => (
            "200",
            ResponseBuilder::new().content("application/json", ContentBuilder::new().build()),
        ),
        Out::Nothing(status) => (*status, ResponseBuilder::new()),
    };
    let responses = ResponsesBuilder::new()
        .response(status, response.build())
        .response("default", content("application/json", "ErrorBody").build());
    operation.responses(responses.build()).build()
}

fn content(kind: &str, schema: &str) -> ResponseBuilder {
    ResponseBuilder::new().content(
        kind,
        ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(schema)))
            .build(),
    )
}

pub(crate) async fn get() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_in_the_repository_is_this_one() {
        let kept = include_str!("../../../../docs/openapi.json");
        assert!(
            kept == document() + "\n",
            "run `cargo xtask openapi` and commit docs/openapi.json"
        );
    }
}
