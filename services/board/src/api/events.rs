//! Events as pages: the latest of a topic, one with its headers and value, and all of a key through all topics.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use web::{Path, Problem};

use super::App;
use crate::domain::Shown;

/// The most events in a list.
const LISTED: usize = 100;

/// `GET /events/{topic}`
pub(super) async fn of_topic(State(app): State<App>, Path(topic): Path<String>) -> Result<Response, Problem> {
    let events = app.live.model().of_topic(&topic, LISTED);
    list(&app, format!("Latest events on {topic}"), events.iter().map(|event| event.show()).collect())
}

/// `GET /keys/{key}`
pub(super) async fn of_key(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Problem> {
    let mut events = app.live.model().about(&key);
    events.truncate(LISTED);
    list(
        &app,
        "Events of one key, through all topics".to_owned(),
        events.iter().map(|event| event.show()).collect(),
    )
}

fn list(app: &App, title: String, events: Vec<Shown>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Content {
        title: String,
        events: Vec<Shown>,
    }
    if events.is_empty() {
        return app.pages.missing("The board keeps no event of it: it keeps only the latest ones.");
    }
    app.pages.show(StatusCode::OK, "events.html", Content { title, events })
}

/// `GET /events/{topic}/{partition}/{offset}`: a page, or only its middle for a script that shows it on the board.
pub(super) async fn event(
    State(app): State<App>,
    headers: HeaderMap,
    Path((topic, partition, offset)): Path<(String, i32, i64)>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Content {
        is_part: bool,
        event: Shown,
        subject: String,
        related: Vec<Shown>,
    }
    let found = {
        let model = app.live.model();
        model.event(&topic, partition, offset).map(|event| (model.about(event.subject()), event))
    };
    let Some((mut related, event)) = found else {
        return app
            .pages
            .missing("The board does not keep this event any more: it keeps only the latest ones.");
    };
    related.truncate(LISTED);
    let content = Content {
        is_part: headers.contains_key("hx-request"),
        subject: event.show_head().0,
        event: event.show(),
        related: related.iter().map(|event| event.show()).collect(),
    };
    app.pages.show(StatusCode::OK, "event.html", content)
}
