use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn parsed() -> Value {
    serde_json::from_str(&document()).unwrap()
}

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            all.push((format!("{method} {path}"), operation.clone()));
        }
    }
    all
}

#[test]
fn the_documents_in_the_repository_are_these() {
    for (kept, made) in [
        (include_str!("../../../../docs/openapi.json"), document() + "\n"),
        (include_str!("../../../../docs/api.md"), table()),
    ] {
        assert!(
            kept == made,
            "run `cargo xtask openapi` and commit docs/openapi.json and docs/api.md"
        );
    }
}

#[test]
fn every_operation_says_all_that_a_client_needs() {
    let document = parsed();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} stands twice");
        let summary = operation["summary"].as_str().unwrap();
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{name}");
        let failure = &operation["responses"]["default"]["content"]["application/json"]["schema"];
        assert_eq!(failure["$ref"], "#/components/schemas/ErrorBody", "{name}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in &parameters {
            assert!(parameter["schema"].is_object(), "{name}: {parameter}");
        }
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        assert_eq!(in_path.count(), name.matches('{').count(), "{name}");
        if operation["responses"].get("101").is_some() {
            assert!(
                parameters.iter().any(|parameter| parameter["name"] == "Upgrade"),
                "{name}"
            );
        }
    }
    assert!(ids.len() > 70, "{}", ids.len());
}

#[test]
fn lists_are_arrays_and_streams_are_streams() {
    let document = parsed();
    let answer = |path: &str, method: &str, content: &str| {
        document["paths"][path][method]["responses"]["200"]["content"][content]["schema"].clone()
    };
    for (path, item) in [
        ("/v1/vms", "Vm"),
        ("/v1/images", "Image"),
        ("/v1/vms/{vm}/sessions", "VmSession"),
        ("/v1/vms/{vm}/egress", "VmFlow"),
    ] {
        let list = answer(path, "get", "application/json");
        assert_eq!(list["type"], "array", "{path}");
        assert_eq!(
            list["items"]["$ref"],
            format!("#/components/schemas/{item}"),
            "{path}"
        );
    }
    let stream = answer("/v1/vms", "post", "text/event-stream");
    assert_eq!(stream["contentMediaType"], "text/event-stream");
    assert_eq!(
        stream["contentSchema"]["items"]["$ref"],
        "#/components/schemas/VmCreatedEvent"
    );
    let events = document["components"]["schemas"]["VmCreatedEvent"]["oneOf"]
        .as_array()
        .unwrap();
    let names: Vec<_> = events
        .iter()
        .map(|event| event["properties"]["event"]["enum"][0].as_str().unwrap())
        .collect();
    assert_eq!(names, ["progress", "done", "error"]);
    assert_eq!(
        events[1]["properties"]["data"]["$ref"],
        "#/components/schemas/VmCreated"
    );
}

#[test]
fn queries_and_bodies_are_there() {
    let document = parsed();
    let names = |path: &str, method: &str| {
        let parameters = document["paths"][path][method]["parameters"].clone();
        let parameters = parameters.as_array().cloned().unwrap_or_default();
        let in_query = parameters
            .into_iter()
            .filter(|parameter| parameter["in"] == "query");
        in_query
            .map(|parameter| {
                (
                    parameter["name"].as_str().unwrap().to_owned(),
                    parameter["required"] == true,
                )
            })
            .collect::<Vec<_>>()
    };
    let given = |expected: &[(&str, bool)]| -> Vec<(String, bool)> {
        expected
            .iter()
            .map(|(name, is)| ((*name).to_owned(), *is))
            .collect()
    };
    assert_eq!(
        names("/v1/vms/{vm}/logs", "get"),
        given(&[
            ("source", false),
            ("follow", false),
            ("tail", false),
            ("since", false),
            ("timestamps", false)
        ])
    );
    assert_eq!(
        names("/v1/vms/{vm}/files", "put"),
        given(&[
            ("path", true),
            ("name", false),
            ("all", false),
            ("owner", false),
            ("replace", false),
            ("within", false)
        ])
    );
    let body = |path: &str| document["paths"][path]["post"]["requestBody"].clone();
    assert_eq!(body("/v1/vms/{vm}/exec")["required"], true);
    assert_eq!(body("/v1/vms/{vm}/start")["required"], false);
    let paths = &body("/v1/vms/{vm}/files/remove")["content"];
    assert_eq!(paths["application/octet-stream"]["schema"]["format"], "binary");
}

#[test]
fn references_lead_somewhere() {
    let text = document();
    let document = parsed();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}

/// What serde writes for a tagged variant is what its schema allows.
#[test]
fn tagged_and_flattened_objects_are_whole() {
    let document = parsed();
    let schemas = &document["components"]["schemas"];
    let publish = &schemas["Forward"]["oneOf"][0];
    assert_eq!(publish["properties"]["direction"]["enum"][0], "publish");
    assert_eq!(publish["additionalProperties"], false);
    let written: banger_model::Forward = banger_model::Forward::Publish("8080:80".parse().unwrap());
    let written = serde_json::to_value(written).unwrap();
    for name in written.as_object().unwrap().keys() {
        assert!(publish["properties"][name].is_object(), "{name}");
    }
    let pulled = schemas["KernelPulled"]["properties"].as_object().unwrap();
    assert!(pulled.contains_key("was_here") && pulled.contains_key("version"));
}

#[test]
fn no_schema_says_a_default() {
    fn look(value: &Value, at: &str) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    // A property may be called so.
                    let is_property = at.ends_with("properties") || at.ends_with("responses");
                    assert!(name != "default" || is_property, "{at}");
                    look(field, name);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| look(item, at)),
            _ => {}
        }
    }
    look(&parsed(), "");
}
