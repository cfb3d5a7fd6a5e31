//! Adds the records of all topics to the model, as they arrive.

use std::sync::Arc;
use std::time::Duration;

use broker::Settings;
use broker_ops::{Start, Tail};
use envelope::Cleanup;
use tokio_util::sync::CancellationToken;

use crate::domain::{SERVICES, TOPICS};
use crate::live::Live;

/// The records before the end of each partition that the board reads at its start.
const BEFORE: i64 = 200;
/// The longest wait for records, which bounds the time to stop.
const WAIT: Duration = Duration::from_millis(200);
const AGAIN: Duration = Duration::from_secs(1);

/// Reads the topics until `stop`.
pub(crate) async fn feed(settings: Settings, live: Arc<Live>, stop: CancellationToken) {
    while let Some(opened) = stop.run_until_cancelled(Tail::open(&settings, starts())).await {
        match opened {
            Ok(tail) if !tail.logs().is_empty() => {
                if let Some(Err(error)) = stop.run_until_cancelled(follow(tail, &live)).await {
                    tracing::warn!("{}; trying again", error.explain(&settings));
                }
            }
            Ok(_) => tracing::warn!("Kafka has none of the topics; waiting for them"),
            Err(error) => tracing::warn!("{}; trying again", error.explain(&settings)),
        }
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
            return;
        }
    }
}

/// Compacted topics are read whole, since they are the catalogue; of the others, the latest records.
fn starts() -> Vec<(String, Start)> {
    let start = |topic: &envelope::Topic| match topic.cleanup {
        Cleanup::Compact => Start::Beginning,
        Cleanup::Delete => Start::Last(BEFORE),
    };
    let dead_letters = SERVICES.iter().map(|service| (format!("dlq.{service}"), Start::Last(BEFORE)));
    TOPICS.iter().map(|topic| (topic.name.to_owned(), start(topic))).chain(dead_letters).collect()
}

async fn follow(mut tail: Tail, live: &Live) -> Result<(), broker::KafkaError> {
    let opened = tail.logs().clone();
    live.model().open(&opened);
    loop {
        let records = tail.next(WAIT).await?;
        if records.is_empty() {
            continue;
        }
        let mut changed = Vec::new();
        {
            let mut model = live.model();
            for record in &records {
                let before = opened.get(&(record.topic.clone(), record.partition));
                let is_new = before.is_none_or(|log| record.offset >= log.end);
                changed.extend(model.add(record, is_new));
            }
        }
        live.announce(changed);
    }
}
