//! What tells a database from an older copy of it that has taken its place.

use sqlx::PgPool;
use time::OffsetDateTime;

/// The run of Postgres that answers, and the database in it. A failover and a restored backup start another run; a dump or a copy
/// that is restored into the same run has another identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Incarnation {
    started: OffsetDateTime,
    database: i64,
}

impl Incarnation {
    pub(super) async fn read(pool: &PgPool) -> sqlx::Result<Self> {
        sqlx::query_as!(
            Self,
            r#"
            SELECT pg_postmaster_start_time() AS "started!", oid::bigint AS "database!"
            FROM pg_database WHERE datname = current_database()
            "#,
        )
        .fetch_one(pool)
        .await
    }
}
