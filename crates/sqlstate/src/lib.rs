//! The classes of Postgres errors that callers treat differently, by SQLSTATE
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>). An error of no class, such as a missing table, is retried
//! too. Errors of TLS, which have no SQLSTATE, in words.

mod tls;

use std::borrow::Cow;

pub use tls::refusal_of_tls;

use sqlx::error::DatabaseError;

/// Returns the SQLSTATE of an error that Postgres reported.
pub fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// Whether Postgres refuses the data (class 22, data exception; class 23, constraint violation), so that a retry cannot help.
pub fn is_refused(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| matches!(code.get(..2), Some("22" | "23")))
}

/// Whether the transaction met others, or was too large: a serialization failure or a deadlock (class 40), a lock that is not
/// available (class 55), or a statement that its timeout cancelled (57014). A smaller transaction may succeed.
pub fn is_contention(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == "57014" || matches!(code.get(..2), Some("40" | "55")))
}

/// Whether the database did not answer, or could not work: a connection or a pool that failed, or a failed connection (class 08),
/// used up resources (53), a server that stops (57) or has failed (58), or a standby (25006).
pub fn is_outage(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    matches!(error, Io(_) | PoolClosed | PoolTimedOut | Protocol(_) | Tls(_) | WorkerCrashed)
        || code(error)
            .is_some_and(|code| code == "25006" || matches!(code.get(..2), Some("08" | "53" | "57" | "58")))
}

/// Whether `lock_timeout` ended the wait for another transaction (55P03).
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == "55P03")
}
