//! Kafka and Postgres for tests: those of `KAFKA_BROKERS` and `POSTGRES_URL` when set, else a private pair on free
//! ports, which stops when its last user drops it.

use crate::daemon::Daemon;
use crate::error::Result;
use crate::home::Home;
use crate::postgres::{self, Durability};
use crate::scratch::Scratch;
use crate::{kafka, maven, ports, random};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::sync::Mutex;

/// A Kafka and a Postgres, private or external.
#[derive(Debug)]
pub struct Servers {
    brokers: String,
    postgres_url: String,
    kafka: Option<Daemon>,
    postgres: Option<Daemon>,
    /// Dropped last, since the servers have their files there.
    scratch: Option<Scratch>,
}

/// The place of a private server.
#[derive(Debug, Clone)]
pub struct Place {
    /// The port to which clients connect: the server's own, or that of a proxy of a test.
    pub front: u16,
    /// The port on which the server listens.
    pub back: u16,
    /// The folder of the server's data; `None` for a folder that is removed with the server.
    pub data: Option<PathBuf>,
}

impl Place {
    /// Returns a place with a proxy before it, on free ports.
    pub fn behind_a_proxy(data: Option<PathBuf>) -> Result<Self> {
        Ok(Self { front: ports::free()?, back: ports::free()?, data })
    }

    fn direct() -> Result<Self> {
        let port = ports::free()?;
        Ok(Self { front: port, back: port, data: None })
    }
}

impl Servers {
    /// Returns the servers of the environment, else one private pair for all tests of this process.
    pub async fn shared() -> Result<Arc<Self>> {
        static PAIR: Mutex<Weak<Servers>> = Mutex::const_new(Weak::new());
        let mut pair = PAIR.lock().await;
        if let Some(servers) = pair.upgrade() {
            return Ok(servers);
        }
        let given = |name| program::variable(name)?.into_string().ok();
        let servers = Arc::new(Self::start(given("KAFKA_BROKERS"), given("POSTGRES_URL")).await?);
        *pair = Arc::downgrade(&servers);
        Ok(servers)
    }

    /// Starts a private pair for a test that breaks it.
    pub async fn private() -> Result<Arc<Self>> {
        Ok(Arc::new(Self::start(None, None).await?))
    }

    /// Starts a private pair whose Postgres has these environment variables too.
    pub async fn private_with(postgres: &[(&str, String)]) -> Result<Self> {
        Self::start_private(None, None, Durability::Kill, postgres, [Place::direct()?, Place::direct()?])
            .await
    }

    /// Starts a private pair behind the proxies of a test.
    pub async fn private_through(kafka: Place, postgres: Place) -> Result<Self> {
        Self::start_private(None, None, Durability::Kill, &[], [kafka, postgres]).await
    }

    /// Starts a private pair for a measurement: Postgres syncs to disk, as by default.
    pub async fn durable() -> Result<Self> {
        Self::start_private(None, None, Durability::PowerCut, &[], [Place::direct()?, Place::direct()?]).await
    }

    /// Starts the servers that are not given.
    pub async fn start(brokers: Option<String>, postgres_url: Option<String>) -> Result<Self> {
        let (Some(brokers), Some(postgres_url)) = (&brokers, &postgres_url) else {
            let places = [Place::direct()?, Place::direct()?];
            return Self::start_private(brokers, postgres_url, Durability::Kill, &[], places).await;
        };
        let (brokers, postgres_url) = (brokers.clone(), postgres_url.clone());
        Ok(Self { brokers, postgres_url, kafka: None, postgres: None, scratch: None })
    }

    async fn start_private(
        brokers: Option<String>,
        postgres_url: Option<String>,
        durability: Durability,
        environment: &[(&str, String)],
        [kafka_place, postgres_place]: [Place; 2],
    ) -> Result<Self> {
        let home = Home::find()?;
        let scratch = Scratch::new(&home)?;
        let installed = maven::install(&home, |_| ()).await?;
        let password = random::hex(16)?;
        let kafka_settings = kafka::Settings {
            port: kafka_place.back,
            advertised_port: kafka_place.front,
            controller_port: ports::free()?,
            data: kafka_place.data.clone().unwrap_or_else(|| kafka_data(&scratch)),
            run: scratch.dir(),
        };
        let postgres_settings = postgres::Settings {
            port: postgres_place.back,
            data: postgres_place.data.clone().unwrap_or_else(|| scratch.reachable().join("postgres")),
            run: scratch.dir(),
            password: &password,
            durability,
            environment,
        };
        let start_kafka = async {
            let Some(given) = brokers else {
                let daemon = kafka::prepare(&installed, &kafka_settings).await?;
                daemon.start().await?;
                return Ok::<_, crate::Error>((format!("127.0.0.1:{}", kafka_place.front), Some(daemon)));
            };
            Ok((given, None))
        };
        let start_postgres = async {
            let Some(given) = postgres_url else {
                let daemon = postgres::prepare(&installed, &postgres_settings).await?;
                daemon.start().await?;
                return Ok::<_, crate::Error>((
                    postgres::admin_url(postgres_place.front, &password),
                    Some(daemon),
                ));
            };
            Ok((given, None))
        };
        let ((brokers, kafka), (postgres_url, postgres)) = tokio::try_join!(start_kafka, start_postgres)?;
        Ok(Self { brokers, postgres_url, kafka, postgres, scratch: Some(scratch) })
    }

    /// Kafka's bootstrap servers.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// An administrator's URL of Postgres.
    pub fn postgres_url(&self) -> &str {
        &self.postgres_url
    }

    /// The private Kafka; `None` when Kafka is external.
    pub fn kafka(&self) -> Option<&Daemon> {
        self.kafka.as_ref()
    }

    /// The folder of a partition's log in the private Kafka; `None` when Kafka is external.
    pub fn partition_log(&self, topic: &str, partition: i32) -> Option<PathBuf> {
        self.kafka.as_ref()?;
        Some(kafka_data(self.scratch.as_ref()?).join(format!("log/{topic}-{partition}")))
    }

    /// The private Postgres; `None` when Postgres is external.
    pub fn postgres(&self) -> Option<&Daemon> {
        self.postgres.as_ref()
    }
}

fn kafka_data(scratch: &Scratch) -> PathBuf {
    scratch.dir().join("kafka")
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.kafka.iter().chain(&self.postgres).for_each(Daemon::clean_up);
    }
}
