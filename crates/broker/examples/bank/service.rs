//! What both services are run with.

use std::time::Duration;

use anyhow::Context as _;
use broker::{Compacted, Consumer, Outbox, Relay, Settings, Subscription};
use envelope::Topic;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Settings from the environment: `KAFKA_BROKERS`, and where they are given `TOPIC_PREFIX`, `TOPIC_PARTITIONS`,
/// `INSTANCE`, `OUTBOX_LIMIT` and `DEAD_LETTER_LIMIT`.
pub(crate) fn settings(service: &str) -> anyhow::Result<Settings> {
    Ok(Settings {
        service: service.to_owned(),
        program: service.to_owned(),
        brokers: std::env::var("KAFKA_BROKERS").context("KAFKA_BROKERS is not set")?,
        prefix: std::env::var("TOPIC_PREFIX").unwrap_or_default(),
        partitions: number("TOPIC_PARTITIONS", 3)?,
        retention: None,
        instance: std::env::var("INSTANCE").ok(),
        outbox_limit: number("OUTBOX_LIMIT", 1_000_000)?,
        dead_letter_limit: number("DEAD_LETTER_LIMIT", 1000)?,
    })
}

fn number<N: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &'static str,
    default: N,
) -> anyhow::Result<N> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().context(name))
}

/// The database of `DATABASE_URL`. The time-outs end what a frozen instance holds before its group goes on without it.
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

/// The broker's tables, then the service's own.
pub(crate) async fn migrate(pool: &PgPool, schema: &'static str) -> anyhow::Result<()> {
    broker::MIGRATIONS.run(pool).await?;
    sqlx::raw_sql(schema).execute(pool).await?;
    Ok(())
}

/// Unless `CREATE_TOPICS=no`: somebody else has, and Kafka need not be there.
pub(crate) async fn create_topics(settings: &Settings, topics: &[Topic]) -> anyhow::Result<()> {
    if std::env::var("CREATE_TOPICS").is_ok_and(|answer| answer == "no") {
        return Ok(());
    }
    Ok(broker::topics::create(settings, topics).await?)
}

/// Relays and consumes until the process is asked to stop.
pub(crate) async fn run(
    settings: Settings,
    outbox: Outbox,
    subscriptions: Vec<Subscription>,
    compacted: Vec<Arc<dyn Compacted>>,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let relay = Relay::new(settings.clone(), outbox.clone(), compacted.clone());
    let consumer = Consumer::new(settings, outbox.clone(), subscriptions);
    let daily = broker::republish_daily(outbox, compacted, stop.clone());
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

/// `RUST_LOG`, or what an operator wants to know.
pub(crate) fn log_filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"))
}
