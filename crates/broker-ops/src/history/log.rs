//! Reads the records that a service has published itself on a topic that it owns.

use broker::maintenance::{Lineage, Record, Scan, Start};
use broker::{KafkaError, Settings};
use envelope::Topic;

/// A topic that is being read to its present end.
pub(super) struct Log {
    scan: Scan,
    /// Only records that this lineage has published are returned; `None`: all.
    lineage: Option<Lineage>,
    foreign: u64,
}

impl Log {
    /// Opens a topic; `None`: Kafka does not have it, so nothing was published.
    pub(super) async fn open(
        settings: &Settings,
        topic: Topic,
        start: Start,
        lineage: Option<Lineage>,
    ) -> Result<Option<Self>, KafkaError> {
        let scan = Scan::open(settings, topic.name, start).await?;
        Ok(scan.map(|scan| Self { scan, lineage, foreign: 0 }))
    }

    /// Returns how many records were left out so far, because this service did not publish them.
    pub(super) fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Returns the next records; `None`: all are read.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Record>>, KafkaError> {
        let Some(mut records) = self.scan.next().await? else { return Ok(None) };
        let all = records.len();
        records.retain(|record| self.lineage.is_none_or(|lineage| lineage.published(record)));
        self.foreign += (all - records.len()) as u64;
        Ok(Some(records))
    }
}
