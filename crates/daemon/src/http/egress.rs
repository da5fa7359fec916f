//! What VMs reached and were refused, over HTTP.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use banger_api::{EVENT_FLOW, EVENT_GAP, EgressGap, EgressQuery, VmFlow, VmLearned};
use banger_hostnet::News;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError::Lagged;

use super::App;
use super::answer::{Asked, Refused};
use super::events::event;

pub(crate) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<EgressQuery>,
) -> Result<Response, Refused> {
    let id = app.vms.find(&name)?.state().spec.id;
    let egress = app.vms.context().network.egress();
    if query.follow {
        let (there, news) = egress.follow(id);
        let events = Sse::new(events(there, news)).keep_alive(KeepAlive::default());
        return Ok(events.into_response());
    }
    Ok(Json(egress.flows(id)).into_response())
}

/// What there is, then what comes. A client that reads too slowly is told how much it missed.
fn events(
    there: Vec<VmFlow>,
    news: broadcast::Receiver<News>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let gap = |missed| event(EVENT_GAP, &EgressGap { missed });
    let news = BroadcastStream::new(news).map(move |news| match news {
        Ok(News::Flow(flow)) => event(EVENT_FLOW, &flow),
        Ok(News::Gap) => gap(None),
        Err(Lagged(missed)) => gap(Some(missed)),
    });
    let there = stream::iter(there).map(|flow| event(EVENT_FLOW, &flow));
    there.chain(news).map(Ok)
}

pub(crate) async fn learned(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<VmLearned>, Refused> {
    Ok(Json(app.vms.learned(&name)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_api::FlowVerdict;
    use banger_model::network::FlowRule;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_what_it_missed() {
        let flow = |target: &str| VmFlow {
            verdict: FlowVerdict::Allowed,
            target: target.to_owned(),
            address: None,
            port: None,
            protocol: "tcp".to_owned(),
            why: FlowRule::Nat,
            rule: None,
            allow: None,
            count: 1,
            first: String::new(),
            last: String::new(),
        };
        let sender = broadcast::Sender::new(2);
        let news = sender.subscribe();
        for target in ["b", "c", "d", "e"] {
            sender.send(News::Flow(Box::new(flow(target)))).unwrap();
        }
        sender.send(News::Gap).unwrap();
        drop(sender);
        let body = Sse::new(events(vec![flow("a")], news))
            .into_response()
            .into_body();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let told: Vec<&str> = text
            .lines()
            .filter_map(|line| {
                let at = line.find("\"target\":\"").map(|at| at + 10);
                let gap = line.strip_prefix("data: {\"missed\":");
                gap.or_else(|| at.map(|at| &line[at..=at]))
            })
            .collect();
        assert_eq!(told, ["a", "3}", "e", "null}"]);
    }
}
