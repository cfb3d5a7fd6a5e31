//! The errors of this crate, with messages that a person can act on: each says what to do or where to look.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is the whole message.
    #[error("{0}")]
    Failed(String),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("Postgres: {}", sqlstate::refusal_of_tls(.0).unwrap_or_else(|| .0.to_string()))]
    Postgres(#[from] sqlx::Error),
    #[error("Kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds the failed operation to an I/O error.
pub trait During<T> {
    /// Names the operation: `open("x").during(|| "opening x".into())`.
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
