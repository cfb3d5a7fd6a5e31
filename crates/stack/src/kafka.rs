//! A private Kafka: one node that is broker and controller (`KRaft`), on 127.0.0.1 alone, with nothing created behind
//! anybody's back and an upper bound to what it keeps.

use crate::daemon::Daemon;
use crate::error::{During, Result};
use crate::home::{create_dir, remove_dir};
use crate::maven::Installed;
use crate::process::Launch;
use crate::ready::Ready;
use crate::{java, program};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Warnings and errors, and the two lines that say it has started; on standard output, and so in our log.
const LOGGING: &str = include_str!("../servers/log4j2.properties");

/// What does not depend on the port or the folder.
const PROPERTIES: &str = include_str!("../servers/kafka.properties");

/// What one private Kafka is made of.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Clients connect here; the controller listens on the next one.
    pub port: u16,
    /// The controller's.
    pub controller_port: u16,
    /// Its folder: configuration and log.
    pub data: PathBuf,
    /// Where its pid and log files go.
    pub run: &'a Path,
}

/// Formats its storage where there is none yet, and describes the server on it.
pub async fn prepare(installed: &Installed, settings: &Settings<'_>) -> Result<Daemon> {
    let java = java::find()?;
    create_dir(&settings.data)?;
    let properties = settings.data.join("server.properties");
    std::fs::write(&properties, configuration(settings))
        .during(|| format!("writing {}", properties.display()))?;
    let logging = settings.data.join("log4j2.properties");
    std::fs::write(&logging, LOGGING).during(|| format!("writing {}", logging.display()))?;
    if !settings.data.join("log/meta.properties").exists() {
        remove_dir(&settings.data.join("log"))?;
        let mut format = Command::new(&java);
        format.args(jvm(installed, &logging)).arg("kafka.tools.StorageTool").arg("format");
        format.arg("--standalone").arg("--cluster-id").arg(cluster_id()).arg("--config").arg(&properties);
        program::run("formatting Kafka's storage", &mut format).await?;
    }
    let mut arguments = jvm(installed, &logging);
    arguments.extend(["kafka.Kafka".to_owned(), properties.display().to_string()]);
    let launch =
        Launch { program: java, arguments, environment: Vec::new(), without: Vec::new(), user: None };
    let brokers = format!("127.0.0.1:{}", settings.port);
    Ok(Daemon::new("kafka", settings.run, launch, Ready::Kafka(brokers)))
}

/// A client's settings for these servers.
pub fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "stack");
    config
}

/// The command line of one of Kafka's own programs, up to its main class.
pub fn jvm(installed: &Installed, logging: &Path) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"]
            .map(str::to_owned)
            .to_vec();
    arguments.push("-Djava.awt.headless=true".to_owned());
    arguments.push(format!("-Dlog4j2.configurationFile={}", logging.display()));
    arguments.push("-cp".to_owned());
    arguments.push(installed.kafka.join("*").display().to_string());
    arguments
}

fn configuration(settings: &Settings<'_>) -> String {
    let Settings { port, controller_port, data, .. } = settings;
    let log = data.join("log");
    format!(
        "{PROPERTIES}\n\
         listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
         log.dirs={log}\n",
        log = log.display()
    )
}

/// In Kafka's own form. One that begins with a dash would be taken for an option: a clear first bit keeps it among letters.
fn cluster_id() -> String {
    let mut id = uuid::Uuid::new_v4().into_bytes();
    id[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(id)
}
