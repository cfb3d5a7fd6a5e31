//! Dead letters: a record that can never be applied goes to `dlq.SERVICE` as it came, with where, why and when.
//!
//! Once per (topic, partition, offset), even after a rewind; through the outbox, in the transaction that moves on.

use envelope::Topic;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::outbox::{HeaderValue, Row};
use crate::record::Record;
use crate::settings::Settings;
use crate::tx::Tx;

/// The most of a cause that is kept, in characters.
const LONGEST_CAUSE: usize = 1000;

/// Marks `dead` (with their causes) and appends those to the outbox that were not dead before.
pub(crate) async fn bury(
    tx: &mut Tx,
    settings: &Settings,
    topic: Topic,
    dead: &[(&Record, String)],
) -> sqlx::Result<()> {
    for (record, cause) in dead {
        let cause: String = cause.chars().filter(|c| *c != '\0').take(LONGEST_CAUSE).collect();
        let new = sqlx::query!(
            "INSERT INTO broker.dead_letters (topic, partition, log_offset, cause) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            record.topic,
            record.partition,
            record.offset,
            cause,
        )
        .execute(&mut **tx)
        .await?
        .rows_affected()
            == 1;
        if new {
            tracing::error!(
                topic = record.topic,
                partition = record.partition,
                offset = record.offset,
                cause,
                "a record went to the dead letters"
            );
            tx.push(letter(settings, topic, record, &cause));
        }
    }
    Ok(())
}

/// The record as it came, with the story of its death in headers. Of a personal topic it carries a hash instead of the
/// value: a dead letter is kept for 30 days, whoever asks to be forgotten meanwhile.
fn letter(settings: &Settings, topic: Topic, record: &Record, cause: &str) -> Row {
    let text = |name: &str, value: String| (name.to_owned(), HeaderValue::Text(value));
    let mut headers = if topic.personal { Vec::new() } else { record.headers.clone().unwrap_or_default() };
    headers.extend([
        text("dlq_service", settings.service.clone()),
        text("dlq_topic", record.topic.clone()),
        text("dlq_partition", record.partition.to_string()),
        text("dlq_offset", record.offset.to_string()),
        text("dlq_cause", cause.to_owned()),
        text("dlq_time", OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()),
    ]);
    let value = if topic.personal {
        let value = record.value.as_deref().unwrap_or_default();
        headers.extend([
            text("dlq_value_sha256", format!("{:x}", Hex(&Sha256::digest(value)))),
            text("dlq_value_bytes", value.len().to_string()),
        ]);
        None
    } else {
        record.value.clone()
    };
    // A key of a personal topic that is no id of ours may be anything, an address too.
    let key = record.key.clone().filter(|key| !topic.personal || is_uuid(key));
    Row { topic: settings.dead_letter_topic(), key, value, headers }
}

fn is_uuid(key: &[u8]) -> bool {
    uuid::Uuid::try_parse_ascii(key).is_ok()
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
