//! Follows topics as records arrive, without joining a group and without committing.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::kafka::{self, KafkaError, Quiet, Reader};
use crate::logs::{self, Logs};
use crate::record::Record;
use crate::scan::Start;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The bounds of one [`Tail::next`]: at most this many records, and about this many bytes.
const RECORDS: usize = 1000;
const BYTES: usize = 4 << 20;

/// Topics that are read from a [`Start`] on, for as long as the reader lives.
pub struct Tail {
    /// `None`: an earlier call panicked.
    open: Option<Open>,
    logs: Logs,
}

struct Open {
    reader: Reader,
    settings: Settings,
}

impl Tail {
    /// Opens topics (without prefix), each from its own start. Topics that Kafka does not have are omitted;
    /// [`Tail::logs`] shows which it has.
    pub async fn open(settings: &Settings, topics: Vec<(String, Start)>) -> Result<Self, KafkaError> {
        let settings = settings.clone();
        let opened = kafka::blocking(move || Open::new(settings, topics)).await;
        let (open, logs) = opened.ok_or(KafkaError::canceled())??;
        Ok(Self { open: Some(open), logs })
    }

    /// The logs of all partitions at the moment of opening.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Returns the records that have arrived, those of each partition in log order; waits at most `wait` for the first.
    /// An outage of Kafka is a wait without records: the client connects again by itself. A refused connection is an error,
    /// because the client keeps the password with which it was opened; so is a missing right.
    pub async fn next(&mut self, wait: Duration) -> Result<Vec<Record>, KafkaError> {
        let open = self.open.take().ok_or(KafkaError::canceled())?;
        let read = kafka::blocking(move || {
            let records = open.read(wait);
            (open, records)
        });
        let (open, records) = read.await.ok_or(KafkaError::canceled())?;
        self.open = Some(open);
        records
    }
}

impl Open {
    fn new(settings: Settings, topics: Vec<(String, Start)>) -> KafkaResult<(Self, Logs)> {
        let mut config = kafka::reader_config(&settings);
        config
            // Records that retention deletes meanwhile are skipped.
            .set("auto.offset.reset", "earliest")
            .set("fetch.queue.backoff.ms", "5")
            // Bounds the memory for prefetched records.
            .set("queued.max.messages.kbytes", "8192");
        let reader: Reader = config.create_with_context(Quiet(settings.connection.clone()))?;
        let (mut all, mut list) = (Logs::new(), TopicPartitionList::new());
        for (topic, start) in topics {
            let Some(logs) = logs::of_topic(&reader, &settings, &topic, TIMEOUT)? else { continue };
            for (partition, offset) in start.offsets(&reader, &settings, &logs, TIMEOUT)? {
                list.add_partition_offset(&settings.topic_name(&topic), partition.1, Offset::Offset(offset))?;
            }
            all.extend(logs);
        }
        reader.assign(&list)?;
        Ok((Self { reader, settings }, all))
    }

    fn read(&self, wait: Duration) -> Result<Vec<Record>, KafkaError> {
        let (deadline, mut records, mut bytes) = (Instant::now() + wait, Vec::new(), 0);
        while records.len() < RECORDS && bytes < BYTES {
            let left = if records.is_empty() { deadline - Instant::now() } else { Duration::ZERO };
            match self.reader.poll(left) {
                Some(Ok(message)) => {
                    let Some(topic) = self.settings.without_prefix(message.topic()) else { continue };
                    let record = Record::copy(&message, topic);
                    bytes += record.bytes();
                    records.push(record);
                }
                Some(Err(error)) => {
                    let error = KafkaError::from(error);
                    if error.is_forbidden() {
                        return Err(error);
                    }
                    tracing::debug!(%error, "Kafka");
                }
                None => break,
            }
        }
        let refused = records.is_empty() && self.settings.connection.refusal().is_some();
        if refused { Err(KafkaError::refused()) } else { Ok(records) }
    }
}
