//! The lineage of a database: the key by which it recognises its own events, and its generation, which counts how often it
//! was restored from an older copy.

use envelope::Generation;
use sqlx::{PgConnection, PgPool};

use crate::origin::OriginKey;
use crate::record::Record;
use crate::settings::Settings;

/// The lineage that a database shares with its copies.
#[derive(Debug, Clone, Copy)]
pub struct Lineage {
    /// How often the database was restored.
    pub generation: Generation,
    pub(crate) key: OriginKey,
}

impl Lineage {
    /// Returns whether the record was published from this database or from a copy of it.
    pub fn published(&self, record: &Record) -> bool {
        self.key.made(record)
    }
}

/// Reads the lineage. The table has one row.
pub(crate) async fn read(connection: &mut PgConnection) -> sqlx::Result<Lineage> {
    let row =
        sqlx::query!("SELECT generation, origin_key FROM broker.generation").fetch_one(connection).await?;
    let key = OriginKey::from_bytes(&row.origin_key);
    let key = key.ok_or_else(|| sqlx::Error::Decode("the origin key has not 32 bytes".into()))?;
    Ok(Lineage { generation: decode(row.generation)?, key })
}

/// Returns the change when the database was restored after a running process read `expected`, or is being restored now.
pub(crate) async fn changed(pool: &PgPool, expected: Generation) -> sqlx::Result<Option<String>> {
    let row =
        sqlx::query!("SELECT generation, restoring_since FROM broker.generation").fetch_one(pool).await?;
    if row.restoring_since.is_some() {
        return Ok(Some("a repair was begun and has not ended".to_owned()));
    }
    let is_same = decode(row.generation)? == expected;
    Ok((!is_same).then(|| "it was repaired while this process ran, which must be restarted".to_owned()))
}

/// Explains a finding that shows the database to be older than what its service has published or read, and names the
/// command that repairs it. `options` are options of that command, with a space before each.
pub fn explain_older_database(settings: &Settings, finding: &str, options: &str) -> String {
    let (service, program) = (&settings.service, &settings.program);
    format!(
        "The database of {service} is older than what {service} has published or read: {finding}. It was restored from an \
         older copy, failed over to a replica that lagged, or was created again. Events that {service} published now would \
         be ignored by their readers, or contradict earlier ones; so it publishes, reads and answers nothing. Show what \
         is missing: {program} restored --dry-run{options}; repair it: {program} restored{options}; then restart {service}"
    )
}

fn decode(generation: i32) -> sqlx::Result<Generation> {
    Generation::from_i32(generation)
        .ok_or_else(|| sqlx::Error::Decode("the generation is out of range".into()))
}
