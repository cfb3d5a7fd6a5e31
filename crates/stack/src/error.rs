//! What can go wrong while real processes are started, as sentences that a person can act on.

use std::path::PathBuf;

/// A failure of the stack: each variant says what to do about it, or where to look.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something on this machine is missing or not as it must be; the text is the whole message.
    #[error("{0}")]
    Machine(String),
    /// A port that is needed is held by somebody else.
    #[error(
        "port {port}, needed for {wanted_for}, is taken by {holder}; end that, or move all ports with PORT_BASE"
    )]
    PortTaken {
        /// The port in question.
        port: u16,
        /// Who wanted it.
        wanted_for: String,
        /// Who has it, as far as this machine tells.
        holder: String,
    },
    /// A helper program (Maven, initdb, a migration) failed; its output is part of the message.
    #[error("{program} failed ({status}):\n{output}")]
    Program {
        /// The program and what it was to do.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A process ended before it was ready.
    #[error("{name} {how} before it was ready; the end of {log}:\n{tail}", log = log.display())]
    Died {
        /// The process.
        name: String,
        /// How it ended: `died (signal 9)`.
        how: String,
        /// Its log file.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// A process runs and does not become ready.
    #[error("{name} is not ready after {seconds} s ({last}); the end of {log}:\n{tail}", log = log.display())]
    NotReady {
        /// The process.
        name: String,
        /// How long it was given.
        seconds: u64,
        /// What the last question was answered.
        last: String,
        /// Its log file.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// The queues of a system did not run empty in time.
    #[error("the system has not settled after {seconds} s: {what}")]
    NotSettled {
        /// How long it was given.
        seconds: u64,
        /// What is still waiting where.
        what: String,
    },
    /// A file or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Postgres refused something.
    #[error("Postgres: {0}")]
    Postgres(#[from] sqlx::Error),
    /// A migration could not be applied.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Kafka refused something.
    #[error("Kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// A service could not be reached.
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names what was being done when an I/O error came.
pub(crate) trait During<T> {
    /// `open("x").during(|| "opening x".into())`.
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
