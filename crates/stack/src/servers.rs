//! Kafka and Postgres for tests: those of `KAFKA_BROKERS` and `POSTGRES_URL` when set, else a private pair on free
//! ports, which stops when its last user drops it.

use crate::daemon::Daemon;
use crate::error::Result;
use crate::guard::{Guard, Login};
use crate::home::Home;
use crate::postgres::{self, Durability};
use crate::process::instance_name;
use crate::scratch::Scratch;
use crate::secrets::hex;
use crate::{kafka, maven, ports};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::sync::Mutex;

/// A Kafka and a Postgres, private or external.
#[derive(Debug)]
pub struct Servers {
    brokers: String,
    postgres_url: String,
    kafka: Vec<Daemon>,
    /// The port of the private Kafka's listener that asks for a user.
    guarded: Option<u16>,
    postgres: Option<Daemon>,
    /// Dropped last, since the servers have their files there.
    scratch: Option<Scratch>,
}

/// The place of a private server.
#[derive(Debug, Clone)]
pub struct Place {
    /// The port to which clients connect: the server's own, or that of a proxy of a test.
    pub front: u16,
    pub back: u16,
    /// The folder of the server's data; `None` for a folder that is removed with the server.
    pub data: Option<PathBuf>,
}

impl Place {
    /// Returns a place with a proxy before it, on free ports.
    pub fn behind_a_proxy(data: Option<PathBuf>) -> Result<Self> {
        Ok(Self { front: ports::free()?, back: ports::free()?, data })
    }

    pub fn direct() -> Result<Self> {
        let port = ports::free()?;
        Ok(Self { front: port, back: port, data: None })
    }
}

/// The description of the servers to start: addresses of given ones, places and settings of private ones.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// A given Kafka and a given Postgres, instead of private ones.
    pub brokers: Option<String>,
    pub postgres_url: Option<String>,
    /// The places of the two listeners of each of Kafka's nodes: that of clients and other brokers, and that of the controllers.
    /// Empty for one node on free ports.
    pub nodes: Vec<[Place; 2]>,
    /// The place of Postgres; `None` for a free port.
    pub postgres: Option<Place>,
    pub guard: Option<Guard>,
    pub durability: Durability,
    /// Environment variables of Postgres, in addition to the usual ones.
    pub environment: &'a [(&'a str, String)],
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

    pub async fn private() -> Result<Arc<Self>> {
        Self::planned(Plan::default()).await.map(Arc::new)
    }

    /// Starts a private pair whose Kafka has a second listener, [`guarded_brokers`](Self::guarded_brokers), which asks for one
    /// of these users, each with a password, and checks their rights.
    pub async fn guarded(users: Vec<(String, String)>, login: Login) -> Result<Arc<Self>> {
        let guard = Guard { admin_password: hex(16)?, users, port: Some(ports::free()?), login };
        Self::planned(Plan { guard: Some(guard), ..Plan::default() }).await.map(Arc::new)
    }

    /// Starts a private Kafka of three nodes, each of which is broker and controller, and a Postgres.
    pub async fn three_brokers() -> Result<Arc<Self>> {
        let node = |_| Ok::<_, crate::Error>([Place::direct()?, Place::direct()?]);
        let nodes = (0..3).map(node).collect::<Result<_>>()?;
        Self::planned(Plan { nodes, ..Plan::default() }).await.map(Arc::new)
    }

    /// Starts a private pair for a measurement: Postgres syncs to disk, as by default.
    pub async fn durable() -> Result<Self> {
        Self::planned(Plan { durability: Durability::PowerCut, ..Plan::default() }).await
    }

    /// Starts the servers that are not given.
    pub async fn start(brokers: Option<String>, postgres_url: Option<String>) -> Result<Self> {
        let (Some(brokers), Some(postgres_url)) = (&brokers, &postgres_url) else {
            return Self::planned(Plan { brokers, postgres_url, ..Plan::default() }).await;
        };
        let (brokers, postgres_url) = (brokers.clone(), postgres_url.clone());
        Ok(Self { brokers, postgres_url, kafka: Vec::new(), guarded: None, postgres: None, scratch: None })
    }

    /// Starts private servers, except those that are given.
    pub async fn planned(mut plan: Plan<'_>) -> Result<Self> {
        let home = Home::find()?;
        let scratch = Scratch::new(&home)?;
        let installed = maven::install(&home, |_| ()).await?;
        let password = hex(16)?;
        let postgres_place = plan.postgres.take().map_or_else(Place::direct, Ok)?;
        if plan.nodes.is_empty() {
            plan.nodes.push([Place::direct()?, Place::direct()?]);
        }
        let nodes = nodes(&scratch, &plan)?;
        let postgres_settings = postgres::Settings {
            port: postgres_place.back,
            data: postgres_place.data.clone().unwrap_or_else(|| scratch.reachable().join("postgres")),
            run: scratch.dir(),
            password: &password,
            durability: plan.durability,
            environment: plan.environment,
        };
        let starting_kafka = async {
            match plan.brokers {
                Some(given) => Ok((given, Vec::new())),
                None => kafka::start(&installed, &nodes).await,
            }
        };
        let starting_postgres = async {
            let Some(given) = plan.postgres_url else {
                let daemon = postgres::prepare(&installed, &postgres_settings).await?;
                daemon.start().await?;
                return Ok((postgres::admin_url(postgres_place.front, &password), Some(daemon)));
            };
            Ok::<_, crate::Error>((given, None))
        };
        let ((brokers, kafka), (postgres_url, postgres)) =
            tokio::try_join!(starting_kafka, starting_postgres)?;
        let guarded = plan.guard.and_then(|guard| guard.port);
        Ok(Self { brokers, postgres_url, kafka, guarded, postgres, scratch: Some(scratch) })
    }

    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    pub fn postgres_url(&self) -> &str {
        &self.postgres_url
    }

    /// The private Kafka, its first node when it has several; `None` when Kafka is external.
    pub fn kafka(&self) -> Option<&Daemon> {
        self.kafka.first()
    }

    /// The nodes of the private Kafka, in the order of their numbers.
    pub fn nodes(&self) -> &[Daemon] {
        &self.kafka
    }

    pub fn guarded_brokers(&self) -> Option<String> {
        self.guarded.map(|port| format!("127.0.0.1:{port}"))
    }

    /// The folder of a partition's log in the private Kafka; `None` when Kafka is external.
    pub fn partition_log(&self, topic: &str, partition: i32) -> Option<PathBuf> {
        Some(self.kafka_data()?.join(format!("log/{topic}-{partition}")))
    }

    /// The data folder of the private Kafka's first node.
    pub fn kafka_data(&self) -> Option<PathBuf> {
        self.kafka.first()?;
        Some(self.scratch.as_ref()?.dir().join("kafka"))
    }

    /// The private Postgres; `None` when Postgres is external.
    pub fn postgres(&self) -> Option<&Daemon> {
        self.postgres.as_ref()
    }
}

fn nodes(scratch: &Scratch, plan: &Plan<'_>) -> Result<Vec<kafka::Settings>> {
    let controllers: Vec<u16> = plan.nodes.iter().map(|[_, controller]| controller.front).collect();
    let cluster_id = hex(16)?;
    let node = |(index, [broker, controller]): (usize, &[Place; 2])| {
        let folder = || scratch.dir().join(instance_name("kafka", index + 1));
        kafka::Settings {
            id: index + 1,
            port: broker.back,
            advertised_port: broker.front,
            controller_port: controller.back,
            controllers: controllers.clone(),
            cluster_id: cluster_id.clone(),
            data: broker.data.clone().unwrap_or_else(folder),
            run: scratch.dir().to_path_buf(),
            guard: plan.guard.clone(),
        }
    };
    Ok(plan.nodes.iter().enumerate().map(node).collect())
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.kafka.iter().chain(&self.postgres).for_each(Daemon::clean_up);
    }
}
