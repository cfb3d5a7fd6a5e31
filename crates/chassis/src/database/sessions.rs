//! Checks that each connection has a session of Postgres of its own. A pooler in transaction mode gives each transaction
//! another session, in which a prepared statement is missing, or exists already.

use sqlx::{Connection as _, PgConnection, PgPool};

use super::DatabaseError;

/// The SQLSTATE of a statement that is prepared already.
const PREPARED_TWICE: &str = "42P05";
/// The SQLSTATE of a statement that is not prepared.
const NOT_PREPARED: &str = "26000";

/// Prepares a first statement on two new connections. Both statements have the same name, so they collide where the two
/// connections share one session.
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
    let code = sqlstate::code(&error).unwrap_or_default();
    if [PREPARED_TWICE, NOT_PREPARED].contains(&&*code) { DatabaseError::Pooled } else { error.into() }
}
