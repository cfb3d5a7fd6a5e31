//! `buttons`: serves the board's buttons on loopback. A button runs the same command that a person types, and shows its output.
//! Requests need the token that `up` hands to the board.

mod command;

use crate::local::Local;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use command::{Asked, Command};
use serde::Serialize;
use serde_json::json;
use stack::process::Launch;
use stack::ready::Ready;
use stack::{Daemon, environment, running};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq as _;
use tokio::signal::unix::{SignalKind, signal};

/// The name of the process: this program itself, which serves `stack buttons` until it is stopped.
pub(crate) const NAME: &str = "buttons";

/// The variables that say where the system of this checkout is, and those of Java, which it may start.
const PLACES: [&str; 5] = ["CHECKOUT", "STACK_DATA", "JAVA_HOME", "MAVEN_OPTS", "M2_HOME"];

/// The number of commands whose output is kept.
const KEPT: usize = 20;
/// The most commands at the same time.
const AT_ONCE: usize = 4;

/// The state that all requests share.
struct Shared {
    local: Local,
    token: String,
    done: Mutex<VecDeque<Done>>,
}

#[derive(Debug, Clone, Serialize)]
struct Done {
    number: u64,
    /// The command as a person types it.
    typed: String,
    /// Its output; null while it runs.
    output: Option<String>,
}

/// Returns the daemon, which answers on this port of the loopback address.
pub(crate) fn daemon(port: u16, run: &Path) -> anyhow::Result<Daemon> {
    let mut environment = environment::basics();
    let place = |name: &str| Some((name.to_owned(), std::env::var_os(name)?));
    environment.extend(PLACES.into_iter().filter_map(place));
    let launch = Launch::new(std::env::current_exe()?, vec![NAME.into()], environment);
    Ok(Daemon::new(NAME, run, launch, Ready::Http(format!("http://127.0.0.1:{port}/live"))))
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let local = Local::load()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", local.ports.control())).await?;
    let token = local.secrets()?.get("CONTROL_TOKEN")?;
    let shared = Arc::new(Shared { local, token, done: Mutex::default() });
    let guarded = Router::new()
        .route("/", get(state).post(start))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), authorize))
        .with_state(shared);
    let app = guarded.route("/live", get(|| async { "ok" }));
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move { _ = terminate.recv().await };
    Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
}

async fn authorize(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map(axum::http::HeaderValue::as_bytes);
    let expected = format!("Bearer {}", shared.token);
    if given.is_some_and(|given| given.ct_eq(expected.as_bytes()).into()) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, Json(json!({"detail": "The token is missing or wrong."}))).into_response()
}

/// `GET /`: the running processes, and the latest commands.
async fn state(State(shared): State<Arc<Shared>>) -> Json<serde_json::Value> {
    let processes = running::names(&shared.local.home.run());
    Json(json!({"processes": processes, "commands": *shared.done()}))
}

/// `POST /`: starts a command; its output follows in the state.
async fn start(State(shared): State<Arc<Shared>>, Json(asked): Json<Asked>) -> Response {
    let command = match Command::of(asked, &shared.local) {
        Ok(command) => command,
        Err(error) => return refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    let Some(number) = shared.begin(&command.typed) else {
        return refusal(StatusCode::TOO_MANY_REQUESTS, "Other commands still run; wait for them.");
    };
    tokio::spawn(async move {
        let output = command.run().await;
        if let Some(done) = shared.done().iter_mut().find(|done| done.number == number) {
            done.output = Some(output);
        }
    });
    (StatusCode::ACCEPTED, Json(json!({"number": number}))).into_response()
}

fn refusal(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"detail": detail}))).into_response()
}

impl Shared {
    /// The latest commands. No code panics while it holds the lock.
    fn done(&self) -> MutexGuard<'_, VecDeque<Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a command that begins, and returns its number; `None`: too many run.
    fn begin(&self, typed: &str) -> Option<u64> {
        let mut done = self.done();
        if done.iter().filter(|one| one.output.is_none()).count() >= AT_ONCE {
            return None;
        }
        let number = done.back().map_or(1, |last| last.number + 1);
        done.push_back(Done { number, typed: typed.to_owned(), output: None });
        if done.len() > KEPT {
            done.pop_front();
        }
        Some(number)
    }
}
