//! Maps a database error to a problem. A value that the schema refuses is a bug, since
//! validation should have refused it before: 500, as for a row that cannot be decoded. Every other error (connection,
//! timeout, missing table or privilege) is a 503, and the client may try again. Each error is logged once, without
//! any value.

use crate::Problem;

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if is_bug(&error) {
            // The message may quote the value; the code and the constraint's name cannot.
            let refusal = error.as_database_error();
            let sqlstate = sqlstate::code(&error).unwrap_or_default().into_owned();
            let constraint = refusal.and_then(|e| e.constraint()).unwrap_or_default().to_owned();
            let kind = if refusal.is_some() { String::new() } else { error.to_string() };
            tracing::error!(sqlstate, constraint, kind, "the database refused a query");
            return Self::internal();
        }
        tracing::error!(%error, "the database did not answer");
        Self::unavailable(
            "The database does not answer at the moment. Try again; with an Idempotency-Key nothing happens twice.",
        )
    }
}

/// Whether the query itself is wrong, so that a retry cannot help.
fn is_bug(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => sqlstate::is_refused(error),
        sqlx::Error::RowNotFound
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Encode(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn an_outage_is_503_and_a_bug_500() {
        assert_eq!(Problem::from(sqlx::Error::PoolTimedOut).status(), StatusCode::SERVICE_UNAVAILABLE);
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(Problem::from(sqlx::Error::Io(reset)).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(Problem::from(sqlx::Error::RowNotFound).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
