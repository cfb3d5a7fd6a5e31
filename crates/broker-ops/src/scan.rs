//! Reads topics without joining a group and without committing: once up to their present end, or as records arrive.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use broker::maintenance::{Logs, Partition, Reader, Record, blocking, offset_list};
use broker::{KafkaError, Settings};
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use time::OffsetDateTime;

use crate::logs;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest number of records of one [`Scan::next`], and of one [`Tail::next`]; and about the largest size of both in bytes.
const SCANNED: usize = 500;
const FOLLOWED: usize = 1000;
const BYTES: usize = 4 << 20;

/// The first record to read of each partition.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// The first record of the log.
    Beginning,
    /// This many offsets before the end.
    Last(i64),
    /// The first record that Kafka appended at or after this moment.
    Since(OffsetDateTime),
}

type Starts = BTreeMap<Partition, i64>;

impl Start {
    fn offsets(self, reader: &Reader, logs: &Logs) -> Result<Starts, KafkaError> {
        let count = match self {
            Self::Since(time) => return logs::starts_at(reader, logs, time, TIMEOUT),
            Self::Last(count) => count,
            Self::Beginning => i64::MAX,
        };
        let first = |log: &std::ops::Range<i64>| log.start.max(log.end.saturating_sub(count));
        Ok(logs.iter().map(|(partition, log)| (partition.clone(), first(log))).collect())
    }
}

/// A topic that is read from a [`Start`] to the end that it had when it was opened.
pub(crate) struct Scan {
    /// The client, and the partitions that are not read to their end yet; `None`: an earlier call did not end.
    open: Option<(Reader, Logs)>,
}

impl Scan {
    /// Opens `topic` (without prefix). `None`: Kafka does not have the topic, or has it with fewer partitions than the
    /// settings say.
    pub(crate) async fn open(
        settings: &Settings,
        topic: &str,
        start: Start,
    ) -> Result<Option<Self>, KafkaError> {
        // The last offset of a log need not hold a record.
        let opened = open(
            settings,
            vec![(topic.to_owned(), start)],
            &[("enable.partition.eof", "true"), ("fetch.wait.max.ms", "50")],
        );
        let (reader, mut unread, starts) = opened.await?;
        if unread.is_empty() {
            return Ok(None);
        }
        for (partition, log) in &mut unread {
            log.start = starts.get(partition).copied().unwrap_or(log.start);
        }
        unread.retain(|_, log| !log.is_empty());
        assign(&reader, unread.iter().map(|(partition, log)| (partition, log.start)))?;
        Ok(Some(Self { open: Some((reader, unread)) }))
    }

    /// Returns the next records, those of each partition in log order. `None`: all are read.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Record>>, KafkaError> {
        let read = |(reader, unread): &mut (Reader, Logs)| {
            (!unread.is_empty()).then(|| read_to_end(reader, unread)).transpose()
        };
        on_thread(&mut self.open, read).await?
    }
}

/// Topics that are read from a [`Start`] on, for as long as the reader lives.
pub struct Tail {
    /// `None`: an earlier call did not end.
    reader: Option<Reader>,
    logs: Logs,
}

impl Tail {
    /// Opens topics (without prefix), each from its own start. Topics that Kafka does not have are omitted;
    /// [`Tail::logs`] shows which it has.
    pub async fn open(settings: &Settings, topics: Vec<(String, Start)>) -> Result<Self, KafkaError> {
        let (reader, logs, starts) = open(settings, topics, &[("fetch.queue.backoff.ms", "5")]).await?;
        assign(&reader, starts.iter().map(|(partition, start)| (partition, *start)))?;
        Ok(Self { reader: Some(reader), logs })
    }

    /// The logs of all partitions at the moment of opening.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Returns the records that have arrived, those of each partition in log order; waits at most `wait` for the first.
    /// An outage of Kafka is a wait without records: the client connects again by itself. A refused connection is an error,
    /// because the client keeps the password with which it was opened; so is a missing right.
    pub async fn next(&mut self, wait: Duration) -> Result<Vec<Record>, KafkaError> {
        on_thread(&mut self.reader, move |reader| read_arrived(reader, wait)).await?
    }
}

/// Creates a client with properties of its `own`, and returns the logs of those `topics` that Kafka has.
async fn open(
    settings: &Settings,
    topics: Vec<(String, Start)>,
    own: &'static [(&'static str, &'static str)],
) -> Result<(Reader, Logs, Starts), KafkaError> {
    let properties = [
        // Records that retention deletes meanwhile are skipped.
        ("auto.offset.reset", "earliest"),
        // Bounds the memory for prefetched records.
        ("queued.max.messages.kbytes", "8192"),
    ];
    let settings = settings.clone();
    let opened = blocking(move || {
        let reader = Reader::new(&settings, &[&properties[..], own].concat())?;
        let (mut all, mut starts) = (Logs::new(), Starts::new());
        for (topic, start) in topics {
            let Some(logs) = logs::of_topic(&reader, &topic, TIMEOUT)? else { continue };
            starts.extend(start.offsets(&reader, &logs)?);
            all.extend(logs);
        }
        Ok::<_, KafkaError>((reader, all, starts))
    });
    opened.await.ok_or(ClientError::Canceled)?
}

fn assign<'a>(reader: &Reader, starts: impl Iterator<Item = (&'a Partition, i64)>) -> Result<(), KafkaError> {
    let starts = starts.map(|(partition, start)| (partition, Offset::Offset(start)));
    Ok(reader.client().assign(&offset_list(reader.settings(), starts)?)?)
}

/// Calls `read` on a thread of its own. When that does not end, later calls fail, because records may be lost.
async fn on_thread<S: Send + 'static, T: Send + 'static>(
    state: &mut Option<S>,
    read: impl FnOnce(&mut S) -> T + Send + 'static,
) -> Result<T, KafkaError> {
    let mut taken = state.take().ok_or(ClientError::Canceled)?;
    let called = blocking(move || {
        let result = read(&mut taken);
        (taken, result)
    });
    let (taken, result) = called.await.ok_or(ClientError::Canceled)?;
    *state = Some(taken);
    Ok(result)
}

fn read_to_end(reader: &Reader, unread: &mut Logs) -> Result<Vec<Record>, KafkaError> {
    let (mut records, mut bytes, mut deadline) = (Vec::new(), 0, Instant::now() + TIMEOUT);
    while !unread.is_empty() && records.len() < SCANNED && bytes < BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = match reader.client().poll(left).unwrap_or(Err(ClientError::Canceled)) {
            Err(ClientError::PartitionEOF(number)) => {
                unread.retain(|(_, unread), _| *unread != number);
                continue;
            }
            // The connection to one broker of several, for example: the others may have the records.
            Err(error) if is_passing(reader, &error) && Instant::now() < deadline => {
                tracing::debug!(%error, "Kafka");
                continue;
            }
            message => message?,
        };
        deadline = Instant::now() + TIMEOUT;
        let Some(record) = reader.copy(&message) else { continue };
        let partition = (record.topic.clone(), record.partition);
        let Some(end) = unread.get(&partition).map(|log| log.end) else { continue };
        if record.offset + 1 >= end {
            unread.remove(&partition);
        }
        if record.offset < end {
            bytes += record.bytes();
            records.push(record);
        }
    }
    Ok(records)
}

/// Whether the client continues by itself after this error.
fn is_passing(reader: &Reader, error: &ClientError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    let is_of_a_connection =
        matches!(error, ClientError::MessageConsumption(BrokerTransportFailure | AllBrokersDown | Resolve));
    is_of_a_connection && reader.settings().connection.refusal().is_none()
}

fn read_arrived(reader: &Reader, wait: Duration) -> Result<Vec<Record>, KafkaError> {
    let (deadline, mut records, mut bytes) = (Instant::now() + wait, Vec::new(), 0);
    while records.len() < FOLLOWED && bytes < BYTES {
        let left = if records.is_empty() { deadline - Instant::now() } else { Duration::ZERO };
        match reader.client().poll(left) {
            Some(Ok(message)) => {
                let Some(record) = reader.copy(&message) else { continue };
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
    let refused = records.is_empty() && reader.settings().connection.refusal().is_some();
    if refused {
        return Err(ClientError::Global(RDKafkaErrorCode::Authentication).into());
    }
    Ok(records)
}
