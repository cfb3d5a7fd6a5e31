//! Whether what this service's database knows of a topic is as new as the topic was a moment ago.
//!
//! Most effects can follow an event whenever it arrives. One that leaves the system and rests on a level ("it is back in
//! stock") must not rest on an old one, after an outage of this service or of Kafka. It asks first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use envelope::Topic;
use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use crate::kafka::{self, Reader};
use crate::logs::{self, Logs};
use crate::positions::{self, BEGINNING, Partition, Positions};
use crate::tx::Outbox;

/// How old the news may be.
const AGE: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_secs(2);
/// How often it is looked whether the positions have come as far as the log was.
const POLL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(2);
/// After this long it is asked whether there is anything to read where the positions stand.
const LONG: Duration = Duration::from_secs(2);

/// Where a position stands, and the end of its log, between which there is no record.
type Holes = BTreeMap<Partition, Range<i64>>;

/// Follows how far a topic has been read, by whichever instance.
#[derive(Debug)]
pub struct CaughtUp {
    outbox: Outbox,
    topic: Topic,
    /// When the log was asked that has been read to its end since.
    read_as_of: Mutex<Option<Instant>>,
}

impl CaughtUp {
    /// The caught_up of `topic` in the database of `outbox`; [`run`](Self::run) keeps it.
    pub fn new(outbox: Outbox, topic: Topic) -> Self {
        Self { outbox, topic, read_as_of: Mutex::default() }
    }

    /// Everything that the topic held ten seconds ago has had its effect here. Never so while Kafka or Postgres is away.
    pub fn is_current(&self) -> bool {
        self.lock().is_some_and(|asked| asked.elapsed() <= AGE)
    }

    /// Looks every two seconds until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&self) {
        let (mut reader, mut holes) = (None, Holes::new());
        loop {
            match self.look(&mut reader, &mut holes).await {
                Ok(Some(asked)) => *self.lock() = Some(asked),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(topic = self.topic.name, %error, "the log's end is not known");
                    // It may be the client that has lost Kafka, see `stale_client`.
                    reader = None;
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Asks where the log ends, and waits until it has been read that far; `None`: it takes too long.
    async fn look(
        &self,
        reader: &mut Option<Arc<Reader>>,
        holes: &mut Holes,
    ) -> Result<Option<Instant>, KafkaError> {
        let asked = Instant::now();
        let settings = self.outbox.settings().clone();
        let reader = match reader {
            Some(reader) => Arc::clone(reader),
            None => Arc::clone(reader.insert(Arc::new(kafka::reader(&settings)?))),
        };
        let topic = self.topic.name;
        let asks = move || logs::of_topic(&reader, &settings, topic, TIMEOUT);
        let Some(logs) = kafka::blocking(asks).await.transpose()?.flatten() else { return Ok(None) };
        let partitions: Vec<Partition> = logs.keys().cloned().collect();
        let mut is_probed = false;
        while asked.elapsed() < AGE {
            let unread = match positions::read(self.outbox.pool(), &partitions).await {
                Ok(positions) => unread(&positions, &logs, holes),
                Err(error) => {
                    tracing::debug!(%error, "positions cannot be read");
                    return Ok(None);
                }
            };
            if unread.is_empty() {
                return Ok(Some(asked));
            }
            if asked.elapsed() >= LONG && !std::mem::replace(&mut is_probed, true) {
                holes.extend(self.probe(unread).await?);
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(None)
    }

    /// Those of the unread ranges that hold no record: no position will ever pass them.
    async fn probe(&self, unread: Holes) -> Result<Holes, KafkaError> {
        let settings = self.outbox.settings().clone();
        let probe = move || {
            let mut holes = Holes::new();
            for (partition, range) in unread {
                if logs::has_no_record_from(&settings, &partition, range.start, TIMEOUT)? {
                    holes.insert(partition, range);
                }
            }
            Ok(holes)
        };
        kafka::blocking(probe).await.unwrap_or(Err(KafkaError::Canceled))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.read_as_of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has not been read of the logs, but for `holes`.
fn unread(positions: &Positions, logs: &Logs, holes: &Holes) -> Holes {
    let unread = logs.iter().map(|(partition, log)| {
        let next = positions.get(partition).map_or(BEGINNING, |position| position.next);
        (partition.clone(), next.max(log.start)..log.end)
    });
    unread.filter(|(partition, range)| !range.is_empty() && holes.get(partition) != Some(range)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::positions::Position;

    #[test]
    fn a_log_counts_as_read_when_the_position_stands_at_its_end() {
        let partition = |number| ("stock".to_owned(), number);
        let logs: Logs = [(partition(0), 0..5), (partition(1), 3..3)].into();
        let unread = |next, holes: &Holes| {
            unread(&Positions::from([(partition(0), Position::at(next))]), &logs, holes)
        };
        let none = Holes::new();
        assert!(unread(5, &none).is_empty() && unread(6, &none).is_empty());
        assert_eq!(unread(4, &none), Holes::from([(partition(0), 4..5)]));
        assert_eq!(unread(BEGINNING, &none), Holes::from([(partition(0), 0..5)]));
        let marker = Holes::from([(partition(0), 4..5)]);
        assert!(unread(4, &marker).is_empty() && !unread(3, &marker).is_empty());
    }
}
