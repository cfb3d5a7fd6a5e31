//! Kafka and Postgres for tests: those of `KAFKA_BROKERS` and `POSTGRES_URL` when set, else a private pair on free
//! ports, which stops when its last user drops it.

use crate::daemon::Daemon;
use crate::error::Result;
use crate::guard::{Guard, Login};
use crate::home::Home;
use crate::maven::Installed;
use crate::postgres::{self, Durability};
use crate::scratch::Scratch;
use crate::service::instance_name;
use crate::{kafka, maven, ports, random};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::sync::Mutex;

/// A Kafka and a Postgres, private or external.
#[derive(Debug)]
pub struct Servers {
    brokers: String,
    postgres_url: String,
    /// The nodes of a private Kafka.
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

/// The places of a Kafka node's two listeners: that of clients and other brokers, and that of the controllers.
type NodePlaces = [Place; 2];

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

    /// Starts a private pair whose Kafka has a second listener, [`guarded_brokers`](Self::guarded_brokers), which asks for one
    /// of these users, each with a password, and checks their rights.
    pub async fn guarded(users: Vec<(String, String)>) -> Result<Arc<Self>> {
        Self::guarded_with(users, Login::Password).await
    }

    /// Starts the same with another way to log in at that listener.
    pub async fn guarded_with(users: Vec<(String, String)>, login: Login) -> Result<Arc<Self>> {
        let guard = Guard { admin_password: random::hex(16)?, users, port: Some(ports::free()?), login };
        let plan = Plan { guard: Some(guard), ..Plan::default() };
        Ok(Arc::new(Self::start_private(None, None, plan).await?))
    }

    /// Starts a private Kafka of three nodes, each of which is broker and controller, and a Postgres.
    pub async fn three_brokers() -> Result<Arc<Self>> {
        let node = || Ok::<_, crate::Error>([Place::direct()?, Place::direct()?]);
        Self::three_brokers_at([node()?, node()?, node()?]).await
    }

    /// Starts the same with the two listeners of each node, for brokers and for controllers, at these places.
    pub async fn three_brokers_at(nodes: [[Place; 2]; 3]) -> Result<Arc<Self>> {
        let plan = Plan { nodes: nodes.to_vec(), ..Plan::default() };
        Ok(Arc::new(Self::start_private(None, None, plan).await?))
    }

    /// Starts a private pair whose Postgres has these environment variables too.
    pub async fn private_with(postgres: &[(&str, String)]) -> Result<Self> {
        Self::start_private(None, None, Plan { environment: postgres, ..Plan::default() }).await
    }

    /// Starts a private pair behind the proxies of a test.
    pub async fn private_through(kafka: Place, postgres: Place) -> Result<Self> {
        let nodes = vec![[kafka, Place::direct()?]];
        let plan = Plan { nodes, postgres: Some(postgres), ..Plan::default() };
        Self::start_private(None, None, plan).await
    }

    /// Starts a private pair for a measurement: Postgres syncs to disk, as by default.
    pub async fn durable() -> Result<Self> {
        Self::start_private(None, None, Plan { durability: Durability::PowerCut, ..Plan::default() }).await
    }

    /// Starts the servers that are not given.
    pub async fn start(brokers: Option<String>, postgres_url: Option<String>) -> Result<Self> {
        let (Some(brokers), Some(postgres_url)) = (&brokers, &postgres_url) else {
            return Self::start_private(brokers, postgres_url, Plan::default()).await;
        };
        let (brokers, postgres_url) = (brokers.clone(), postgres_url.clone());
        Ok(Self { brokers, postgres_url, kafka: Vec::new(), guarded: None, postgres: None, scratch: None })
    }

    async fn start_private(
        brokers: Option<String>,
        postgres_url: Option<String>,
        mut plan: Plan<'_>,
    ) -> Result<Self> {
        let home = Home::find()?;
        let scratch = Scratch::new(&home)?;
        let installed = maven::install(&home, |_| ()).await?;
        let password = random::hex(16)?;
        let postgres_place = plan.postgres.take().map_or_else(Place::direct, Ok)?;
        if plan.nodes.is_empty() {
            plan.nodes.push([Place::direct()?, Place::direct()?]);
        }
        let nodes = nodes(&scratch, &plan);
        let postgres_settings = postgres::Settings {
            port: postgres_place.back,
            data: postgres_place.data.clone().unwrap_or_else(|| scratch.reachable().join("postgres")),
            run: scratch.dir(),
            password: &password,
            durability: plan.durability,
            environment: plan.environment,
        };
        let starting_kafka = async {
            let Some(given) = brokers else {
                let daemons = start_kafka(&installed, &nodes).await?;
                return Ok::<_, crate::Error>((kafka::brokers(&nodes), daemons));
            };
            Ok((given, Vec::new()))
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
        let ((brokers, kafka), (postgres_url, postgres)) = tokio::try_join!(starting_kafka, start_postgres)?;
        let guarded = plan.guard.and_then(|guard| guard.port);
        Ok(Self { brokers, postgres_url, kafka, guarded, postgres, scratch: Some(scratch) })
    }

    /// Kafka's bootstrap servers.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// An administrator's URL of Postgres.
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

    /// The bootstrap servers of the listener that asks for a user.
    pub fn guarded_brokers(&self) -> Option<String> {
        self.guarded.map(|port| format!("127.0.0.1:{port}"))
    }

    /// The folder of a partition's log in the private Kafka; `None` when Kafka is external.
    pub fn partition_log(&self, topic: &str, partition: i32) -> Option<PathBuf> {
        Some(self.kafka_data()?.join(format!("log/{topic}-{partition}")))
    }

    /// The data folder of the private Kafka's first node.
    pub(crate) fn kafka_data(&self) -> Option<PathBuf> {
        self.kafka.first()?;
        Some(self.scratch.as_ref()?.dir().join("kafka"))
    }

    /// The private Postgres; `None` when Postgres is external.
    pub fn postgres(&self) -> Option<&Daemon> {
        self.postgres.as_ref()
    }
}

/// The options of private servers.
#[derive(Default)]
struct Plan<'a> {
    /// The places of Kafka's nodes; empty for one node on free ports.
    nodes: Vec<NodePlaces>,
    /// The place of Postgres; `None` for a free port.
    postgres: Option<Place>,
    guard: Option<Guard>,
    durability: Durability,
    environment: &'a [(&'a str, String)],
}

/// Returns the settings of the nodes of a private Kafka.
fn nodes<'a>(scratch: &'a Scratch, plan: &Plan<'_>) -> Vec<kafka::Settings<'a>> {
    let controllers: Vec<u16> = plan.nodes.iter().map(|[_, controller]| controller.front).collect();
    let cluster_id = kafka::cluster_id();
    let node = |(index, [broker, controller]): (usize, &NodePlaces)| {
        let (id, controllers, cluster_id) = (index + 1, controllers.clone(), cluster_id.clone());
        let folder = || scratch.dir().join(instance_name("kafka", id));
        kafka::Settings {
            port: broker.back,
            advertised_port: broker.front,
            controller_port: controller.back,
            data: broker.data.clone().unwrap_or_else(folder),
            run: scratch.dir(),
            member: (plan.nodes.len() > 1).then_some(kafka::Member { id, controllers, cluster_id }),
            guard: plan.guard.clone(),
        }
    };
    plan.nodes.iter().enumerate().map(node).collect()
}

/// Starts the nodes of a Kafka at once, because each waits for a majority.
async fn start_kafka(installed: &Installed, nodes: &[kafka::Settings<'_>]) -> Result<Vec<Daemon>> {
    let prepared = nodes.iter().map(|settings| kafka::prepare(installed, settings));
    let daemons = futures::future::try_join_all(prepared).await?;
    daemons.iter().try_for_each(Daemon::spawn)?;
    futures::future::try_join_all(daemons.iter().map(Daemon::wait_ready)).await?;
    kafka::wait_for_brokers(&kafka::brokers(nodes), nodes.len()).await?;
    Ok(daemons)
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.kafka.iter().chain(&self.postgres).for_each(Daemon::clean_up);
    }
}
