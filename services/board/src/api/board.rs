//! The board and the operator's page.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use web::Problem;

use super::App;
use crate::consumer::{SERVICES, TOPICS};
use crate::domain::{Group, Shown, TopicInfo};
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
    #[derive(Serialize)]
    struct Content {
        services: Vec<ServiceInfo>,
        /// The last minute as JSON, for the plot.
        minute: String,
        kafka: bool,
    }
    let (topics, groups, minute, kafka) = {
        let mut model = app.live.model();
        (model.topics(), model.groups(), model.minute(now()), model.kafka)
    };
    let minute = serde_json::to_string(&minute).unwrap_or_default();
    let content = Content { services: services(topics, &groups), minute, kafka };
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
    #[derive(Serialize)]
    struct Content {
        dead_letters: Vec<DeadLetter>,
    }
    let mut dead_letters = Vec::new();
    for service in SERVICES {
        for event in app.live.model().of_topic(&format!("dlq.{service}"), 50) {
            let record = event.show();
            let cause = record
                .headers
                .iter()
                .find(|(name, _)| name.ends_with("cause"))
                .map(|(_, cause)| cause.clone());
            dead_letters.push(DeadLetter { service, record, cause: cause.unwrap_or_default() });
        }
    }
    app.pages.show(StatusCode::OK, "operator.html", Content { dead_letters })
}
