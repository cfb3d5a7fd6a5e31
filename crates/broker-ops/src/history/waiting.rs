//! The events that wait in the outbox of a database that is being repaired.

use std::collections::{HashMap, HashSet};

use broker::maintenance::Record;
use envelope::Generation;
use sqlx::{PgConnection, PgPool};

/// The outbox rows of a service's own topics.
pub(super) struct WaitingEvents {
    topics: Vec<String>,
    /// The ids of the rows by the ids of their events.
    ids: HashMap<String, i64>,
    /// The rows whose events are in the log.
    published: HashSet<i64>,
}

impl WaitingEvents {
    pub(super) async fn select(pool: &PgPool, topics: Vec<String>) -> sqlx::Result<Self> {
        let rows = sqlx::query!(
            r#"SELECT id, (SELECT header ->> 1 FROM json_array_elements(headers) AS header
                           WHERE header ->> 0 = 'ce_id') AS "ce_id!"
               FROM broker.outbox WHERE topic = ANY ($1)"#,
            &topics,
        );
        let rows = rows.fetch_all(pool).await?;
        let ids = rows.into_iter().map(|row| (row.ce_id, row.id)).collect();
        Ok(Self { topics, ids, published: HashSet::new() })
    }

    pub(super) fn note_published(&mut self, records: &[Record]) {
        for record in records {
            let id = record.header_text(envelope::names::ID);
            self.published.extend(id.and_then(|id| self.ids.remove(id)));
        }
    }

    /// Returns the number of events that are in the log, and of those that are not.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.published.len() as u64, self.ids.len() as u64)
    }

    /// Deletes the events that are in the log, and gives the others this generation.
    pub(super) async fn renew(
        &self,
        connection: &mut PgConnection,
        generation: Generation,
    ) -> sqlx::Result<()> {
        let published: Vec<i64> = self.published.iter().copied().collect();
        sqlx::query!("DELETE FROM broker.outbox WHERE id = ANY ($1)", &published)
            .execute(&mut *connection)
            .await?;
        sqlx::query!(
            "UPDATE broker.outbox SET headers = ((
                 SELECT jsonb_agg(header ORDER BY place)
                 FROM jsonb_array_elements(headers::jsonb) WITH ORDINALITY AS old (header, place)
                 WHERE header ->> 0 <> 'ce_generation'
             ) || jsonb_build_array(jsonb_build_array('ce_generation', $2::text)))::json
             WHERE topic = ANY ($1)",
            &self.topics,
            generation.to_string(),
        )
        .execute(&mut *connection)
        .await?;
        Ok(())
    }
}
