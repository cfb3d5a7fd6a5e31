//! A private Kafka: one node that is broker and controller (`KRaft`), only on 127.0.0.1, without automatic topic
//! creation and with limited retention.

use crate::daemon::Daemon;
use crate::error::{During, Error, Result};
use crate::guard::Guard;
use crate::home::{create_private_dir, remove_dir};
use crate::maven::Installed;
use crate::process::Launch;
use crate::ready::Ready;
use crate::{environment, helper, java};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connection::Connection;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, ClientContext};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// The logging configuration: warnings, errors and the two startup lines, on standard output.
const LOGGING: &str = include_str!("../servers/log4j2.properties");

/// The time within which all brokers must be registered.
const REGISTRATION: Duration = Duration::from_secs(30);

/// The names of the files in the data folder.
pub(crate) const CONFIGURATION: &str = "server.properties";
const LOGGING_CONFIGURATION: &str = "log4j2.properties";
const LOG: &str = "log";

/// The settings that depend on neither port nor folder.
const PROPERTIES: &str = include_str!("../servers/kafka.properties");

/// The settings of one private Kafka.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The port for clients.
    pub port: u16,
    /// The port that Kafka names to its clients: `port`, or that of a proxy of a test.
    pub advertised_port: u16,
    /// The controller's port. Other nodes use the one that `member` names: the same, or that of a proxy of a test.
    pub controller_port: u16,
    /// The folder of configuration and log.
    pub data: PathBuf,
    /// The folder of the pid file and the log file of the process.
    pub run: &'a Path,
    /// The other nodes, when this is one of several.
    pub member: Option<Member>,
    /// The users, when clients need one.
    pub guard: Option<Guard>,
}

/// A node's place in a cluster of several nodes, each of which is broker and controller.
#[derive(Debug, Clone)]
pub struct Member {
    /// The number of this node, from 1.
    pub id: usize,
    /// The controllers' ports, in the order of the nodes' numbers.
    pub controllers: Vec<u16>,
    /// The id that all nodes share.
    pub cluster_id: String,
}

impl Member {
    /// The controller's port that Kafka names to the other nodes.
    fn advertised_controller_port(&self) -> Option<u16> {
        self.controllers.get(self.id.checked_sub(1)?).copied()
    }

    /// The name of this node and of its files: `kafka`, `kafka-2`, …
    pub fn name(&self) -> String {
        crate::service::instance_name("kafka", self.id)
    }

    /// Returns the properties that override those of a single node.
    fn properties(&self) -> String {
        let voter = |(index, port): (usize, &u16)| format!("{}@127.0.0.1:{port}", index + 1);
        let voters: Vec<String> = self.controllers.iter().enumerate().map(voter).collect();
        let (id, nodes, insync) = (self.id, voters.len(), voters.len().saturating_sub(1).max(1));
        format!(
            "node.id={id}\n\
             controller.quorum.voters={}\n\
             default.replication.factor={nodes}\n\
             min.insync.replicas={insync}\n\
             offsets.topic.replication.factor={nodes}\n\
             transaction.state.log.replication.factor={nodes}\n\
             transaction.state.log.min.isr={insync}\n\
             share.coordinator.state.topic.replication.factor={nodes}\n\
             share.coordinator.state.topic.min.isr={insync}\n",
            voters.join(",")
        )
    }
}

/// Formats the storage unless it exists, and returns the daemon.
///
/// Kafka runs in its data folder and gets only relative paths: `log.dirs` is a comma-separated list without escapes, so
/// the checkout's path must not contain a comma there, and Java decodes other special characters differently per place.
pub async fn prepare(installed: &Installed, settings: &Settings<'_>) -> Result<Daemon> {
    let java = java::find()?;
    let data = &settings.data;
    create_private_dir(data)?;
    write(&data.join(CONFIGURATION), &configuration(settings)?)?;
    write(&data.join(LOGGING_CONFIGURATION), LOGGING)?;
    let jars = relative(data, &installed.kafka)?;
    if !data.join(LOG).join("meta.properties").exists() {
        remove_dir(&data.join(LOG))?;
        let mut format = Command::new(&java);
        format.args(jvm(&jars)).arg("kafka.tools.StorageTool").arg("format");
        match &settings.member {
            Some(member) => format.arg("--cluster-id").arg(&member.cluster_id),
            None => format.arg("--standalone").arg("--cluster-id").arg(cluster_id()),
        };
        format.args(["--config", CONFIGURATION]);
        format.args(settings.guard.iter().flat_map(Guard::format_options));
        format.env_clear().envs(environment::kafka()).current_dir(data);
        helper::run("formatting Kafka's storage", &mut format).await?;
    }
    let mut arguments = jvm(&jars);
    arguments.extend(["kafka.Kafka".into(), CONFIGURATION.into()]);
    let folder = Some(data.clone());
    let launch = Launch { program: java, arguments, environment: environment::kafka(), folder, user: None };
    let brokers = format!("127.0.0.1:{}", settings.port);
    let name = settings.member.as_ref().map_or_else(|| "kafka".to_owned(), Member::name);
    Ok(Daemon::new(&name, settings.run, launch, Ready::Kafka(brokers)))
}

/// Returns the bootstrap servers of these nodes.
pub fn brokers(nodes: &[Settings<'_>]) -> String {
    let addresses: Vec<String> =
        nodes.iter().map(|node| format!("127.0.0.1:{}", node.advertised_port)).collect();
    addresses.join(",")
}

/// Waits until this number of brokers is registered, at most half a minute.
pub async fn wait_for_brokers(brokers: &str, count: usize) -> Result<()> {
    let brokers = brokers.to_owned();
    let waiting = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = client(&brokers).create()?;
        let deadline = Instant::now() + REGISTRATION;
        loop {
            let found = consumer.fetch_metadata(None, REGISTRATION)?.brokers().len();
            if found >= count {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::Machine(format!("only {found} of {count} Kafka brokers are registered")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    waiting.await.map_err(|error| Error::Machine(error.to_string()))?
}

static CONNECTION: OnceLock<Connection> = OnceLock::new();

/// Sets how the clients of this process connect to Kafka; without a call, as the `KAFKA_…` variables say. The first call
/// counts.
pub fn connect_with(connection: Connection) {
    let _ = CONNECTION.set(connection);
}

/// Reads the `KAFKA_…` variables among these.
pub fn connection(variables: impl Iterator<Item = (String, String)>) -> Result<Connection> {
    Connection::of_variables(variables).map_err(|error| Error::Machine(error.to_string()))
}

/// Returns the variables of this process's environment that are valid Unicode.
pub fn environment_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Returns the settings of a client for these bootstrap servers.
pub fn client(brokers: &str) -> ClientConfig {
    let mut config: ClientConfig = present_connection().properties().into_iter().collect();
    config.set("bootstrap.servers", brokers).set("client.id", "stack");
    config
}

fn present_connection() -> &'static Connection {
    CONNECTION
        .get_or_init(|| Connection::of_variables(environment_variables().into_iter()).unwrap_or_default())
}

/// Asks for the number of brokers, at most for `timeout`. Blocks. The error says why Kafka refuses the connection, if it does.
pub(crate) fn count_brokers(brokers: &str, timeout: Duration) -> std::result::Result<usize, String> {
    let connection = present_connection().clone();
    let mut config = client(brokers);
    // Only this log line, of level info, shows that a broker expects another security.protocol.
    config.set("log.connection.close", "true").set_log_level(RDKafkaLogLevel::Info);
    let asked: KafkaResult<BaseConsumer<Noting>> = config.create_with_context(Noting(connection.clone()));
    let consumer = asked.map_err(|error| error.to_string())?;
    let answer = consumer.fetch_metadata(None, timeout);
    while answer.is_err() && consumer.poll(Duration::ZERO).is_some() {}
    answer.map(|metadata| metadata.brokers().len()).map_err(|error| match connection.refusal() {
        Some(refusal) => format!("it refuses the connection: {refusal}"),
        None => error.to_string(),
    })
}

/// The context of a client that notes why Kafka refuses the connection.
struct Noting(Connection);

impl ClientContext for Noting {
    fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
        self.0.note(message);
    }

    fn error(&self, _: KafkaError, reason: &str) {
        self.0.note(reason);
    }
}

impl ConsumerContext for Noting {}

/// Returns the JVM arguments of one of Kafka's own programs, up to the main class.
fn jvm(jars: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"]
            .map(OsString::from)
            .to_vec();
    arguments.push("-Djava.awt.headless=true".into());
    arguments.push(format!("-Dlog4j2.configurationFile={LOGGING_CONFIGURATION}").into());
    arguments.extend(["-cp".into(), jars.join("*").into()]);
    arguments
}

fn configuration(settings: &Settings<'_>) -> Result<String> {
    let Settings { port, advertised_port, controller_port, .. } = settings;
    let advertised = settings.member.as_ref().and_then(Member::advertised_controller_port);
    let advertised_controller = advertised.unwrap_or(*controller_port);
    // A later line overrides an earlier one.
    let quorum = settings.member.as_ref().map_or_else(
        || format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n"),
        Member::properties,
    );
    let guard =
        settings.guard.as_ref().map(|guard| guard.properties(*port, *advertised_port, *controller_port));
    let guard = guard.transpose()?.unwrap_or_default();
    Ok(format!(
        "{PROPERTIES}\n\
         listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=BROKER://127.0.0.1:{advertised_port},CONTROLLER://127.0.0.1:{advertised_controller}\n\
         log.dirs={LOG}\n\
         {quorum}{guard}",
    ))
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).during(|| format!("writing {}", file.display()))
}

/// Returns the relative path from one folder to another.
fn relative(from: &Path, to: &Path) -> Result<PathBuf> {
    let canonical = |path: &Path| path.canonicalize().during(|| format!("looking at {}", path.display()));
    let (from, to) = (canonical(from)?, canonical(to)?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    Ok(up.chain(to.components().skip(shared)).collect())
}

/// Generates a cluster id in Kafka's format. The first bit is cleared, so that the id begins with a letter: a leading
/// dash would be parsed as an option.
pub fn cluster_id() -> String {
    let mut id = uuid::Uuid::new_v4().into_bytes();
    id[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(id)
}
