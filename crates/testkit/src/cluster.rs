//! The state of a private Kafka with several nodes or users, for tests that break it.

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataTopic;
use stack::{Daemon, During as _, Error, Home, Result, Scratch, Servers, kafka, maven};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(10);
const CATCHING_UP: Duration = Duration::from_mins(2);
const STOPPING: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);

pub async fn controller(servers: &Servers) -> Result<&Daemon> {
    let text =
        tool(servers, "org.apache.kafka.tools.MetadataQuorumCommand", &["describe", "--status"]).await?;
    let leader = text.lines().find_map(|line| line.strip_prefix("LeaderId:")?.trim().parse::<usize>().ok());
    let node = leader.and_then(|leader| servers.nodes().get(leader.checked_sub(1)?));
    node.ok_or_else(|| Error::Failed(format!("no node is the controller: {text}")))
}

/// Returns the leader of each partition of a topic, as one of the brokers knows it.
pub async fn leaders(servers: &Servers, topic: &str) -> Result<BTreeMap<i32, i32>> {
    let topic = topic.to_owned();
    let asking = kafka::ask(servers.brokers(), move |consumer| {
        let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT)?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        Ok(partitions.map(|partition| (partition.id(), partition.leader())).collect())
    });
    asking.await
}

/// Makes another node the leader of each partition of a topic, of which there are `partitions`.
pub async fn move_leaders(servers: &Servers, topic: &str, partitions: i32) -> Result<()> {
    let leaders_before = leaders(servers, topic).await?;
    let nodes = i32::try_from(servers.nodes().len()).unwrap_or_default();
    let assignment = |partition: i32| {
        let leader = leaders_before.get(&partition).copied().unwrap_or_default();
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
    tool(servers, reassign, &["--reassignment-json-file", &path, "--execute"]).await?;
    wait_in_sync(servers).await?;
    let elect = "org.apache.kafka.tools.LeaderElectionCommand";
    tool(servers, elect, &["--election-type", "preferred", "--all-topic-partitions"]).await?;
    let now = leaders(servers, topic).await?;
    let is_moved = (0..partitions).all(|partition| now.get(&partition) != leaders_before.get(&partition));
    let failed = || Error::Failed(format!("the leaders were {leaders_before:?} and are {now:?}"));
    if is_moved { Ok(()) } else { Err(failed()) }
}

/// Changes a user's password at the private Kafka with users and without TLS, and restarts it, which ends all connections.
pub async fn change_password(servers: &Servers, user: &str, old: &str, new: &str) -> Result<()> {
    let (Some(kafka), Some(data)) = (servers.kafka(), servers.kafka_data()) else {
        return Err(Error::Failed("this Kafka is not a private one".to_owned()));
    };
    kafka.stop(STOPPING).await;
    let path = data.join(kafka::CONFIGURATION);
    let changing = || format!("changing {}", path.display());
    let configuration = std::fs::read_to_string(&path).during(changing)?;
    let entry = |password: &str| format!("user_{user}=\"{password}\"");
    std::fs::write(&path, configuration.replace(&entry(old), &entry(new))).during(changing)?;
    kafka.start().await
}

async fn tool(servers: &Servers, class: &str, arguments: &[&str]) -> Result<String> {
    let installed = maven::install(&Home::find()?, |_| ()).await?;
    let mut tool = kafka::tool(&installed, class)?;
    tool.args(["--bootstrap-server", servers.brokers()]).args(arguments);
    let output = tool.output().await.during(|| format!("running {class}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until all nodes run and all replicas are in sync.
pub async fn wait_in_sync(servers: &Servers) -> Result<()> {
    let nodes = servers.nodes().len();
    let waiting = kafka::ask(servers.brokers(), move |consumer| {
        let deadline = Instant::now() + CATCHING_UP;
        while !is_in_sync(consumer, nodes) {
            if Instant::now() > deadline {
                return Err(Error::Failed("not all replicas are in sync after two minutes".to_owned()));
            }
            std::thread::sleep(AGAIN);
        }
        Ok(())
    });
    waiting.await
}

fn is_in_sync(consumer: &BaseConsumer, nodes: usize) -> bool {
    let Ok(metadata) = consumer.fetch_metadata(None, TIMEOUT) else { return false };
    let mut partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
    metadata.brokers().len() == nodes
        && partitions.all(|partition| partition.isr().len() == partition.replicas().len())
}
