//! The generation of the database: how often it was restored from an older copy.

use envelope::Generation;
use sqlx::PgConnection;

/// Reads the generation. The table has one row.
pub(crate) async fn read(connection: &mut PgConnection) -> sqlx::Result<Generation> {
    let generation =
        sqlx::query_scalar!("SELECT generation FROM broker.generation").fetch_one(connection).await?;
    Generation::from_i32(generation)
        .ok_or_else(|| sqlx::Error::Decode("the generation is out of range".into()))
}
