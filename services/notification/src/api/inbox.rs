//! `GET /inbox`: the latest messages as their recipients read them, for a demonstration (`DEMO_INBOX`). Anyone who opens it can
//! follow their links, so it is off by default.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use events::values::DeliveryId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::{Path, Problem, Query};

use super::app::App;
use super::html::NO_INDEX;
use crate::domain::delivery::Status;
use crate::store::list::{self, Filter, Row};

/// The most messages that the inbox shows.
const SHOWN: i64 = 100;

/// A message's own page: no script, nothing from elsewhere, and no origin, so that it can do nothing in the recipient's name.
/// Its links open pages of their own.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
);

#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    message: Option<Uuid>,
}

#[derive(Serialize)]
struct Line {
    id: Uuid,
    recipient: String,
    subject: String,
    time: String,
    is_open: bool,
}

/// Lists the messages, and shows the chosen one in a frame.
pub(super) async fn list(State(app): State<App>, Query(chosen): Query<Chosen>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Content {
        messages: Vec<Line>,
        open: Option<Uuid>,
    }
    let rows = sent(&app).await?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        messages.push(Line {
            id: row.id,
            recipient: row.recipient().unwrap_or_default(),
            subject: app.templates.text(&row.content).map_err(|error| unreadable(&error))?.subject,
            time: row.created_at.time().to_string().chars().take(8).collect(),
            is_open: chosen.message == Some(row.id),
        });
    }
    let open = chosen.message.filter(|id| rows.iter().any(|row| row.id == *id));
    // The message is shown in a frame.
    app.pages.render(StatusCode::OK, "inbox", Content { messages, open }, "frame-src 'self'; ")
}

/// Shows the HTML of one message.
pub(super) async fn message(State(app): State<App>, Path(id): Path<DeliveryId>) -> Result<Response, Problem> {
    let rows = sent(&app).await?;
    let row = rows.iter().find(|row| row.id == id.uuid());
    let row = row.ok_or_else(|| Problem::not_found("The inbox does not hold this message."))?;
    let html = app.templates.html(&row.content).map_err(|error| unreadable(&error))?;
    // Pages of the shop refuse to be shown in a frame.
    let html = html.replacen("<head>", "<head><base target=\"_blank\">", 1);
    Ok(([(header::CONTENT_SECURITY_POLICY, SANDBOX), NO_INDEX], Html(html)).into_response())
}

/// The latest messages that were sent, each once: over the channel that counts.
async fn sent(app: &App) -> Result<Vec<Row>, Problem> {
    let filter = Filter { status: Some(Status::Sent), ..Filter::default() };
    let mut rows = list::deliveries(app.outbox.pool(), &filter, None, SHOWN).await?;
    rows.retain(|row| row.channel == <&str>::from(app.primary));
    Ok(rows)
}

fn unreadable(error: &minijinja::Error) -> Problem {
    tracing::error!(%error, "a message does not render");
    Problem::internal()
}
