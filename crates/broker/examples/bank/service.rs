//! Runs a service: its settings, database, relay and consumer.

use std::time::Duration;

use anyhow::Context as _;
use broker::{Compacted, Consumer, Outbox, Relay, Settings, Subscription};
use connection::Connection;
use envelope::Topic;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Returns the settings of the environment: `KAFKA_BROKERS`, and optionally `TOPIC_PREFIX`, `TOPIC_PARTITIONS`, `INSTANCE`,
/// `OUTBOX_LIMIT`, `DEAD_LETTER_LIMIT`, and the settings of the connection to Kafka.
pub(crate) fn settings(service: &str) -> anyhow::Result<Settings> {
    let brokers = std::env::var("KAFKA_BROKERS").context("KAFKA_BROKERS is not set")?;
    Ok(Settings {
        prefix: std::env::var("TOPIC_PREFIX").unwrap_or_default(),
        partitions: number("TOPIC_PARTITIONS", 3)?,
        retention: None,
        instance: std::env::var("INSTANCE").ok(),
        outbox_limit: number("OUTBOX_LIMIT", 1_000_000)?,
        dead_letter_limit: number("DEAD_LETTER_LIMIT", 1000)?,
        connection: Connection::of_variables(std::env::vars())?,
        ..Settings::new(service, &brokers)
    })
}

fn number<N: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &'static str,
    default: N,
) -> anyhow::Result<N> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().context(name))
}

/// Connects to the database of `DATABASE_URL`. The timeouts end the transaction of a frozen instance before its group continues
/// without it.
pub(crate) async fn pool() -> anyhow::Result<PgPool> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let options: PgConnectOptions = url.parse().context("DATABASE_URL")?;
    let options = options.options([
        ("statement_timeout", "10s"),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "4s"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(5)
        .acquire_timeout(Duration::from_secs(3))
        .connect_with(options)
        .await?)
}

/// Creates the broker's tables, then the service's own.
pub(crate) async fn migrate(pool: &PgPool, schema: &'static str) -> anyhow::Result<()> {
    broker::MIGRATIONS.run(pool).await?;
    sqlx::raw_sql(schema).execute(pool).await?;
    Ok(())
}

/// Creates the topics, unless `CREATE_TOPICS=no`: then they exist, and Kafka need not run yet.
pub(crate) async fn create_topics(settings: &Settings, topics: &[Topic]) -> anyhow::Result<()> {
    if std::env::var("CREATE_TOPICS").is_ok_and(|answer| answer == "no") {
        return Ok(());
    }
    broker_ops::topics::create(settings, topics).await?;
    Ok(())
}

/// Runs relay and consumer until SIGTERM.
pub(crate) async fn run(
    settings: Settings,
    outbox: Outbox,
    subscriptions: Vec<Subscription>,
    compacted: Vec<Arc<dyn Compacted>>,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let relay = Relay::new(settings.clone(), outbox.clone(), compacted.clone());
    let consumer = Consumer::new(settings, outbox.clone(), subscriptions);
    let daily = broker_ops::republish_daily(outbox, compacted, stop.clone());
    let mut tasks = JoinSet::new();
    let (relaying, consuming) = (stop.clone(), stop.clone());
    tasks.spawn(async { relay.run(relaying).await.context("the relay") });
    tasks.spawn(async { consumer.run(consuming).await.context("the consumer") });
    tasks.spawn(async {
        daily.await;
        Ok(())
    });
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        terminate.recv().await;
        stop.cancel();
    });
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Returns `RUST_LOG`, or the default level.
pub(crate) fn log_filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"))
}
