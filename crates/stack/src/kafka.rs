//! A private Kafka: one node that is broker and controller (`KRaft`), on 127.0.0.1 alone, with nothing created behind
//! anybody's back and an upper bound to what it keeps.

use crate::daemon::Daemon;
use crate::error::{During, Result};
use crate::home::{create_private_dir, remove_dir};
use crate::maven::Installed;
use crate::process::Launch;
use crate::ready::Ready;
use crate::{environment, java, program};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use tokio::process::Command;

/// Warnings and errors, and the two lines that say it has started; on standard output, and so in our log.
const LOGGING: &str = include_str!("../servers/log4j2.properties");

/// The names of its files, within its folder.
const CONFIGURATION: &str = "server.properties";
const LOGGING_CONFIGURATION: &str = "log4j2.properties";
const LOG: &str = "log";

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
///
/// It runs in its folder and is told relative paths alone: `log.dirs` is a list with commas between, so a comma in the
/// path of the checkout could not be written there, and Java would read other signs of it differently in each place.
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
        program::run("formatting Kafka's storage", &mut format).await?;
    }
    let mut arguments = jvm(&jars);
    arguments.extend(["kafka.Kafka".into(), CONFIGURATION.into()]);
    let folder = Some(data.clone());
    let launch = Launch { program: java, arguments, environment: environment::kafka(), folder, user: None };
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
    let Settings { port, controller_port, .. } = settings;
    format!(
        "{PROPERTIES}\n\
         listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
         log.dirs={LOG}\n"
    )
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).during(|| format!("writing {}", file.display()))
}

/// The way from one folder to another, up to what they share and down again.
fn relative(from: &Path, to: &Path) -> Result<PathBuf> {
    let canonical = |path: &Path| path.canonicalize().during(|| format!("looking at {}", path.display()));
    let (from, to) = (canonical(from)?, canonical(to)?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    Ok(up.chain(to.components().skip(shared)).collect())
}

/// In Kafka's own form. One that begins with a dash would be taken for an option: a clear first bit keeps it among letters.
fn cluster_id() -> String {
    let mut id = uuid::Uuid::new_v4().into_bytes();
    id[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(id)
}
