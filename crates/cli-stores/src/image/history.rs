//! `banger image history`

use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::print;
use serde::{Deserialize, Serialize};

/// A step of an image's build history (the OCI image specification's `config.md`, `history`).
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Step {
    created: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
    empty_layer: bool,
}

pub(super) async fn run(client: &Client, name: &str, json: bool) -> Result<(), Failure> {
    let configuration = client.inspect_image(name).await?.configuration;
    let steps: Vec<Step> = configuration
        .get("history")
        .cloned()
        .and_then(|history| serde_json::from_value(history).ok())
        .unwrap_or_default();
    if json {
        return Ok(print::json(&steps)?);
    }
    if steps.is_empty() {
        print::notice!("image {name} has no build history");
        return Ok(());
    }
    let rows = steps.into_iter().rev().map(|step| {
        vec![
            step.created
                .map(|created| print::age(&created))
                .unwrap_or_default(),
            if step.empty_layer { "-" } else { "yes" }.to_owned(),
            step.created_by.or(step.comment).unwrap_or_default(),
        ]
    });
    print::table(&["AGE", "LAYER", "CREATED BY"], rows);
    Ok(())
}
