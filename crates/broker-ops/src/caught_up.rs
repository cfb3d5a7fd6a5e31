//! Whether a service's database has applied a topic up to the end that the topic had a moment ago.
//!
//! Most effects may follow an event with any delay. An effect that leaves the system and depends on a state ("it is back in
//! stock") must not depend on an old state after an outage of this service or of Kafka, so it asks [`CaughtUp`] first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use broker::maintenance::{BEGINNING, Logs, Partition, StoredPosition, stored_positions};
use broker::{KafkaError, Outbox};
use envelope::Topic;
use tokio_util::sync::CancellationToken;

use crate::logs::LogReader;

/// The longest time since the topic's end was looked up.
const AGE: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_secs(2);
/// The interval between two looks at the positions.
const POLL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(2);
/// After this time without reaching the end, the rest of the log is checked for records.
const LONG: Duration = Duration::from_secs(2);

/// Ranges between a position and the end of its log that hold no record.
type Holes = BTreeMap<Partition, Range<i64>>;

/// Watches how far any instance of the service has read a topic.
#[derive(Debug)]
pub struct CaughtUp {
    outbox: Outbox,
    topic: Topic,
    /// The time of the last lookup of the log's end that the positions have reached since.
    reached: Mutex<Option<Instant>>,
}

impl CaughtUp {
    /// Returns a watch on `topic` in the database of `outbox`. [`run`](Self::run) keeps it current.
    pub fn new(outbox: Outbox, topic: Topic) -> Self {
        Self { outbox, topic, reached: Mutex::default() }
    }

    /// Returns whether all records that the topic held ten seconds ago are applied. `false` while Kafka or Postgres is away.
    pub fn is_current(&self) -> bool {
        self.lock().is_some_and(|asked| asked.elapsed() <= AGE)
    }

    /// Compares the positions with the log every two seconds until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.watch()).await;
    }

    async fn watch(&self) {
        let (mut reader, mut holes) = (None, Holes::new());
        loop {
            match self.compare(&mut reader, &mut holes).await {
                Ok(Some(asked)) => *self.lock() = Some(asked),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(topic = self.topic.name, %error, "the log's end is not known");
                    // The client itself may be the cause; the next comparison creates a new one.
                    reader = None;
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks up where the log ends, and waits until it is read that far. Returns the time of the lookup; `None`: reading takes
    /// too long.
    async fn compare(
        &self,
        reader: &mut Option<LogReader>,
        holes: &mut Holes,
    ) -> Result<Option<Instant>, KafkaError> {
        let asked = Instant::now();
        let reader = match reader {
            Some(reader) => reader,
            None => reader.insert(LogReader::new(self.outbox.settings(), TIMEOUT)?),
        };
        let Some(logs) = reader.bounds(self.topic.name).await? else { return Ok(None) };
        let partitions: Vec<Partition> = logs.keys().cloned().collect();
        let mut is_probed = false;
        while asked.elapsed() < AGE {
            let unread = match stored_positions(self.outbox.pool(), &partitions).await {
                Ok(positions) => {
                    let next = |partition: &Partition| positions.get(partition).map(StoredPosition::next);
                    unread(next, &logs, holes)
                }
                Err(error) => {
                    tracing::debug!(%error, "positions cannot be read");
                    return Ok(None);
                }
            };
            if unread.is_empty() {
                return Ok(Some(asked));
            }
            if asked.elapsed() >= LONG && !std::mem::replace(&mut is_probed, true) {
                for (partition, range) in unread {
                    if reader.is_empty_from(partition.clone(), range.start).await? {
                        holes.insert(partition, range);
                    }
                }
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(None)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the unread ranges of the logs without known `holes`. `next` returns the stored position of a partition.
fn unread(next: impl Fn(&Partition) -> Option<i64>, logs: &Logs, holes: &Holes) -> Holes {
    let unread = logs.iter().map(|(partition, log)| {
        let next = next(partition).unwrap_or(BEGINNING);
        (partition.clone(), next.max(log.start)..log.end)
    });
    unread.filter(|(partition, range)| !range.is_empty() && holes.get(partition) != Some(range)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_counts_as_read_when_the_position_is_at_its_end() {
        let partition = |number| ("stock".to_owned(), number);
        let logs: Logs = [(partition(0), 0..5), (partition(1), 3..3)].into();
        let unread = |next, holes: &Holes| {
            unread(|of: &Partition| (*of == partition(0)).then_some(next), &logs, holes)
        };
        let none = Holes::new();
        assert!(unread(5, &none).is_empty() && unread(6, &none).is_empty());
        assert_eq!(unread(4, &none), Holes::from([(partition(0), 4..5)]));
        assert_eq!(unread(BEGINNING, &none), Holes::from([(partition(0), 0..5)]));
        let marker = Holes::from([(partition(0), 4..5)]);
        assert!(unread(4, &marker).is_empty() && !unread(3, &marker).is_empty());
    }
}
