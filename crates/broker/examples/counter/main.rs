//! The service of the README: counts the visits of pages. Run it with `DATABASE_URL` and `KAFKA_BROKERS`.

include!("handler.rs");

use broker::{Consumer, Outbox, Policy, Relay, Settings, Subscription};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let settings = Settings::new("counter", &std::env::var("KAFKA_BROKERS")?);
    let pool = sqlx::PgPool::connect(&std::env::var("DATABASE_URL")?).await?;

    // 1. The tables: the broker's, in a schema of their own, then the service's.
    broker::MIGRATIONS.run(&pool).await?;
    let table = "CREATE TABLE IF NOT EXISTS counts (page text PRIMARY KEY, visits bigint NOT NULL DEFAULT 0,
                                                    last_sequence bigint NOT NULL DEFAULT 0)";
    sqlx::query(table).execute(&pool).await?;

    // 2. The topics that it publishes or reads, and `dlq.counter` for its dead letters.
    broker_ops::topics::create(&settings, &[Visit::TOPIC]).await?;

    // 3. The relay publishes what the service appends: events, and dead letters. Every instance runs one.
    let outbox = Outbox::new(pool, &settings);
    let relay = Relay::new(settings.clone(), outbox.clone(), Vec::new());

    // 4. The consumer, with one subscription per topic.
    let subscription = Subscription::new(Counter).with_policy(Policy::default());
    let consumer = Consumer::new(settings, outbox, vec![subscription]);

    let stop = CancellationToken::new();
    let (relay, consumer) = (relay.run(stop.clone()), consumer.run(stop.clone()));
    tokio::spawn(async move { tokio::signal::ctrl_c().await.map(|()| stop.cancel()) });
    tokio::try_join!(async { anyhow::Ok(relay.await?) }, async { anyhow::Ok(consumer.await?) })?;
    Ok(())
}

/// The other side, which publishes the visits.
#[expect(dead_code, reason = "the site is another program")]
async fn visit(outbox: &broker::Outbox, page: &str) -> anyhow::Result<()> {
    let mut tx = outbox.begin().await?;
    let upsert =
        "INSERT INTO pages VALUES ($1, 1) ON CONFLICT (page) DO UPDATE SET n = pages.n + 1 RETURNING n";
    let n: i64 = sqlx::query_scalar(upsert).bind(page).fetch_one(&mut *tx).await?;
    let sequence = Sequence::from_i64(n).unwrap_or_default();
    tx.append(broker::Cause::default(), sequence, &Visit::Visited { page: page.to_owned() })?;
    Ok(tx.commit().await?)
}
