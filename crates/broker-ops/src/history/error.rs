//! The error of checking or repairing a history.

use broker::{Failure, KafkaError};

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
