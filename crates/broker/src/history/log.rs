//! A topic that the service owns, read to the end that it has now: the records that the service has published itself.

use envelope::Topic;
use rdkafka::error::KafkaError;

use super::HistoryError;
use crate::kafka;
use crate::origin::OriginKey;
use crate::record::Record;
use crate::scan::{Scan, Start};
use crate::settings::Settings;

/// A topic that is being read.
pub(super) struct Log {
    scan: Scan,
    /// Only records with an id that this key made are returned; `None`: all.
    origin: Option<OriginKey>,
    foreign: u64,
}

impl Log {
    /// Opens a topic; `None`: Kafka does not have it, so nothing was published.
    pub(super) async fn open(
        settings: &Settings,
        topic: Topic,
        start: Start,
        origin: Option<OriginKey>,
    ) -> Result<Option<Self>, HistoryError> {
        let settings = settings.clone();
        let opened = kafka::blocking(move || Scan::open(&settings, topic.name, start)).await;
        let opened = opened.ok_or(KafkaError::Canceled)??;
        Ok(opened.map(|scan| Self { scan, origin, foreign: 0 }))
    }

    /// The number of records that were left out so far, because this service did not publish them.
    pub(super) fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Returns the next records; `None`: all are read.
    pub(super) async fn next(self) -> Result<Option<(Self, Vec<Record>)>, HistoryError> {
        if self.scan.is_read() {
            return Ok(None);
        }
        let mut log = self;
        let read = kafka::blocking(move || log.read().map(|records| (log, records))).await;
        Ok(Some(read.ok_or(KafkaError::Canceled)??))
    }

    fn read(&mut self) -> Result<Vec<Record>, KafkaError> {
        let mut records = self.scan.read()?;
        let all = records.len();
        records.retain(|record| self.origin.is_none_or(|key| key.made(record)));
        self.foreign += (all - records.len()) as u64;
        Ok(records)
    }
}
