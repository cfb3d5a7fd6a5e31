//! A private Kafka of one or several nodes, each of which is broker and controller (`KRaft`), only on 127.0.0.1, without
//! automatic topic creation and with limited retention.

pub(crate) mod clients;

use crate::daemon::Daemon;
use crate::error::{During, Error, Result};
use crate::guard::Guard;
use crate::home::{create_private_dir, remove_dir};
use crate::maven::Installed;
use crate::process::{Launch, instance_name};
use crate::ready::Ready;
use crate::{environment, helper, java};
use futures::future::try_join_all;
use rdkafka::consumer::Consumer as _;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

pub use clients::{ask, client, connect_with, environment_variables};

/// The logging configuration: warnings, errors and the two startup lines, on standard output.
const LOGGING: &str = include_str!("../servers/log4j2.properties");

/// The time within which all brokers must be registered.
const REGISTRATION: Duration = Duration::from_secs(30);

/// The names of the files in the data folder.
pub const CONFIGURATION: &str = "server.properties";
const LOGGING_CONFIGURATION: &str = "log4j2.properties";
const LOG: &str = "log";

/// The settings that depend on neither port nor folder.
const PROPERTIES: &str = include_str!("../servers/kafka.properties");

/// The settings of one node of a private Kafka, which is broker and controller.
#[derive(Debug)]
pub struct Settings {
    /// The number of this node, from 1.
    pub id: usize,
    pub port: u16,
    /// The port that Kafka names to its clients: `port`, or that of a proxy of a test.
    pub advertised_port: u16,
    pub controller_port: u16,
    /// The ports that Kafka names for the controllers of all nodes, in the order of their numbers: the controllers' own, or those
    /// of proxies of a test.
    pub controllers: Vec<u16>,
    /// The id that all nodes share; a leading dash would be parsed as an option.
    pub cluster_id: String,
    pub data: PathBuf,
    /// The folder of the pid file and the log file of the process.
    pub run: PathBuf,
    /// The users, when clients need one.
    pub guard: Option<Guard>,
}

impl Settings {
    fn is_alone(&self) -> bool {
        self.controllers.len() == 1
    }

    /// Returns the properties of the quorum, which for several nodes override those of a single one.
    fn quorum(&self) -> String {
        if self.is_alone() {
            return format!("controller.quorum.bootstrap.servers=127.0.0.1:{}\n", self.controller_port);
        }
        let voter = |(index, port): (usize, &u16)| format!("{}@127.0.0.1:{port}", index + 1);
        let voters: Vec<String> = self.controllers.iter().enumerate().map(voter).collect();
        let (id, nodes, insync) = (self.id, voters.len(), voters.len() - 1);
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
pub async fn prepare(installed: &Installed, settings: &Settings) -> Result<Daemon> {
    let java = java::find()?;
    let data = &settings.data;
    create_private_dir(data)?;
    write(&data.join(CONFIGURATION), &configuration(settings))?;
    write(&data.join(LOGGING_CONFIGURATION), LOGGING)?;
    let jars = relative(data, &installed.kafka)?;
    if !data.join(LOG).join("meta.properties").exists() {
        remove_dir(&data.join(LOG))?;
        let mut format = Command::new(&java);
        format.args(jvm(&jars)).args(["kafka.tools.StorageTool", "format", "--config", CONFIGURATION]);
        format.args(settings.is_alone().then_some("--standalone"));
        format.arg("--cluster-id").arg(&settings.cluster_id);
        format.args(settings.guard.iter().flat_map(Guard::format_options));
        format.env_clear().envs(environment::kafka()).current_dir(data);
        helper::run("formatting Kafka's storage", &mut format).await?;
    }
    let mut arguments = jvm(&jars);
    arguments.extend(["kafka.Kafka".into(), CONFIGURATION.into()]);
    let folder = Some(data.clone());
    let launch = Launch { folder, ..Launch::new(java, arguments, environment::kafka()) };
    let ready = Ready::Kafka(format!("127.0.0.1:{}", settings.port));
    Ok(Daemon::new(&instance_name("kafka", settings.id), &settings.run, launch, ready))
}

/// Starts all nodes of a Kafka at once, because each waits for a majority. Returns its bootstrap servers, too.
pub async fn start(installed: &Installed, nodes: &[Settings]) -> Result<(String, Vec<Daemon>)> {
    let address = |node: &Settings| format!("127.0.0.1:{}", node.advertised_port);
    let brokers = nodes.iter().map(address).collect::<Vec<_>>().join(",");
    let daemons = try_join_all(nodes.iter().map(|settings| prepare(installed, settings))).await?;
    daemons.iter().try_for_each(Daemon::spawn)?;
    try_join_all(daemons.iter().map(Daemon::wait_ready)).await?;
    wait_for_brokers(&brokers, nodes.len()).await?;
    Ok((brokers, daemons))
}

/// Waits until this number of brokers is registered, at most half a minute.
pub async fn wait_for_brokers(brokers: &str, count: usize) -> Result<()> {
    let waiting = ask(brokers, move |consumer| {
        let deadline = Instant::now() + REGISTRATION;
        loop {
            let found = consumer.fetch_metadata(None, REGISTRATION)?.brokers().len();
            if found >= count {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::Failed(format!("only {found} of {count} Kafka brokers are registered")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    waiting.await
}

/// Returns a command that runs one of Kafka's own tools; the caller adds its arguments.
pub fn tool(installed: &Installed, class: &str) -> Result<Command> {
    let mut tool = Command::new(java::find()?);
    tool.env_clear().envs(environment::kafka());
    tool.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    tool.arg(installed.kafka.join("*")).arg(class);
    Ok(tool)
}

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

fn configuration(settings: &Settings) -> String {
    let Settings { id, port, advertised_port, controller_port, controllers, guard, .. } = settings;
    let advertised_controller = controllers.get(id - 1).unwrap_or(controller_port);
    let guard = guard.as_ref().map(|guard| guard.properties(*port, *advertised_port, *controller_port));
    // A later line overrides an earlier one.
    format!(
        "{PROPERTIES}\n\
         listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=BROKER://127.0.0.1:{advertised_port},CONTROLLER://127.0.0.1:{advertised_controller}\n\
         log.dirs={LOG}\n\
         {}{}",
        settings.quorum(),
        guard.unwrap_or_default(),
    )
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
