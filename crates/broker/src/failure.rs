//! Failures of a batch: caused by a record, which becomes a dead letter, or by something else, which is retried until it is
//! repaired.

use crate::outbox::AppendError;

/// A handler's decision that a record can never be applied. The text goes into the dead letter: no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub String);

impl From<AppendError> for Rejected {
    fn from(error: AppendError) -> Self {
        Self(error.to_string())
    }
}

/// The reason why a batch was rolled back.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// This record of the batch can never be applied.
    #[error("{cause}")]
    Record {
        /// The record's index in the batch.
        index: usize,
        /// The reason, for the dead letter.
        cause: String,
    },
    /// Some record of the batch can never be applied (SQLSTATE class 22 or 23); halving the batch finds it.
    #[error("{0}")]
    SomeRecord(String),
    /// The batch was too large or met another transaction (a timeout, a deadlock, a serialization failure): half of it is
    /// tried again.
    #[error("{0}")]
    Busy(sqlx::Error),
    /// Any other cause: the batch is tried again.
    #[error("{0}")]
    Retry(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// Returns whether the database did not answer, so that the attempt says nothing about the records.
    pub(crate) fn is_outage(&self) -> bool {
        let Self::Retry(error) = self else { return false };
        error.downcast_ref().is_some_and(sqlstate::is_outage)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if sqlstate::is_refused(&error) {
            let code = sqlstate::code(&error).unwrap_or_default();
            let constraint = error.as_database_error().and_then(|error| error.constraint());
            let constraint = constraint.map_or(String::new(), |name| format!(", constraint {name}"));
            Self::SomeRecord(format!("Postgres refused it: SQLSTATE {code}{constraint}"))
        } else if sqlstate::is_contention(&error) {
            Self::Busy(error)
        } else {
            Self::Retry(error.into())
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        Self::SomeRecord(error.to_string())
    }
}
