//! Runs a service: its HTTP ports, relay, consumer and workers, from the start to a bounded shutdown.

use std::future::ready;
use std::time::Duration;

use anyhow::anyhow;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use broker::{Consumer, ConsumerStatus, Outbox, Relay, RelayStatus};
use broker_ops::DatabaseAge;
use broker_ops::topics::Difference;
use connection::Connection;
use futures::FutureExt as _;
use serde_json::json;
use sqlx::PgPool;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use web::{About, Bounds, Occupancy, Problem, Server, TrustedProxies};

use crate::database::{self, Database, DatabaseError};
use crate::history::Gate;
use crate::ops::{Finding, Health};
use crate::service::{Cli, Parts, Service, Task};
use crate::{metrics, ops, parts, periodic};

/// The longest that a shutdown waits for the parts. The rest is abandoned: every part survives a kill.
const GRACE: Duration = Duration::from_secs(10);

/// The number of open files that the process asks for; the default of many systems is 1,024.
const FILES: u64 = 4096;

/// The parts that run; the first that fails ends the process.
type Running = JoinSet<anyhow::Result<()>>;

/// Runs `service` until SIGTERM or Ctrl-C, or until one of its parts fails.
pub(crate) async fn run(service: &Service, cli: &Cli) -> anyhow::Result<()> {
    let common = &cli.common;
    let stop = stop_on_signal()?;
    // Both ports first: an operator learns at once that one is taken, not only when Postgres answers.
    let listener = web::bind(common.listen, "LISTEN").await?;
    let ops_listener = web::bind(common.ops_listen, "OPS_LISTEN").await?;
    let metrics = metrics::install()?;
    let settings = parts::broker_settings(service.name, common);
    let topics_settings = settings.clone();
    let database = Database::new("DATABASE_URL", common.database_url()?, service.name)?;
    let pool = database.pool();
    let outbox = Outbox::new(pool.clone(), &settings);
    let parts = (service.wire.create)(cli, outbox.clone())?;
    let source = parts.history_source(settings.clone(), outbox.clone());
    let Parts { api, subscriptions, compacted, tasks, .. } = parts;
    let consumer = Consumer::new(settings.clone(), outbox.clone(), subscriptions);
    let relay = Relay::new(settings, outbox.clone(), compacted.clone());
    let (schema, is_right) = watch::channel(false);
    let (found, history) = watch::channel(DatabaseAge::Unknown);
    let history = Gate::new(history, stop.clone());

    let mut running = Running::new();
    let about = About {
        service: service.name,
        description: service.about,
        version: env!("CARGO_PKG_VERSION"),
        license: env!("CARGO_PKG_LICENSE"),
    };
    let routes = web::api(&about, api, common.trusted_proxies.clone(), common.api_docs);
    let gate = middleware::from_fn_with_state((is_right.clone(), history.clone()), until_ready);
    let server = Server::new("api", api_bounds(), common.trusted_proxies.clone());
    let (occupancy, connection) = (server.occupancy(), topics_settings.connection.clone());
    let (differing, differences) = watch::channel(Vec::new());
    let health = health(pool.clone(), is_right, consumer.status(), relay.status());
    let health = health.ready("http", move || ready(port(occupancy())));
    let health = history.add_to(health);
    let health = health.consuming("kafka", move || ready(reached(&connection)));
    let health = health.consuming("topics", move || ready(promised(&differences.borrow())));
    let health = tasks.iter().fold(health, watch_task);
    let routes = common.cors_origins.allow(routes.layer(gate));
    spawn(&mut running, server.serve(listener, routes, stop.clone()));
    // The ops port has connections of its own, so that it answers while the API's are all busy.
    let ops_server = Server::new("ops", Bounds::ops(), TrustedProxies::default());
    let ops_routes = web::server::plain(ops::router(health, metrics.clone()));
    let ops_routes = common.cors_origins.allow(ops_routes);
    spawn(&mut running, ops_server.serve(ops_listener, ops_routes, stop.clone()));
    spawn(&mut running, metrics.upkeep(stop.clone()));
    let program = common.program(service.name);
    match database.wait_verified(&program, &service.migrators(), &pool, &stop).await {
        Err(DatabaseError::Stopped) => return wait(running, stop).await,
        verified => verified?,
    }
    let compare = broker_ops::topics::watch(topics_settings, service.topics, differing, stop.clone());
    spawn(&mut running, compare);
    let watched = broker_ops::watch_history(source, found, stop.clone());
    running.spawn(async { Ok(watched.await?) });
    history.first_answer().await;
    schema.send_replace(true);

    running.spawn(history.then(broker_ops::republish_daily(outbox, compacted, stop.clone()).map(Ok)));
    let (to_relay, to_consume) = (stop.clone(), stop.clone());
    let sound = history.sound();
    running.spawn(async { Ok(relay.run_when(sound, to_relay).await?) });
    running.spawn(history.then(async { Ok(consumer.run(to_consume).await?) }));
    for Task { name, serves, start, .. } in tasks.into_iter().chain([periodic::purge(pool)]) {
        tracing::debug!(task = name, serves, "started");
        if serves {
            spawn(&mut running, start(stop.clone()));
        } else {
            running.spawn(history.then(start(stop.clone()).map(Ok)));
        }
    }
    tracing::info!("listening on http://{}", common.listen);
    wait(running, stop).await
}

/// Returns a token that SIGTERM (from a supervisor or Docker) or SIGINT (Ctrl-C) cancels. A second signal ends the process at
/// once.
fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopping = stop.clone();
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if again {
                std::process::exit(1);
            }
            stopping.cancel();
        }
    });
    Ok(stop)
}

/// Answers 503 until the database's schema is verified, and while the database is older than the published records.
async fn until_ready(
    State((is_right, history)): State<(watch::Receiver<bool>, Gate)>,
    request: Request,
    next: Next,
) -> Response {
    if !*is_right.borrow() {
        return Problem::unavailable("The service is starting and waits for its database.").into_response();
    }
    if history.is_older() {
        let why = "The service's database was restored from an older copy and is not repaired yet.";
        return Problem::unavailable(why).into_response();
    }
    next.run(request).await
}

fn spawn(running: &mut Running, part: impl Future<Output = ()> + Send + 'static) {
    running.spawn(async {
        part.await;
        Ok(())
    });
}

/// Waits until `stop`, then at most [`GRACE`] until all parts have ended. A part that fails before stops the service.
async fn wait(mut running: Running, stop: CancellationToken) -> anyhow::Result<()> {
    let mut failure = None;
    while let Some(Some(ended)) = stop.run_until_cancelled(running.join_next()).await {
        if let Err(error) = ended.unwrap_or_else(|error| Err(anyhow!(error))) {
            failure = Some(error);
            stop.cancel();
        }
    }
    tracing::debug!("stopping");
    let all = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("not all parts ended within {GRACE:?}; a restart resumes their work");
    }
    failure.map_or(Ok(()), Err)
}

/// Returns the API port's bounds: connections may use half of the process's open files, the rest is for Postgres and Kafka.
fn api_bounds() -> Bounds {
    let bounds = Bounds::api();
    let files = rlimit::increase_nofile_limit(FILES).unwrap_or(FILES);
    let half = usize::try_from(files / 2).unwrap_or(bounds.connections);
    Bounds { connections: bounds.connections.min(half), ..bounds }
}

/// Fails while the API port accepts no new connections.
fn port(occupancy: Occupancy) -> Finding {
    let Occupancy { open, slots, is_saturated } = occupancy;
    Finding::new(!is_saturated, json!({"connections": open, "slots": slots, "saturated": is_saturated}))
}

/// Fails while Kafka refuses the connection, and says what to check.
fn reached(kafka: &Connection) -> Finding {
    let refusal = kafka.refusal();
    Finding::new(refusal.is_none(), refusal)
}

/// Shows which promises do not hold on this cluster. The check passes: an operator accepted that (`migrate`).
fn promised(differences: &[Difference]) -> Finding {
    let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
    Finding::new(true, (!texts.is_empty()).then_some(texts))
}

/// Adds a check that fails while the task is stalled.
fn watch_task(health: Health, task: &Task) -> Health {
    let Some(stalled) = task.stalled.clone() else { return health };
    health.consuming(task.name, move || {
        let stalled = *stalled.borrow();
        let detail = stalled.then_some("work is due and none completes; the service's log has the cause");
        ready(Finding::new(!stalled, detail))
    })
}

/// Builds the checks of the database, the consumer and the relay.
fn health(
    pool: PgPool,
    schema: watch::Receiver<bool>,
    consumer: watch::Receiver<ConsumerStatus>,
    relay: watch::Receiver<RelayStatus>,
) -> Health {
    let database = move || {
        let (pool, is_right) = (pool.clone(), *schema.borrow());
        async move {
            let found = database::reachable(pool).await;
            if found.ok && !is_right { Finding::new(false, "the schema is not checked yet") } else { found }
        }
    };
    Health::default()
        .ready("database", database)
        .consuming("consumer", move || ready(consuming(&consumer.borrow())))
        .consuming("relay", move || ready(publishing(&relay.borrow())))
}

fn consuming(status: &ConsumerStatus) -> Finding {
    let detail = json!({"reached": status.reached, "partitions": status.partitions,
                        "stuck": status.stuck, "stopped": status.stopped});
    Finding::new(status.is_consuming(), detail)
}

fn publishing(status: &RelayStatus) -> Finding {
    let detail = json!({"leading": status.leading, "refused": status.refused, "stalled": status.stalled});
    Finding::new(status.refused.is_none() && !status.stalled, detail)
}
