//! The endpoint behind the buttons. It passes requests on to the program behind `./scripts/up`, which starts, stops and kills
//! processes; the token for it never reaches a browser.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use web::{Json, Problem};

use super::app::App;
use crate::config::Config;

/// Shorter than the time in which every request is answered.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The way to the program that controls the processes; `None`: the commands must be typed.
#[derive(Clone)]
pub(crate) struct Control(Option<Access>);

#[derive(Clone)]
struct Access {
    client: Client,
    url: Url,
    token: SecretString,
}

impl Control {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let (Some(url), Some(token)) = (config.control_url.clone(), config.control_token.clone()) else {
            return Ok(Self(None));
        };
        let client = Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        Ok(Self(Some(Access { client, url, token })))
    }
}

impl Access {
    async fn send(&self, request: RequestBuilder) -> Result<Response, Problem> {
        let unreachable = |error: reqwest::Error| {
            tracing::debug!(%error, "CONTROL_URL does not answer");
            Problem::unavailable("The program behind the buttons does not answer; ./scripts/up starts it.")
        };
        let answer = request.bearer_auth(self.token.expose_secret()).send().await.map_err(unreachable)?;
        let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
        let body: Value = answer.json().await.map_err(unreachable)?;
        Ok((status, axum::Json(body)).into_response())
    }
}

/// `GET /control`: the processes that run, and the latest commands with their output. Refused under any other name of this
/// address, with which a foreign page could ask.
pub(super) async fn state(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_own = |origin: &String| origin.split_once("://").map(|(_, host)| host) == host;
    if !app.pages.site.origins.iter().any(is_own) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Only the pages of this board may ask."));
    }
    match app.control.0 {
        None => Ok(axum::Json(json!({"processes": null, "commands": []})).into_response()),
        Some(access) => access.send(access.client.get(access.url.clone())).await,
    }
}

/// `POST /control`: runs a command. Only this board's own pages may ask: a foreign page has another origin, and so has one whose
/// name was made to lead here.
pub(super) async fn command(
    State(app): State<App>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Result<Response, Problem> {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if !origin.is_some_and(|origin| app.pages.site.origins.iter().any(|own| own == origin)) {
        let why = "Only the pages of this board may send commands.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    match app.control.0 {
        None => Err(Problem::not_found("There are no buttons here: type the command that the board shows.")),
        Some(access) => access.send(access.client.post(access.url.clone()).json(&asked)).await,
    }
}
