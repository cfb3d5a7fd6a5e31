//! The tables and topics that remember a service's history, and the records that the service has published itself.

use broker::maintenance::{Lineage, Record};
use broker::{Failure, KafkaError, Outbox, Settings, Subscription};
use envelope::Topic;

use crate::scan::{Scan, Start};

/// The topics and the group that remember a service's history, and the service's database.
#[derive(Clone)]
pub struct HistorySource {
    /// The service's settings.
    pub settings: Settings,
    /// The service's database.
    pub outbox: Outbox,
    /// A handler of each topic that the service owns.
    pub own: Vec<Subscription>,
    /// The topics that the service subscribes to.
    pub followed: Vec<Topic>,
}

/// The reason why the history cannot be checked or repaired.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Kafka does not answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer, or a handler failed.
    #[error("{0}")]
    Database(#[from] Failure),
    /// Another instance of the service runs on this database.
    #[error(
        "an instance of {service} is running on this database: it holds the relay's lease. Stop every instance of \
         {service}, and run the command again"
    )]
    Running {
        /// The service.
        service: String,
    },
}

impl From<sqlx::Error> for HistoryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// A topic that is being read to its present end.
pub(super) struct Log {
    /// `None`: Kafka does not have the topic, so nothing was published.
    scan: Option<Scan>,
    /// Only records that this lineage has published are returned; `None`: all.
    lineage: Option<Lineage>,
    /// The number of records that were left out so far, because this service did not publish them.
    pub foreign: u64,
}

impl Log {
    pub(super) async fn open(
        settings: &Settings,
        topic: Topic,
        start: Start,
        lineage: Option<Lineage>,
    ) -> Result<Self, KafkaError> {
        Ok(Self { scan: Scan::open(settings, topic.name, start).await?, lineage, foreign: 0 })
    }

    /// Returns the next records; `None`: all are read.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Record>>, KafkaError> {
        let Some(scan) = &mut self.scan else { return Ok(None) };
        let Some(mut records) = scan.next().await? else { return Ok(None) };
        let all = records.len();
        records.retain(|record| self.lineage.is_none_or(|lineage| lineage.published(record)));
        self.foreign += (all - records.len()) as u64;
        Ok(Some(records))
    }
}
