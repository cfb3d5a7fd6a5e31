//! The errors of this crate, with messages that a person can act on.

use std::path::PathBuf;

/// A failure to start, stop or query the system. Each message says what to do or where to look.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A problem of this machine, for example a missing program; the text is the whole message.
    #[error("{0}")]
    Machine(String),
    /// Another process holds a port that the system needs.
    #[error(
        "port {port}, needed for {wanted_for}, is taken by {holder}; stop that process, or move all ports with PORT_BASE"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The process that needs the port.
        wanted_for: String,
        /// The process that holds the port, as far as this user may see it.
        holder: String,
    },
    /// A helper program (Maven, initdb, a migration) failed; the message contains its output.
    #[error("{program} failed ({status}):\n{output}")]
    Program {
        /// The program and its task.
        program: String,
        /// The exit status.
        status: String,
        /// The last lines of its output.
        output: String,
    },
    /// A process ended before it was ready.
    #[error("{name} {how} before it was ready; the end of {log}:\n{tail}", log = log.display())]
    Died {
        /// The name of the process.
        name: String,
        /// How it ended: `died (signal 9)`.
        how: String,
        /// The log file.
        log: PathBuf,
        /// The last lines of the log file.
        tail: String,
    },
    /// A process runs but does not become ready.
    #[error("{name} is not ready after {seconds} s ({last}); the end of {log}:\n{tail}", log = log.display())]
    NotReady {
        /// The name of the process.
        name: String,
        /// The timeout, in seconds.
        seconds: u64,
        /// The last answer to the readiness check.
        last: String,
        /// The log file.
        log: PathBuf,
        /// The last lines of the log file.
        tail: String,
    },
    /// The queues of a system did not become empty in time.
    #[error("the system is not idle after {seconds} s: {what}")]
    NotIdle {
        /// The timeout, in seconds.
        seconds: u64,
        /// The remaining backlog per service.
        what: String,
    },
    /// An operation on a file or a process failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
    /// Postgres returned an error.
    #[error("Postgres: {}", sqlstate::refusal_of_tls(.0).unwrap_or_else(|| .0.to_string()))]
    Postgres(#[from] sqlx::Error),
    /// A migration could not be applied.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Kafka returned an error.
    #[error("Kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// A service could not be reached.
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds the failed operation to an I/O error.
pub(crate) trait During<T> {
    /// Names the operation: `open("x").during(|| "opening x".into())`.
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
