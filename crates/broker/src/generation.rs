//! What tells one database from another and from its older copies: the key by which it recognises its events, and the
//! generation, that is how often it was restored from an older copy.

use envelope::Generation;
use sqlx::{PgConnection, PgPool};

use crate::origin::OriginKey;

/// A database and its copies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lineage {
    /// How often it was restored.
    pub generation: Generation,
    pub key: OriginKey,
}

/// Reads the lineage. The table has one row.
pub(crate) async fn read(connection: &mut PgConnection) -> sqlx::Result<Lineage> {
    let row =
        sqlx::query!("SELECT generation, origin_key FROM broker.generation").fetch_one(connection).await?;
    let key = OriginKey::from_bytes(&row.origin_key);
    let key = key.ok_or_else(|| sqlx::Error::Decode("the origin key has not 32 bytes".into()))?;
    Ok(Lineage { generation: decode(row.generation)?, key })
}

/// Says so when the generation is another one than a running service read at its start, or is about to be raised.
pub(crate) async fn changed(pool: &PgPool, expected: Generation) -> sqlx::Result<Option<String>> {
    let row =
        sqlx::query!("SELECT generation, restoring_since FROM broker.generation").fetch_one(pool).await?;
    if row.restoring_since.is_some() {
        return Ok(Some("a repair was begun and has not ended".to_owned()));
    }
    let is_same = decode(row.generation)? == expected;
    Ok((!is_same).then(|| "it was repaired while this process ran, which must be restarted".to_owned()))
}

/// Notes that a repair has begun: until it ends, no service starts on this database.
pub(crate) async fn begin_restore(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("UPDATE broker.generation SET restoring_since = coalesce(restoring_since, now())")
        .execute(pool)
        .await?;
    Ok(())
}

/// Raises the generation.
pub(crate) async fn raise(connection: &mut PgConnection) -> sqlx::Result<Generation> {
    let raised = sqlx::query_scalar!(
        "UPDATE broker.generation SET generation = generation + 1, raised_at = now() RETURNING generation"
    );
    decode(raised.fetch_one(connection).await?)
}

/// Notes that the repair is complete.
pub(crate) async fn end_restore(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("UPDATE broker.generation SET restoring_since = NULL").execute(pool).await?;
    Ok(())
}

fn decode(generation: i32) -> sqlx::Result<Generation> {
    Generation::from_i32(generation)
        .ok_or_else(|| sqlx::Error::Decode("the generation is out of range".into()))
}
