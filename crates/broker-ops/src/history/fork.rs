//! Finds events that wait in the outbox with the same key and number as a published event that differs: the database was
//! replaced by an older copy, and has made another decision since.

use broker::maintenance::Record;
use envelope::{Generation, Topic, names};
use sqlx::PgConnection;

/// Returns the index of the first of `records`, which this service has published on `topic`, that a waiting event
/// contradicts. The same event, which `republish` appends again, is no contradiction; nor is an event of a higher generation,
/// which `restored` leaves.
pub(super) async fn find(
    connection: &mut PgConnection,
    topic: Topic,
    records: &[Record],
) -> sqlx::Result<Option<usize>> {
    let keys: Vec<Vec<u8>> = records.iter().filter_map(|record| record.key.clone()).collect();
    let waiting = sqlx::query!(
        r#"
        SELECT key AS "key!", value,
               (SELECT header ->> 1 FROM json_array_elements(headers) AS header WHERE header ->> 0 = $3) AS sequence,
               (SELECT header ->> 1 FROM json_array_elements(headers) AS header WHERE header ->> 0 = $4) AS ce_type,
               (SELECT header ->> 1 FROM json_array_elements(headers) AS header WHERE header ->> 0 = $5) AS generation
        FROM broker.outbox WHERE topic = $1 AND key = ANY ($2)
        "#,
        topic.name,
        &keys,
        names::SEQUENCE,
        names::TYPE,
        names::GENERATION,
    )
    .fetch_all(connection)
    .await?;
    Ok(records.iter().position(|record| {
        let number = record.header(names::SEQUENCE);
        let published = record.header_text(names::GENERATION);
        waiting.iter().any(|row| {
            record.key.as_deref() == Some(&row.key)
                && number == row.sequence.as_deref().map(str::as_bytes)
                && generation(row.generation.as_deref()) <= generation(published)
                && (record.ce_type() != row.ce_type.as_deref() || record.value != row.value)
        })
    }))
}

fn generation(header: Option<&str>) -> Generation {
    header.and_then(|text| text.parse().ok()).unwrap_or_default()
}
