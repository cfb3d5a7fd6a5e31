//! The system under test: a Kafka, a Postgres with fsync on, and the services, all of them processes of this program,
//! with a catalogue of 1,000 products.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use sqlx::{PgPool, Row as _};
use testkit::{Builder, Servers, System};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::load::{Answer, PRODUCTS};

/// The units of each product: the most that one restock may bring.
const UNITS: i64 = 1_000_000;
/// The number of requests in flight while the catalogue is created. More would each open a connection to Postgres at once,
/// which an unoptimized build on a busy machine does not manage within the 2 s that a request waits.
const AT_ONCE: usize = 4;
const POLL: Duration = Duration::from_millis(100);

/// A running system.
pub struct Shop {
    pub system: System,
    servers: Arc<Servers>,
    notification: PgPool,
    http: reqwest::Client,
}

impl Shop {
    /// Starts a system on `servers` and creates the catalogue.
    pub async fn open(servers: &Arc<Servers>, instances: usize) -> anyhow::Result<Self> {
        let builder = System::builder().instances_of_all(instances).env_all("TOPIC_PARTITIONS", "12");
        Self::with(servers, builder).await
    }

    /// Starts a system from a builder and creates the catalogue.
    pub async fn with(servers: &Arc<Servers>, builder: Builder) -> anyhow::Result<Self> {
        let system = builder.built().servers(Arc::clone(servers)).start().await?;
        // A load may leave a backlog; each phase waits for its own.
        system.leave_queues();
        let notification = PgPool::connect(system.database_url("notification")).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let shop = Self { system, servers: Arc::clone(servers), notification, http };
        let products = futures::stream::iter(0..PRODUCTS).map(Ok);
        products.try_for_each_concurrent(AT_ONCE, |number| shop.product(number)).await?;
        shop.system.quiesce().await?;
        Ok(shop)
    }

    async fn product(&self, number: usize) -> anyhow::Result<()> {
        let sku = format!("sku-{number}");
        self.list(&sku).await?;
        self.restock(&sku, UNITS).await
    }

    /// Lists a product, without stock.
    pub async fn list(&self, sku: &str) -> anyhow::Result<()> {
        let product = json!({"name": format!("Product {sku}"), "price": {"amount": 1299, "currency": "EUR"}});
        self.operator("inventory", reqwest::Method::PUT, &format!("/products/{sku}"), &product).await
    }

    pub async fn restock(&self, sku: &str, units: i64) -> anyhow::Result<()> {
        let path = format!("/products/{sku}/restock");
        self.operator("inventory", reqwest::Method::POST, &path, &json!({"quantity": units})).await
    }

    /// Sends an operator's request and expects success.
    pub async fn operator(
        &self,
        service: &str,
        method: reqwest::Method,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.system.url(service));
        let answer =
            self.http.request(method, &url).bearer_auth(self.system.admin_token()).json(body).send().await?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "{url}: {status} {}; the end of its log:\n{}",
            answer.text().await?,
            self.system.service(service).log_tail()
        );
        Ok(())
    }

    /// The address of the order service, `host:port`.
    pub fn address(&self) -> String {
        self.system.url("order").trim_start_matches("http://").to_owned()
    }

    /// The processes under test, by name.
    pub fn pids(&self) -> Vec<(String, i32)> {
        self.service_pids().into_iter().chain(server_pids(&self.servers)).collect()
    }

    /// The processes of the services, by name.
    pub fn service_pids(&self) -> Vec<(String, i32)> {
        let instances = self.system.services().flat_map(|service| {
            (1..=self.system.instances(service)).filter_map(move |number| {
                Some((format!("{service}-{number}"), self.system.instance(service, number).pid()?))
            })
        });
        instances.collect()
    }

    pub fn notification(&self) -> &PgPool {
        &self.notification
    }

    /// The number of events that the notification service has published: one per notification of an order.
    pub async fn notified(&self) -> anyhow::Result<i64> {
        let number = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM broker.outbox_id_seq";
        Ok(sqlx::query_scalar(number).fetch_one(&self.notification).await?)
    }

    /// Waits until the notifications of all these orders are sent. Returns the time at which each was.
    pub async fn notifications(
        &self,
        orders: &[Answer],
        limit: Duration,
    ) -> anyhow::Result<HashMap<Uuid, SystemTime>> {
        let Some(first) = orders.iter().map(|order| order.due).min() else { return Ok(HashMap::new()) };
        let deadline = Instant::now() + limit;
        let since = OffsetDateTime::from(first);
        let mut before = None;
        loop {
            let now = Some(self.notified().await?);
            // Counting reads the whole table: only when nothing has been published for a moment.
            if before == now {
                let count = "SELECT count(*) FROM deliveries
                             WHERE kind = 'order_confirmed' AND channel = 'log' AND finished_at >= $1";
                let count: i64 = sqlx::query_scalar(count).bind(since).fetch_one(&self.notification).await?;
                if count >= i64::try_from(orders.len())? {
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "{count} of {} orders were notified within {limit:?}",
                    orders.len()
                );
            }
            before = now;
            tokio::time::sleep(POLL).await;
        }
        let select = "SELECT order_id, finished_at FROM deliveries
                      WHERE kind = 'order_confirmed' AND channel = 'log' AND finished_at >= $1";
        let rows = sqlx::query(select).bind(since).fetch_all(&self.notification).await?;
        let sent =
            |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get::<OffsetDateTime, _>(1)?.into()));
        rows.iter().map(sent).collect::<sqlx::Result<_>>().context("reading the deliveries")
    }
}

/// The process ids of a private Kafka and Postgres.
pub fn server_pids(servers: &Servers) -> impl Iterator<Item = (String, i32)> {
    let kafka = servers.kafka().and_then(testkit::Daemon::pid).map(|pid| ("kafka".to_owned(), pid));
    let postgres = servers.postgres().and_then(testkit::Daemon::pid).map(|pid| ("postgres".to_owned(), pid));
    kafka.into_iter().chain(postgres)
}
