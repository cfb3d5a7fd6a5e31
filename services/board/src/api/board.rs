//! The board and the operator's page.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use web::Problem;

use super::app::App;
use crate::domain::{Group, SERVICES, Shown, TOPICS, TopicInfo};
use crate::live::now;

/// A service with the topics that it publishes.
#[derive(Serialize)]
struct ServiceInfo {
    name: &'static str,
    group: Option<Group>,
    topics: Vec<TopicInfo>,
    dead_letters: Option<TopicInfo>,
}

/// `GET /board`
pub(super) async fn board(State(app): State<App>) -> Result<Response, Problem> {
    let (topics, groups, minute, kafka) = {
        let mut model = app.live.model();
        (model.topics(), model.groups(), model.rates.minute(now()), model.kafka)
    };
    // JSON in a text, for the plot.
    let minute = serde_json::to_string(&minute).unwrap_or_default();
    let content = json!({"services": services(topics, &groups), "minute": minute, "kafka": kafka});
    app.pages.show(StatusCode::OK, "board.html", content)
}

fn services(topics: Vec<TopicInfo>, groups: &[Group]) -> Vec<ServiceInfo> {
    let mut topics: BTreeMap<String, TopicInfo> =
        topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
    let mut service = |name: &'static str| ServiceInfo {
        name,
        group: groups.iter().find(|group| group.service == name).cloned(),
        topics: TOPICS
            .iter()
            .filter(|topic| topic.owner == name)
            .filter_map(|topic| topics.remove(topic.name))
            .collect(),
        dead_letters: topics.remove(&format!("dlq.{name}")),
    };
    SERVICES.into_iter().map(&mut service).collect()
}

/// `GET /operator`: the browser asks the services with the operator's token; the dead letters come from their topics.
pub(super) async fn operator(State(app): State<App>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct DeadLetter {
        service: &'static str,
        #[serde(flatten)]
        record: Shown,
        cause: String,
    }
    let mut dead_letters = Vec::new();
    for service in SERVICES {
        for event in app.live.model().history.of_topic(&format!("dlq.{service}"), 50) {
            let record = event.show();
            let cause = record.headers.iter().find(|(name, _)| name.ends_with("cause"));
            let cause = cause.map(|(_, cause)| cause.clone()).unwrap_or_default();
            dead_letters.push(DeadLetter { service, record, cause });
        }
    }
    app.pages.show(StatusCode::OK, "operator.html", json!({"dead_letters": dead_letters}))
}
