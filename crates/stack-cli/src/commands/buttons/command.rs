//! The commands behind the buttons.

use crate::local::{BOARD, Local};
use serde::Deserialize;
use stack::{Home, process, running};
use std::time::Duration;

/// The longest that a command may take: Kafka starts within seconds.
const LIMIT: Duration = Duration::from_mins(2);
/// The most instances that a button starts.
const INSTANCES: u16 = 4;

/// A request of a button.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub(super) enum Asked {
    /// Kill a service or Kafka.
    Kill { name: String },
    /// Start a service, with this number of instances in total, or Kafka.
    Start { name: String, instances: Option<u16> },
    /// Start one more instance of a service.
    More { name: String },
    /// Set the latency and the outage of the simulated payment gateway.
    Gateway { latency_ms: u32, outage: bool },
    /// Read the orders again in notification.
    Rewind,
    /// Ask Kafka for the state of its quorum.
    Quorum,
}

/// A command that can be run.
#[derive(Debug)]
pub(super) struct Command {
    /// As a person types it.
    pub typed: String,
    how: How,
}

#[derive(Debug)]
enum How {
    /// This program with these arguments.
    Program(Vec<String>),
    /// `PUT /gateway` of payment.
    Gateway { url: String, token: String, body: serde_json::Value },
}

impl Command {
    /// Returns the command; an error for a name that no button has.
    pub(super) fn of(asked: Asked, local: &Local) -> anyhow::Result<Self> {
        Ok(match asked {
            Asked::Kill { name } => Self::program(&["kill", known(&local.home, &name)?]),
            Asked::Start { name, instances: None } => Self::program(&["start", known(&local.home, &name)?]),
            Asked::Start { name, instances: Some(count) } => Self::start(known(&local.home, &name)?, count),
            Asked::More { name } => {
                let name = known(&local.home, &name)?;
                Self::start(name, instances(&running::names(&local.home.run()), name) + 1)
            }
            Asked::Rewind => Self::program(&["run", "notification", "rewind", "orders", "--to", "beginning"]),
            Asked::Quorum => Self::program(&["kafka", "metadata-quorum", "describe", "--status"]),
            Asked::Gateway { latency_ms, outage } => {
                let url = format!("{}/gateway", local.endpoints("payment")?.url());
                let body = serde_json::json!({"latency_ms": latency_ms, "outage": outage});
                let typed = format!(
                    "curl -X PUT {url} -H 'content-type: application/json' -H \"authorization: Bearer $(./scripts/token)\" -d '{body}'"
                );
                Self { typed, how: How::Gateway { url, token: local.secret("ADMIN_TOKEN")?, body } }
            }
        })
    }

    fn start(name: &str, instances: u16) -> Self {
        Self::program(&["start", name, "--instances", &instances.min(INSTANCES).to_string()])
    }

    fn program(arguments: &[&str]) -> Self {
        let words = arguments.iter().map(|word| (*word).to_owned()).collect();
        Self { typed: format!("./scripts/{}", arguments.join(" ")), how: How::Program(words) }
    }

    /// Runs the command and returns what it prints, for people.
    pub(super) async fn run(self) -> String {
        let done = tokio::time::timeout(LIMIT, async {
            match self.how {
                How::Program(arguments) => program(&arguments).await,
                How::Gateway { url, token, body } => gateway(&url, &token, &body).await,
            }
        });
        match done.await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it has not ended after {} s", LIMIT.as_secs()),
        }
    }
}

/// Returns the name if a button may have it. The board itself has none: nobody could press the next one.
fn known<'a>(home: &Home, name: &'a str) -> anyhow::Result<&'a str> {
    let is_service = home.services()?.iter().any(|service| service == name && name != BOARD);
    anyhow::ensure!(is_service || process::SERVERS.contains(&name), "there is no button for `{name}`");
    Ok(name)
}

/// Returns the number of the last running instance of a service.
fn instances(running: &[String], service: &str) -> u16 {
    let numbers = running.iter().filter_map(|name| process::instance_number(name, service));
    numbers.max().and_then(|number| u16::try_from(number).ok()).unwrap_or(0)
}

async fn program(arguments: &[String]) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    let output = command.args(arguments).kill_on_drop(true).output().await?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

async fn gateway(url: &str, token: &str, body: &serde_json::Value) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
    let answer = client.put(url).bearer_auth(token).json(body).send().await?;
    Ok(answer.status().to_string())
}

#[cfg(test)]
mod tests {
    use super::instances;

    #[test]
    fn instances_are_counted_by_their_names() {
        let running = ["order", "payment", "payment-2", "payments", "kafka"].map(str::to_owned);
        assert_eq!(instances(&running, "payment"), 2);
        assert_eq!(instances(&running, "inventory"), 0);
    }
}
