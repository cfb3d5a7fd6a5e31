//! The same shop as a synchronous chain: `POST /orders` calls payment, payment calls inventory, inventory calls
//! notification, and the caller waits. One program with four roles, written to be a fair comparison; the README says what
//! it does about slow and dead services, and what else one could do.

mod breaker;
mod call;
mod gateway;
mod inventory;
mod notification;
mod order;
mod payment;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use clap::{Parser, ValueEnum};
use metrics_exporter_prometheus::PrometheusBuilder;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor as _, PgPool};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use call::Downstream;

/// The connections of a role's pool, the same as those of a service of the event-driven shop.
const CONNECTIONS: u32 = 16;

/// One role of the chain.
#[derive(Debug, Parser)]
struct Options {
    /// The role of this process
    role: Role,
    /// The address of this role
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The database of this role
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: String,
    /// The next role of the chain; notification has none
    #[arg(long, value_name = "URL")]
    next: Option<String>,
    /// Stop calling the next role for 5 seconds after 5 failures in a row
    #[arg(long)]
    breaker: bool,
    /// Payment: the latency of the gateway's answers, in milliseconds
    #[arg(long, default_value = "0", value_name = "MS")]
    gateway_latency: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Order,
    Payment,
    Inventory,
    Notification,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = Options::parse();
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(2));
    let pool = pool.connect(&options.database_url).await.context("connecting to Postgres")?;
    pool.execute(include_str!("../schema.sql")).await.context("creating the tables")?;
    let routes = routes(&options, pool)?.route("/metrics", get(move || async move { metrics.render() }));
    let routes = routes.route("/health/ready", get(|| async { "ready" }));
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("opening {}", options.listen))?;
    let mut stop = signal(SignalKind::terminate())?;
    let stopped = async move {
        stop.recv().await;
    };
    Ok(axum::serve(listener, web::server::plain(routes)).with_graceful_shutdown(stopped).await?)
}

fn routes(options: &Options, pool: PgPool) -> anyhow::Result<Router> {
    let next = || {
        let url = options.next.as_deref().context("--next is missing: the URL of the next role")?;
        Downstream::new(url, options.breaker)
    };
    Ok(match options.role {
        Role::Order => order::routes(pool, next()?),
        Role::Payment => payment::routes(pool, next()?, Duration::from_millis(options.gateway_latency)),
        Role::Inventory => inventory::routes(pool, next()?),
        Role::Notification => notification::routes(pool),
    })
}
