//! Events as pages: the latest of a topic, one with its headers and value, and all of a key through all topics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;
use web::{Path, Problem};

use super::app::App;
use crate::domain::{Event, shown};

/// The most events in a list.
const LISTED: usize = 100;

/// `GET /events/{topic}`
pub(super) async fn of_topic(State(app): State<App>, Path(topic): Path<String>) -> Result<Response, Problem> {
    let events = app.live.model().history.of_topic(&topic, LISTED);
    list(&app, &format!("Latest events on {topic}"), &events)
}

/// `GET /keys/{key}`
pub(super) async fn of_key(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Problem> {
    let mut events = app.live.model().history.about(&key);
    events.truncate(LISTED);
    list(&app, "Events of one key, through all topics", &events)
}

fn list(app: &App, title: &str, events: &[Arc<Event>]) -> Result<Response, Problem> {
    if events.is_empty() {
        return app.pages.missing("The board keeps no event of it: it keeps only the latest ones.");
    }
    app.pages.show(StatusCode::OK, "events.html", json!({"title": title, "events": shown(events)}))
}

/// `GET /events/{topic}/{partition}/{offset}`: a page, or only its middle for a script that shows it on the board.
pub(super) async fn event(
    State(app): State<App>,
    headers: HeaderMap,
    Path((topic, partition, offset)): Path<(String, i32, i64)>,
) -> Result<Response, Problem> {
    let found = {
        let model = app.live.model();
        let event = model.history.at(&topic, partition, offset).cloned();
        event.map(|event| (model.history.about(event.subject()), event))
    };
    let Some((mut related, event)) = found else {
        return app
            .pages
            .missing("The board does not keep this event any more: it keeps only the latest ones.");
    };
    related.truncate(LISTED);
    let content = json!({
        "is_part": headers.contains_key("hx-request"),
        "subject": event.show_head().0,
        "event": event.show(),
        "related": shown(&related),
    });
    app.pages.show(StatusCode::OK, "event.html", content)
}
