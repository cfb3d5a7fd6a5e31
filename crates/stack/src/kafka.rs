//! A private Kafka: one node that is broker and controller (`KRaft`), only on 127.0.0.1, without automatic topic
//! creation and with limited retention.

use crate::daemon::Daemon;
use crate::error::{During, Result};
use crate::home::{create_private_dir, remove_dir};
use crate::maven::Installed;
use crate::process::Launch;
use crate::ready::Ready;
use crate::{environment, helper, java};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use tokio::process::Command;

/// The logging configuration: warnings, errors and the two startup lines, on standard output.
const LOGGING: &str = include_str!("../servers/log4j2.properties");

/// The names of the files in the data folder.
const CONFIGURATION: &str = "server.properties";
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
    /// The controller's port.
    pub controller_port: u16,
    /// The folder of configuration and log.
    pub data: PathBuf,
    /// The folder of the pid file and the log file of the process.
    pub run: &'a Path,
}

/// Formats the storage unless it exists, and returns the daemon.
///
/// Kafka runs in its data folder and gets only relative paths: `log.dirs` is a comma-separated list without escapes, so
/// the checkout's path must not contain a comma there, and Java decodes other special characters differently per place.
pub async fn prepare(installed: &Installed, settings: &Settings<'_>) -> Result<Daemon> {
    let java = java::find()?;
    let data = &settings.data;
    create_private_dir(data)?;
    write(&data.join(CONFIGURATION), &configuration(settings))?;
    write(&data.join(LOGGING_CONFIGURATION), LOGGING)?;
    let jars = relative(data, &installed.kafka)?;
    if !data.join(LOG).join("meta.properties").exists() {
        remove_dir(&data.join(LOG))?;
        let mut format = Command::new(&java);
        format.args(jvm(&jars)).arg("kafka.tools.StorageTool").arg("format");
        format.arg("--standalone").arg("--cluster-id").arg(cluster_id()).args(["--config", CONFIGURATION]);
        format.env_clear().envs(environment::kafka()).current_dir(data);
        helper::run("formatting Kafka's storage", &mut format).await?;
    }
    let mut arguments = jvm(&jars);
    arguments.extend(["kafka.Kafka".into(), CONFIGURATION.into()]);
    let folder = Some(data.clone());
    let launch = Launch { program: java, arguments, environment: environment::kafka(), folder, user: None };
    let brokers = format!("127.0.0.1:{}", settings.port);
    Ok(Daemon::new("kafka", settings.run, launch, Ready::Kafka(brokers)))
}

/// Returns the settings of a client for these bootstrap servers.
pub fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "stack");
    config
}

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

fn configuration(settings: &Settings<'_>) -> String {
    let Settings { port, advertised_port, controller_port, .. } = settings;
    format!(
        "{PROPERTIES}\n\
         listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=BROKER://127.0.0.1:{advertised_port},CONTROLLER://127.0.0.1:{controller_port}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
         log.dirs={LOG}\n"
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

/// Generates a cluster id in Kafka's format. The first bit is cleared, so that the id begins with a letter: a leading
/// dash would be parsed as an option.
fn cluster_id() -> String {
    let mut id = uuid::Uuid::new_v4().into_bytes();
    id[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(id)
}
