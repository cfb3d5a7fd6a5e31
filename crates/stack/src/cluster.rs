//! The state of a private Kafka with several nodes, for tests that break one of them.

use crate::error::{During as _, Error, Result};
use crate::{Daemon, Home, Scratch, Servers, environment, java, kafka, maven};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::process::Command;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The time within which replicas must have caught up.
const CATCHING_UP: Duration = Duration::from_mins(2);
const STOPPING: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);

impl Servers {
    /// Returns the node that is the active controller.
    pub async fn controller(&self) -> Result<&Daemon> {
        let text =
            self.tool("org.apache.kafka.tools.MetadataQuorumCommand", &["describe", "--status"]).await?;
        let leader =
            text.lines().find_map(|line| line.strip_prefix("LeaderId:")?.trim().parse::<usize>().ok());
        let node = leader.and_then(|leader| self.nodes().get(leader.checked_sub(1)?));
        node.ok_or_else(|| Error::Machine(format!("no node is the controller: {text}")))
    }

    /// Returns the leader of each partition of a topic, as one of the brokers knows it.
    pub async fn leaders(&self, topic: &str) -> Result<BTreeMap<i32, i32>> {
        let (brokers, topic) = (self.brokers().to_owned(), topic.to_owned());
        let asking = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = kafka::client(&brokers).create()?;
            let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT)?;
            let partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
            Ok(partitions.map(|partition| (partition.id(), partition.leader())).collect())
        });
        asking.await.map_err(|error| Error::Machine(error.to_string()))?
    }

    /// Makes another node the leader of each partition of a topic, of which there are `partitions`.
    pub async fn move_leaders(&self, topic: &str, partitions: i32) -> Result<()> {
        let leaders = self.leaders(topic).await?;
        let nodes = i32::try_from(self.nodes().len()).unwrap_or_default();
        let assignment = |partition: i32| {
            let leader = leaders.get(&partition).copied().unwrap_or_default();
            let replicas: Vec<i32> = (0..nodes).map(|step| (leader + step) % nodes + 1).collect();
            format!(r#"{{"topic":"{topic}","partition":{partition},"replicas":{replicas:?}}}"#)
        };
        let assignments: Vec<String> = (0..partitions).map(assignment).collect();
        let file = Scratch::new(&Home::find()?)?;
        let path = file.dir().join("reassignment.json");
        let json = format!(r#"{{"version":1,"partitions":[{}]}}"#, assignments.join(","));
        std::fs::write(&path, json).during(|| format!("writing {}", path.display()))?;
        let path = path.to_string_lossy();
        let reassign = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
        self.tool(reassign, &["--reassignment-json-file", &path, "--execute"]).await?;
        self.wait_in_sync().await?;
        let elect = "org.apache.kafka.tools.LeaderElectionCommand";
        self.tool(elect, &["--election-type", "preferred", "--all-topic-partitions"]).await?;
        let now = self.leaders(topic).await?;
        let is_moved = (0..partitions).all(|partition| now.get(&partition) != leaders.get(&partition));
        let failed = || Error::Machine(format!("the leaders were {leaders:?} and are {now:?}"));
        if is_moved { Ok(()) } else { Err(failed()) }
    }

    /// Changes a user's password at the private Kafka with users and without TLS, and restarts it, which ends all connections.
    pub async fn change_password(&self, user: &str, old: &str, new: &str) -> Result<()> {
        let (Some(kafka), Some(data)) = (self.kafka(), self.kafka_data()) else {
            return Err(Error::Machine("this Kafka is not a private one".to_owned()));
        };
        kafka.stop(STOPPING).await;
        let path = data.join(kafka::CONFIGURATION);
        let reading = || format!("changing {}", path.display());
        let configuration = std::fs::read_to_string(&path).during(reading)?;
        let entry = |password: &str| format!("user_{user}=\"{password}\"");
        std::fs::write(&path, configuration.replace(&entry(old), &entry(new))).during(reading)?;
        kafka.start().await
    }

    /// Runs one of Kafka's tools, and returns its output.
    async fn tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let installed = maven::install(&Home::find()?, |_| ()).await?;
        let mut tool = Command::new(java::find()?);
        tool.env_clear().envs(environment::kafka()).args(["-XX:TieredStopAtLevel=1", "-cp"]);
        tool.arg(installed.kafka.join("*")).arg(class);
        tool.args(["--bootstrap-server", self.brokers()]).args(arguments);
        let output = tool.output().await.during(|| format!("running {class}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until all replicas of all topics are in sync.
    pub async fn wait_in_sync(&self) -> Result<()> {
        let (brokers, nodes) = (self.brokers().to_owned(), self.nodes().len());
        let waiting = tokio::task::spawn_blocking(move || {
            let deadline = Instant::now() + CATCHING_UP;
            let consumer: BaseConsumer = kafka::client(&brokers).create()?;
            while !is_in_sync(&consumer, nodes) {
                if Instant::now() > deadline {
                    return Err(Error::Machine("not all replicas are in sync after two minutes".to_owned()));
                }
                std::thread::sleep(AGAIN);
            }
            Ok(())
        });
        waiting.await.map_err(|error| Error::Machine(error.to_string()))?
    }
}

fn is_in_sync(consumer: &BaseConsumer, nodes: usize) -> bool {
    let Ok(metadata) = consumer.fetch_metadata(None, TIMEOUT) else { return false };
    let mut partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
    metadata.brokers().len() == nodes
        && partitions.all(|partition| partition.isr().len() == partition.replicas().len())
}
