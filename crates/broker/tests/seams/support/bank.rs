//! The bank: two databases with a role of their own and topics with a prefix of their own, on servers that may be shared.

use std::sync::Arc;
use std::time::Duration;

use broker::{Consumer, ConsumerStatus, Outbox, Relay, Settings, Subscription};
use connection::Connection;
use envelope::Event as _;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::Process;
use crate::events::{Balances, Deposits};
use crate::{ledger, till};

const SERVICES: [(&str, &str); 2] = [("till", till::SCHEMA), ("ledger", ledger::SCHEMA)];

/// The settings of a bank that tests change.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) partitions: i32,
    pub(crate) outbox_limit: i64,
    pub(crate) dead_letter_limit: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { partitions: 3, outbox_limit: 1_000_000, dead_letter_limit: 1000 }
    }
}

/// The servers of a bank: Kafka's bootstrap servers, and an administrator's URL of Postgres.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) kafka: String,
    pub(crate) postgres: String,
}

impl Addresses {
    fn of_environment() -> Self {
        let variable = |name| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set; run: target/debug/stack with-servers cargo test --workspace --test seams")
            })
        };
        Self { kafka: variable("KAFKA_BROKERS"), postgres: variable("POSTGRES_URL") }
    }
}

pub(crate) struct Bank {
    pub(crate) servers: Addresses,
    pub(crate) plan: Plan,
    /// `t_<8 hex>`: the role, and the prefix of the databases.
    name: String,
    pub(crate) till: Outbox,
    pub(crate) ledger: Outbox,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Bank {
    pub(crate) async fn open() -> Self {
        Self::planned(Plan::default()).await
    }

    pub(crate) async fn planned(plan: Plan) -> Self {
        Self::on(Addresses::of_environment(), plan).await
    }

    pub(crate) async fn on(servers: Addresses, plan: Plan) -> Self {
        // The log of a failed test; BANK_LOG changes its level. (RUST_LOG is for the processes.)
        let filter = std::env::var("BANK_LOG").unwrap_or_else(|_| "warn,sqlx=error,broker=info".to_owned());
        let filter = EnvFilter::new(filter);
        let _ =
            tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_test_writer().try_init();
        let name = format!("t_{:08x}", uuid::Uuid::new_v4().as_fields().0);
        let mut admin = PgConnection::connect(&servers.postgres).await.unwrap();
        run(&mut admin, format!("CREATE ROLE {name} LOGIN PASSWORD '{name}'")).await;
        // Not a superuser, so that a right can be missing. The timeouts end the locks of frozen processes.
        run(&mut admin, format!("ALTER ROLE {name} SET lock_timeout = '3s'")).await;
        run(&mut admin, format!("ALTER ROLE {name} SET idle_in_transaction_session_timeout = '4s'")).await;
        let mut pools = Vec::new();
        for (service, schema) in SERVICES {
            run(&mut admin, format!("CREATE DATABASE {name}_{service} OWNER {name}")).await;
            let pool = PgPoolOptions::new()
                .max_connections(5)
                .acquire_timeout(Duration::from_secs(3))
                .connect_lazy(&database_url(&servers, &name, service))
                .unwrap();
            broker::MIGRATIONS.run(&pool).await.unwrap();
            pool.execute(AssertSqlSafe(schema)).await.unwrap();
            pools.push(pool);
        }
        let [till, ledger] = pools.try_into().unwrap();
        let settings = |service| settings(&servers, &name, &plan, service);
        let (till, ledger) = (Outbox::new(till, &settings("till")), Outbox::new(ledger, &settings("ledger")));
        let bank = Self {
            plan: plan.clone(),
            till,
            ledger,
            stop: CancellationToken::new(),
            tasks: Vec::new(),
            servers: servers.clone(),
            name: name.clone(),
        };
        let topics = [Deposits::TOPIC, Balances::TOPIC];
        broker_ops::topics::create(&bank.settings("ledger"), &topics).await.unwrap();
        bank
    }

    pub(crate) fn settings(&self, service: &str) -> Settings {
        settings(&self.servers, &self.name, &self.plan, service)
    }

    /// Returns the full name of a topic.
    pub(crate) fn topic(&self, name: &str) -> String {
        self.settings("till").topic_name(name)
    }

    /// Returns a service as a process of its own, not started yet.
    pub(crate) fn process(&self, service: &str) -> Process {
        let settings = self.settings(service);
        Process::of(service, &self.name)
            .with("DATABASE_URL", database_url(&self.servers, &self.name, service))
            .with("KAFKA_BROKERS", &settings.brokers)
            .with("TOPIC_PREFIX", &settings.prefix)
            .with("TOPIC_PARTITIONS", settings.partitions.to_string())
            .with("DEAD_LETTER_LIMIT", settings.dead_letter_limit.to_string())
    }

    /// Runs the till within this process until the bank closes.
    pub(crate) fn run_till(&mut self) {
        self.relay("till");
    }

    /// Runs the ledger within this process until the bank closes, and returns its consumer's status.
    pub(crate) fn run_ledger(&mut self) -> watch::Receiver<ConsumerStatus> {
        self.relay("ledger");
        self.consume(self.settings("ledger"))
    }

    pub(crate) fn relay(&mut self, service: &str) {
        self.relay_with(service, self.settings(service));
    }

    /// Runs a relay whose Kafka does not exist.
    pub(crate) fn relay_without_kafka(&mut self, service: &str) {
        self.relay_with(service, Settings { brokers: "127.0.0.1:1".to_owned(), ..self.settings(service) });
    }

    pub(crate) fn relay_with(&mut self, service: &str, settings: Settings) {
        let compacted: Vec<Arc<dyn broker::Compacted>> = match service {
            "ledger" => vec![Arc::new(ledger::Ledger)],
            _ => Vec::new(),
        };
        let relay = Relay::new(settings, self.outbox(service), compacted);
        let stop = self.stop.clone();
        self.tasks.push(tokio::spawn(async move { relay.run(stop).await.unwrap() }));
    }

    pub(crate) fn consume(&mut self, settings: Settings) -> watch::Receiver<ConsumerStatus> {
        self.consume_with(settings, Subscription::new(ledger::Ledger))
    }

    pub(crate) fn consume_with(
        &mut self,
        settings: Settings,
        subscription: Subscription,
    ) -> watch::Receiver<ConsumerStatus> {
        let consumer = Consumer::new(settings, self.ledger.clone(), vec![subscription]);
        let (status, stop) = (consumer.status(), self.stop.clone());
        self.tasks.push(tokio::spawn(async move { consumer.run(stop).await.unwrap() }));
        status
    }

    fn outbox(&self, service: &str) -> Outbox {
        if service == "till" { self.till.clone() } else { self.ledger.clone() }
    }

    pub(crate) fn pool(&self, service: &str) -> PgPool {
        self.outbox(service).pool().clone()
    }

    /// Stops the services within this process, and removes the bank's data from shared servers.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        for outbox in [&self.till, &self.ledger] {
            outbox.pool().close().await;
        }
        let mut admin = PgConnection::connect(&self.servers.postgres).await.unwrap();
        for (service, _) in SERVICES {
            run(&mut admin, format!("DROP DATABASE {}_{service} WITH (FORCE)", self.name)).await;
        }
        run(&mut admin, format!("DROP ROLE {}", self.name)).await;
        self.delete_topics(&["deposits", "balances", "dlq.till", "dlq.ledger"]).await;
    }
}

fn settings(servers: &Addresses, name: &str, plan: &Plan, service: &str) -> Settings {
    Settings {
        prefix: format!("{name}."),
        partitions: plan.partitions,
        retention: None,
        outbox_limit: plan.outbox_limit,
        dead_letter_limit: plan.dead_letter_limit,
        connection: Connection::of_variables(std::env::vars()).unwrap(),
        ..Settings::new(service, &servers.kafka)
    }
}

fn database_url(servers: &Addresses, name: &str, service: &str) -> String {
    let mut url: Url = servers.postgres.parse().unwrap();
    url.set_path(&format!("{name}_{service}"));
    url.set_username(name).unwrap();
    url.set_password(Some(name)).unwrap();
    url.into()
}

async fn run(admin: &mut PgConnection, statement: String) {
    admin.execute(AssertSqlSafe(statement)).await.unwrap();
}
