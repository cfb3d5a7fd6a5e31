//! Whether each connection is a session of Postgres of its own. A pooler in transaction mode gives each transaction another
//! session; the statements that this program prepares are then there twice, or not at all.

use sqlx::{Connection as _, PgConnection, PgPool};

use super::DatabaseError;

/// SQLSTATE: a prepared statement of this name exists already; none does.
const PREPARED_TWICE: &str = "42P05";
const NOT_PREPARED: &str = "26000";

/// Prepares the first statement of two new connections, which have one name: an error where they are one session.
pub(super) async fn verify(pool: &PgPool) -> Result<(), DatabaseError> {
    let options = pool.connect_options();
    let mut first = PgConnection::connect_with(&options).await?;
    let mut second = PgConnection::connect_with(&options).await?;
    for connection in [&mut first, &mut second] {
        sqlx::query("SELECT 1").execute(connection).await.map_err(explain)?;
    }
    first.close().await?;
    Ok(second.close().await?)
}

fn explain(error: sqlx::Error) -> DatabaseError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    if [PREPARED_TWICE, NOT_PREPARED].contains(&&*code) { DatabaseError::Pooled } else { error.into() }
}
