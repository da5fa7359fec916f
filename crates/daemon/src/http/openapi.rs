//! The OpenAPI document, from the types that the API speaks.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, HttpMethod, PathItem, PathsBuilder, Ref, Required, ResponseBuilder, ResponsesBuilder,
};

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
        banger_api::DifferenceKind,
        banger_api::DoctorReport,
        banger_api::ErrorBody,
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
        banger_api::Presence,
        banger_api::Progress,
        banger_api::Prune,
        banger_api::Pruned,
        banger_api::Published,
        banger_api::SigningKey,
        banger_api::Version,
        banger_api::Vm,
        banger_api::VmCommit,
        banger_api::VmCreate,
        banger_api::VmNetwork,
        banger_api::VmForward,
        banger_api::VmPort,
        banger_api::VmRestart,
        banger_api::VmSet,
        banger_api::VmStart,
        banger_api::VmStop,
        banger_api::WorkspaceEntry,
        banger_api::WorkspaceOmission,
        banger_api::WorkspacePlan,
        banger_api::WorkspaceReport,
        banger_api::WorkspaceRequest,
        banger_model::ErrorCode,
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

/// How a route answers.
enum Out {
    Json(&'static str),
    Events(&'static str),
    Frames,
    Text,
    Nothing(&'static str),
}

type Route = (HttpMethod, &'static str, &'static str, Option<&'static str>, Out);

/// Method, path, summary, body in, body out.
fn routes() -> Vec<Route> {
    use HttpMethod::{Delete, Get, Patch, Post, Put};
    vec![
        (
            Get,
            "/v1/version",
            "Which daemon answers",
            None,
            Out::Json("Version"),
        ),
        (
            Get,
            "/v1/doctor",
            "Examine the host",
            None,
            Out::Json("DoctorReport"),
        ),
        (
            Post,
            "/v1/daemon/stop",
            "End the daemon; machines run on",
            None,
            Out::Nothing("202"),
        ),
        (Get, "/v1/kernels", "List kernels", None, Out::Json("Kernel")),
        (
            Post,
            "/v1/kernels",
            "Import a kernel",
            Some("KernelImport"),
            Out::Events("Kernel"),
        ),
        (
            Get,
            "/v1/kernels/{name}",
            "Show a kernel",
            None,
            Out::Json("Kernel"),
        ),
        (
            Delete,
            "/v1/kernels/{name}",
            "Remove a kernel",
            None,
            Out::Nothing("204"),
        ),
        (Get, "/v1/catalogs", "List catalogs", None, Out::Json("Catalog")),
        (
            Post,
            "/v1/catalogs",
            "Add a catalog",
            Some("CatalogAdd"),
            Out::Json("Catalog"),
        ),
        (
            Delete,
            "/v1/catalogs/{name}",
            "Remove a catalog",
            None,
            Out::Nothing("204"),
        ),
        (
            Get,
            "/v1/catalog/kernels",
            "List the kernels of all catalogs",
            None,
            Out::Json("AvailableKernels"),
        ),
        (
            Post,
            "/v1/catalog/kernels/pull",
            "Pull a kernel",
            Some("KernelPull"),
            Out::Events("KernelPulled"),
        ),
        (
            Post,
            "/v1/catalog/kernels/publish",
            "Make a catalog of kernels",
            Some("KernelPublish"),
            Out::Events("Published"),
        ),
        (
            Get,
            "/v1/catalog/images",
            "List the images of all catalogs",
            None,
            Out::Json("AvailableImages"),
        ),
        (
            Post,
            "/v1/catalog/images/publish",
            "Make a catalog of images",
            Some("ImagePublish"),
            Out::Events("Published"),
        ),
        (
            Post,
            "/v1/images/{name}/export",
            "Write an image into an OCI archive",
            Some("ImageExport"),
            Out::Events("ImageExported"),
        ),
        (
            Get,
            "/v1/images/{name}/diff",
            "Compare an image with another, or with what it was made on top of",
            None,
            Out::Json("ImageDifference"),
        ),
        (Get, "/v1/images", "List images", None, Out::Json("Image")),
        (
            Post,
            "/v1/image/pull",
            "Pull an image from a registry, a layout or an archive",
            Some("ImagePull"),
            Out::Events("ImagePulled"),
        ),
        (
            Post,
            "/v1/image/prune",
            "Remove the images that no VM uses",
            Some("Prune"),
            Out::Json("Pruned"),
        ),
        (
            Post,
            "/v1/kernel/prune",
            "Remove the kernels that no VM uses and no image names",
            Some("Prune"),
            Out::Json("Pruned"),
        ),
        (
            Post,
            "/v1/cache/prune",
            "Remove what can be made again",
            Some("Prune"),
            Out::Json("Pruned"),
        ),
        (
            Post,
            "/v1/images/{name}/tag",
            "Give an image a second name",
            Some("ImageTag"),
            Out::Json("Image"),
        ),
        (
            Get,
            "/v1/images/{name}/inspect",
            "Show an image with its documents",
            None,
            Out::Json("ImageInspection"),
        ),
        (
            Post,
            "/v1/vms/{name}/commit",
            "Make an image of what a VM has changed",
            Some("VmCommit"),
            Out::Json("Image"),
        ),
        (
            Post,
            "/v1/images",
            "Import a tar or directory",
            Some("ImageImport"),
            Out::Events("Image"),
        ),
        (
            Post,
            "/v1/image/register",
            "Take an ext4 file as an image",
            Some("ImageRegister"),
            Out::Json("Image"),
        ),
        (
            Put,
            "/v1/images/{name}",
            "Import a tar that is the body",
            None,
            Out::Events("Image"),
        ),
        (
            Get,
            "/v1/images/{name}",
            "Show an image",
            None,
            Out::Json("Image"),
        ),
        (
            Delete,
            "/v1/images/{name}",
            "Remove an image",
            None,
            Out::Nothing("204"),
        ),
        (
            Post,
            "/v1/images/{name}/promote",
            "Copy a registered image into the store",
            None,
            Out::Events("Image"),
        ),
        (Get, "/v1/vms", "List VMs", None, Out::Json("Vm")),
        (
            Post,
            "/v1/vms",
            "Create a VM",
            Some("VmCreate"),
            Out::Events("Vm"),
        ),
        (
            Post,
            "/v1/vm/prune",
            "Remove VMs that do not run",
            Some("Prune"),
            Out::Json("Pruned"),
        ),
        (Get, "/v1/vms/{name}", "Show a VM", None, Out::Json("Vm")),
        (
            Patch,
            "/v1/vms/{name}",
            "Change a VM",
            Some("VmSet"),
            Out::Json("Vm"),
        ),
        (
            Delete,
            "/v1/vms/{name}",
            "End and remove a VM",
            None,
            Out::Nothing("204"),
        ),
        (
            Post,
            "/v1/vms/{name}/start",
            "Start a VM",
            Some("VmStart"),
            Out::Events("Vm"),
        ),
        (
            Post,
            "/v1/vms/{name}/stop",
            "Power a VM off",
            Some("VmStop"),
            Out::Json("Vm"),
        ),
        (
            Post,
            "/v1/vms/{name}/kill",
            "End a VM's machine now",
            None,
            Out::Json("Vm"),
        ),
        (
            Post,
            "/v1/vms/{name}/restart",
            "Stop and start a VM",
            Some("VmRestart"),
            Out::Events("Vm"),
        ),
        (
            Post,
            "/v1/vms/{name}/exec",
            "Run a command (Upgrade: stdio_mux_v1)",
            None,
            Out::Frames,
        ),
        (
            Get,
            "/v1/vms/{name}/ports",
            "List what listens in a VM",
            None,
            Out::Json("VmPort"),
        ),
        (
            Get,
            "/v1/forwards",
            "List the forwards of all VMs",
            None,
            Out::Json("VmForward"),
        ),
        (
            Get,
            "/v1/vms/{name}/forwards",
            "List the forwards of a VM",
            None,
            Out::Json("VmForward"),
        ),
        (
            Post,
            "/v1/vms/{name}/forwards",
            "Forward a port",
            Some("ForwardAdd"),
            Out::Json("VmForward"),
        ),
        (
            Post,
            "/v1/vms/{name}/forwards/remove",
            "Forward ports no more",
            Some("ForwardRemove"),
            Out::Json("Forward"),
        ),
        (Get, "/v1/vms/{name}/logs", "Read a VM's log", None, Out::Text),
        (
            Post,
            "/v1/vms/{name}/workspace",
            "Place a git checkout",
            Some("WorkspaceRequest"),
            Out::Events("WorkspaceReport"),
        ),
        (
            Post,
            "/v1/workspace/plan",
            "Tell what would be placed",
            Some("WorkspaceRequest"),
            Out::Json("WorkspacePlan"),
        ),
    ]
}

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
        Out::Text => (
            "200",
            ResponseBuilder::new().content("text/plain", ContentBuilder::new().build()),
        ),
        Out::Frames => (
            "101",
            ResponseBuilder::new().description("frames of stdio_mux_v1 follow"),
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
