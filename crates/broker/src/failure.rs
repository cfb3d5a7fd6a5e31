//! Whose fault it is: a record's, which then goes to the dead letters, or the world's, which is waited out.

use crate::outbox::AppendError;

/// A handler's word that a record cannot be applied, ever. The text goes to the dead letter: no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub String);

impl From<AppendError> for Rejected {
    fn from(error: AppendError) -> Self {
        Self(error.to_string())
    }
}

/// Why a batch was rolled back.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// This record of the batch is at fault.
    #[error("{cause}")]
    Record {
        /// Its place in the batch.
        index: usize,
        /// Why, for the dead letter.
        cause: String,
    },
    /// Some record of the batch is at fault (SQLSTATE class 22 or 23); halving finds it.
    #[error("{0}")]
    SomeRecord(String),
    /// Too much at once (a time-out, a deadlock, a serialization failure): again, with half the batch.
    #[error("{0}")]
    Busy(sqlx::Error),
    /// The world's fault: again, for ever.
    #[error("{0}")]
    Retry(Box<dyn std::error::Error + Send + Sync>),
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
