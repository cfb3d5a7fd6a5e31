//! Two databases and their topics, and the steps that move events from one to the other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use broker::{Cause, Consumer, ConsumerError, ConsumerStatus, Outbox, Relay, Settings, Subscription};
use envelope::{Event as _, Sequence};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use stack::Servers;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::events::{Balances, Deposits, Made};
use crate::ledger::{Ledger, SCHEMA};
use crate::{ACCOUNTS, TOGETHER};

const TILLS: &str = "CREATE TABLE tills (account text PRIMARY KEY, version bigint NOT NULL)";
const POLL: Duration = Duration::from_millis(5);

pub(crate) struct Site {
    till: Outbox,
    ledger: Outbox,
    settings: Settings,
    name: String,
}

impl Site {
    pub(crate) async fn open(servers: &Servers, name: &str) -> anyhow::Result<Self> {
        let settings = |service: &str| Settings {
            prefix: format!("{name}."),
            retention: None,
            outbox_limit: 10_000_000,
            ..Settings::new(service, servers.brokers())
        };
        let mut outboxes = Vec::new();
        for (service, schema) in [("till", TILLS), ("ledger", SCHEMA)] {
            let database = format!("{name}_{service}");
            run(servers, &format!("CREATE DATABASE {database}")).await?;
            let url = stack::postgres::with_database(servers.postgres_url(), &database)?;
            let pool = PgPool::connect(&url).await?;
            broker::MIGRATIONS.run(&pool).await?;
            pool.execute(schema).await?;
            // As autovacuum leaves it under low load: the planner assumes that it is empty.
            pool.execute("VACUUM broker.outbox").await?;
            outboxes.push(Outbox::new(pool, &settings(service)));
        }
        let settings = settings("ledger");
        broker_ops::topics::create(&settings, &[Deposits::TOPIC, Balances::TOPIC]).await?;
        let (ledger, till) = (outboxes.pop().context("a ledger")?, outboxes.pop().context("a till")?);
        Ok(Self { till, ledger, settings, name: name.to_owned() })
    }

    /// Takes deposits, [`TOGETHER`] per transaction: the accounts' rows, and an event each.
    pub(crate) async fn append(&self, events: usize) -> anyhow::Result<()> {
        let accounts: Vec<String> = (0..ACCOUNTS).map(|number| format!("account-{number:04}")).collect();
        for _ in 0..events / ACCOUNTS {
            for accounts in accounts.chunks(TOGETHER) {
                let mut tx = self.till.begin().await?;
                let versions: Vec<(String, i64)> = sqlx::query_as(
                    "INSERT INTO tills AS till (account, version)
                     SELECT account, 1 FROM unnest($1::text[]) AS wanted (account) ORDER BY account
                     ON CONFLICT (account) DO UPDATE SET version = till.version + 1
                     RETURNING account, version",
                )
                .bind(accounts)
                .fetch_all(&mut *tx)
                .await?;
                for (account, version) in versions {
                    let sequence = Sequence::from_i64(version).context("a version")?;
                    let made = Deposits::Made(Made { account, amount: 1299, memo: "at the till".to_owned() });
                    tx.append(Cause::default(), sequence, &made)?;
                }
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Publishes the events of the till's outbox.
    pub(crate) async fn relay(&self) -> anyhow::Result<()> {
        let (stop, relay) = self.start_relay();
        until(async || {
            let waiting = "SELECT EXISTS (SELECT FROM broker.outbox)";
            Ok(!sqlx::query_scalar::<_, bool>(waiting).fetch_one(self.till.pool()).await?)
        })
        .await?;
        stop.cancel();
        relay.await??;
        Ok(())
    }

    /// Applies this many events, and returns how long that took after the group had answered.
    pub(crate) async fn handle(&self, events: usize) -> anyhow::Result<Duration> {
        let (stop, consumer, mut status) = self.start_consumer();
        status.wait_for(|status| status.partitions.is_some()).await?;
        let started = Instant::now();
        self.read(events).await?;
        let took = started.elapsed();
        stop.cancel();
        consumer.await??;
        Ok(took)
    }

    /// Runs all steps side by side, with the consumer in its group from the start.
    pub(crate) async fn all_at_once(&self, events: usize) -> anyhow::Result<Duration> {
        let (stop, relay) = self.start_relay();
        let (left, consumer, mut status) = self.start_consumer();
        status.wait_for(ConsumerStatus::is_consuming).await?;
        let started = Instant::now();
        tokio::try_join!(self.append(events), self.read(events))?;
        let took = started.elapsed();
        stop.cancel();
        left.cancel();
        relay.await??;
        consumer.await??;
        Ok(took)
    }

    /// Returns how long Postgres takes to write the handler's rows again.
    pub(crate) async fn copy(&self, events: usize) -> anyhow::Result<Duration> {
        let mut ledger = self.ledger.pool().acquire().await?;
        ledger
            .execute("CREATE TABLE kept AS SELECT account, deposit, amount, memo FROM bookings ORDER BY id")
            .await?;
        ledger.execute("TRUNCATE bookings").await?;
        let copy = "INSERT INTO bookings (account, deposit, amount, memo) SELECT * FROM kept";
        let started = Instant::now();
        let copied = ledger.execute(copy).await?.rows_affected();
        let took = started.elapsed();
        ensure!(copied == events as u64, "{copied} rows of {events} events");
        Ok(took)
    }

    pub(crate) async fn close(self, servers: &Servers) -> anyhow::Result<()> {
        for (outbox, service) in [(self.till, "till"), (self.ledger, "ledger")] {
            outbox.pool().close().await;
            run(servers, &format!("DROP DATABASE {}_{service} WITH (FORCE)", self.name)).await?;
        }
        Ok(())
    }

    fn start_relay(&self) -> (CancellationToken, JoinHandle<Result<(), broker::KafkaError>>) {
        let stop = CancellationToken::new();
        let relay = Relay::new(self.settings.clone(), self.till.clone(), Vec::new());
        (stop.clone(), tokio::spawn(relay.run(stop)))
    }

    fn start_consumer(
        &self,
    ) -> (CancellationToken, JoinHandle<Result<(), ConsumerError>>, watch::Receiver<ConsumerStatus>) {
        let stop = CancellationToken::new();
        let subscriptions = vec![Subscription::new(Ledger)];
        let consumer = Consumer::new(self.settings.clone(), self.ledger.clone(), subscriptions);
        let status = consumer.status();
        (stop.clone(), tokio::spawn(consumer.run(stop)), status)
    }

    /// Waits until this many events are applied.
    async fn read(&self, events: usize) -> anyhow::Result<()> {
        let read = "SELECT coalesce(sum(greatest(next_offset, 0)), 0)::bigint FROM broker.positions";
        let wanted = i64::try_from(events)?;
        until(async || Ok(sqlx::query_scalar::<_, i64>(read).fetch_one(self.ledger.pool()).await? >= wanted))
            .await
    }
}

async fn until(mut condition: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    while !condition().await? {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn run(servers: &Servers, statement: &str) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(servers.postgres_url()).await?;
    admin.execute(AssertSqlSafe(statement.to_owned())).await?;
    Ok(())
}
