//! Looks at the consumer groups of the services: their members, assignments and committed offsets.

use std::sync::Arc;
use std::time::Duration;

use broker::maintenance::Partition;
use broker::{KafkaError, Settings};
use broker_ops::LogReader;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{SERVICES, SeenGroup, TOPICS};
use crate::live::Live;

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Clients keep the password with which they were created. After this many failed looks in a row they are created again.
const TRIES: u32 = 3;

/// The clients of one look: one for the members of all groups, and one for the committed offsets of each.
struct Clients {
    settings: Settings,
    members: Arc<BaseConsumer>,
    offsets: Vec<(&'static str, LogReader)>,
}

/// Looks at the groups until `stop`; `stalled` is true while Kafka does not answer.
pub(crate) async fn watch_groups(
    settings: Settings,
    live: Arc<Live>,
    stalled: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let mut clients = match Clients::new(settings.clone()) {
        Ok(clients) => clients,
        Err(error) => return tracing::error!(%error, "the board cannot create Kafka clients"),
    };
    let mut failures: u32 = 0;
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(seen) = stop.run_until_cancelled(clients.look()).await else { return };
        failures = if seen.is_err() { failures + 1 } else { 0 };
        if failures >= TRIES
            && let Ok(again) = Clients::new(settings.clone())
        {
            (clients, failures) = (again, 0);
        }
        stalled.send_replace(seen.is_err());
        update(&live, seen, &settings);
    }
}

fn update(live: &Live, seen: Result<Vec<SeenGroup>, KafkaError>, settings: &Settings) {
    let mut model = live.model();
    match seen {
        Ok(seen) => {
            if !model.kafka {
                tracing::debug!("Kafka answers");
            }
            model.kafka = true;
            model.groups.update(seen);
        }
        Err(error) => {
            if model.kafka {
                let why = error.explain(settings);
                tracing::warn!("{why}; the board shows its last state");
            }
            model.kafka = false;
        }
    }
}

impl Clients {
    fn new(settings: Settings) -> Result<Self, KafkaError> {
        let of = |service: &'static str| {
            let settings = Settings { service: service.to_owned(), ..settings.clone() };
            Ok((service, LogReader::new(&settings, TIMEOUT)?))
        };
        let offsets = SERVICES.into_iter().map(of).collect::<Result<_, KafkaError>>()?;
        let config: ClientConfig = settings.client_properties().into_iter().collect();
        let members = Arc::new(config.create()?);
        Ok(Self { settings, members, offsets })
    }

    async fn look(&self) -> Result<Vec<SeenGroup>, KafkaError> {
        let mut seen = Vec::new();
        for (service, offsets) in &self.offsets {
            seen.push(SeenGroup {
                service: (*service).to_owned(),
                members: self.members(service).await?,
                committed: offsets.committed(&TOPICS).await?,
            });
        }
        Ok(seen)
    }

    async fn members(&self, service: &str) -> Result<Vec<(String, Vec<Partition>)>, KafkaError> {
        let (client, group) = (Arc::clone(&self.members), self.settings.topic_name(service));
        let asked = tokio::task::spawn_blocking(move || groups::members(&client, &group, TIMEOUT)).await;
        let prefix = self.settings.topic_name("");
        let own =
            |(topic, partition): (String, i32)| Some((topic.strip_prefix(&prefix)?.to_owned(), partition));
        let mut members: Vec<(String, Vec<Partition>)> = asked
            .unwrap_or(Err(rdkafka::error::KafkaError::Canceled))?
            .into_iter()
            .map(|member| (member.name, member.assigned.into_iter().filter_map(own).collect()))
            .collect();
        members.sort();
        Ok(members)
    }
}
