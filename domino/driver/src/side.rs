//! The two systems that are compared, and the same faults for both.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bench::shop::Shop;
use chain::Chain;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use testkit::Servers;
use uuid::Uuid;

/// The number of products that orders choose from, and the most units that one restock brings to the chain.
const PRODUCTS: usize = 1000;
const UNITS: i64 = 1_000_000;

/// A system under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
pub(crate) enum Kind {
    /// The services of this repository.
    Events,
    /// The synchronous chain.
    Chain,
    /// The synchronous chain with circuit breakers.
    ChainWithBreaker,
}

impl Kind {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Chain => "synchronous chain",
            Self::ChainWithBreaker => "synchronous chain with circuit breakers",
        }
    }
}

/// A fault, the same for both systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Fault {
    None,
    NotificationDead,
    GatewaySlow,
    InventoryKilled,
    DatabaseLocked,
}

/// All faults, in the order of a run.
pub(crate) const FAULTS: [Fault; 5] =
    [Fault::None, Fault::NotificationDead, Fault::GatewaySlow, Fault::InventoryKilled, Fault::DatabaseLocked];

impl Fault {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::None => "healthy",
            Self::NotificationDead => "notification dead",
            Self::GatewaySlow => "payment gateway 2 s slow",
            Self::InventoryKilled => "inventory killed",
            Self::DatabaseLocked => "payment's table locked",
        }
    }
}

/// The latency of the gateway in milliseconds, as it should be and when it is slow.
const USUAL: u64 = 10;
const SLOW: u64 = 2_000;

/// A running system.
pub(crate) enum Side {
    Events(Box<Shop>),
    Chain(Chain),
}

/// Orders by their state in the system's databases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Final {
    /// Confirmed, captured and committed.
    pub(crate) confirmed: i64,
    /// Cancelled, with nothing captured.
    pub(crate) cancelled: i64,
    /// In no final state yet, of all orders.
    pub(crate) open: i64,
    /// Orders whose money the gateway has captured and not given back.
    pub(crate) charged: i64,
}

impl Final {
    /// Returns the difference from `before`; open orders are not a difference.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            confirmed: self.confirmed - before.confirmed,
            cancelled: self.cancelled - before.cancelled,
            open: self.open,
            charged: self.charged - before.charged,
        }
    }
}

impl Side {
    pub(crate) async fn start(kind: Kind, servers: &Arc<Servers>, programs: &Path) -> anyhow::Result<Self> {
        let side = if kind == Kind::Events {
            Self::Events(Box::new(Shop::open(servers, 1).await?))
        } else {
            Self::Chain(Self::start_chain(kind, servers, programs).await?)
        };
        side.set_gateway_latency(USUAL).await?;
        Ok(side)
    }

    async fn start_chain(kind: Kind, servers: &Servers, programs: &Path) -> anyhow::Result<Chain> {
        let name =
            format!("{}_{}", if kind == Kind::Chain { "chain" } else { "breaker" }, Uuid::new_v4().simple());
        let has_breaker = kind == Kind::ChainWithBreaker;
        let chain = Chain::start(&programs.join("chain"), servers.postgres_url(), &name, has_breaker).await?;
        for product in 0..PRODUCTS {
            chain.stock(&format!("sku-{product}"), UNITS).await?;
        }
        Ok(chain)
    }

    /// The address of `POST /orders`, `host:port`.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Events(shop) => shop.address(),
            Self::Chain(chain) => chain.url("order").trim_start_matches("http://").to_owned(),
        }
    }

    /// The processes of the system and its servers, by name.
    pub(crate) fn pids(&self, servers: &Servers) -> Vec<(String, i32)> {
        match self {
            Self::Events(shop) => shop.pids(),
            Self::Chain(chain) => {
                let roles = chain::ROLES
                    .into_iter()
                    .filter_map(|role| Some((role.to_owned(), i32::try_from(chain.pid(role)?).ok()?)));
                roles.chain(bench::shop::server_pids(servers)).collect()
            }
        }
    }

    fn database_url(&self, service: &str) -> &str {
        match self {
            Self::Events(shop) => shop.system.database_url(service),
            Self::Chain(chain) => chain.database_url(service),
        }
    }

    /// A connection to the database of the order service.
    pub(crate) async fn orders(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(self.database_url("order")).await?)
    }

    /// The orders by their state.
    pub(crate) async fn finals(&self) -> anyhow::Result<Final> {
        let (orders, charged) = match self {
            Self::Events(_) => (
                "SELECT count(*) FILTER (WHERE status = 'confirmed' AND payment = 'captured' AND stock = 'committed'),
                        count(*) FILTER (WHERE status = 'cancelled'), count(*) FROM orders",
                "SELECT count(*) FROM gateway.authorizations AS one WHERE captured_at IS NOT NULL
                 AND NOT EXISTS (SELECT FROM gateway.refunds WHERE refunds.reference = one.reference)",
            ),
            Self::Chain(_) => (
                "SELECT count(*) FILTER (WHERE status = 'confirmed'), count(*) FILTER (WHERE status = 'cancelled'), count(*) FROM orders",
                "SELECT count(*) FROM authorizations WHERE captured_at IS NOT NULL AND reversed_at IS NULL",
            ),
        };
        let mut database = self.orders().await?;
        let (confirmed, cancelled, all): (i64, i64, i64) =
            sqlx::query_as(orders).fetch_one(&mut database).await?;
        let mut database = PgConnection::connect(self.database_url("payment")).await?;
        let charged = sqlx::query_scalar(charged).fetch_one(&mut database).await?;
        Ok(Final { confirmed, cancelled, open: all - confirmed - cancelled, charged })
    }

    /// Injects a fault for `length`, then heals it.
    pub(crate) async fn fault(&mut self, fault: Fault, length: Duration) -> anyhow::Result<()> {
        let wait = tokio::time::sleep(length);
        match fault {
            Fault::None => wait.await,
            Fault::NotificationDead | Fault::InventoryKilled => {
                let service = if fault == Fault::InventoryKilled { "inventory" } else { "notification" };
                self.kill(service).await?;
                wait.await;
                self.restart(service).await?;
            }
            Fault::GatewaySlow => {
                self.set_gateway_latency(SLOW).await?;
                wait.await;
                self.set_gateway_latency(USUAL).await?;
            }
            Fault::DatabaseLocked => {
                let mut database = PgConnection::connect(self.database_url("payment")).await?;
                let lock = "BEGIN; LOCK TABLE payments IN EXCLUSIVE MODE";
                database.execute(AssertSqlSafe(lock)).await.context("locking payments")?;
                wait.await;
                database.execute("ROLLBACK").await?;
            }
        }
        Ok(())
    }

    async fn kill(&mut self, service: &'static str) -> anyhow::Result<()> {
        match self {
            Self::Events(shop) => shop.system.service(service).kill(),
            Self::Chain(chain) => chain.kill(service).await?,
        }
        Ok(())
    }

    async fn restart(&mut self, service: &'static str) -> anyhow::Result<()> {
        match self {
            Self::Events(shop) => Ok(shop.system.service(service).start().await?),
            Self::Chain(chain) => chain.restart(service).await,
        }
    }

    async fn set_gateway_latency(&self, milliseconds: u64) -> anyhow::Result<()> {
        match self {
            Self::Events(shop) => {
                let switch = json!({"latency_ms": milliseconds, "outage": false});
                shop.operator("payment", reqwest::Method::PUT, "/gateway", &switch).await
            }
            Self::Chain(chain) => chain.set_gateway_latency(milliseconds).await,
        }
    }
}
