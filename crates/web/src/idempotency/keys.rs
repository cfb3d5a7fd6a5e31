//! The table of keys, `idempotency_keys`. Every function takes a batch of keys,
//! since orders are written in groups.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};

use super::{Answer, Key};

/// The most keys that one statement of [`purge`] deletes.
const STEP: i64 = 1000;

/// The result of claiming a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The key is new: do the work, and store the [`Answer`] with [`answer`] before the commit.
    New,
    /// The same request was answered before: repeat this answer.
    Replay(Answer),
    /// The same request is in this batch, at this index: give both the same answer.
    Repeats(usize),
    /// The key was used for another request: [`super::other_body`].
    OtherBody,
}

/// Claims the keys for the caller's transaction and returns one claim per key, in the same order.
///
/// Waits for another transaction that has claimed one of them, at most for the role's `lock_timeout`; the error then is
/// one for [`super::failed`].
pub async fn claim(connection: &mut PgConnection, keys: &[&Key]) -> sqlx::Result<Vec<Claim>> {
    let mut first = HashMap::new();
    for (index, key) in keys.iter().enumerate() {
        first.entry((key.operation.as_str(), key.value.as_str())).or_insert(index);
    }
    let stored = insert(connection, first.values().map(|&index| keys[index])).await?;
    let claim = |(index, key): (usize, &&Key)| {
        let name = (key.operation.as_str(), key.value.as_str());
        match stored.get(&name_of(key)) {
            Some((fingerprint, _)) if fingerprint != &key.fingerprint => Claim::OtherBody,
            Some((_, Some(answer))) => Claim::Replay(answer.clone()),
            _ if first[&name] == index => Claim::New,
            _ => Claim::Repeats(first[&name]),
        }
    };
    Ok(keys.iter().enumerate().map(claim).collect())
}

fn name_of(key: &Key) -> (String, String) {
    (key.operation.clone(), key.value.clone())
}

type Stored = HashMap<(String, String), (Vec<u8>, Option<Answer>)>;

/// Inserts the new keys, and locks and returns all of them. The rows are sorted, so that two batches cannot
/// deadlock. It is one statement, so that a key cannot be deleted between the insert and the read. A row
/// without an answer belongs to this transaction, since no key is committed without one.
async fn insert(
    connection: &mut PgConnection,
    keys: impl Iterator<Item = &Key> + Clone,
) -> sqlx::Result<Stored> {
    let (operations, values): (Vec<_>, Vec<_>) = keys.clone().map(name_of).unzip();
    let fingerprints: Vec<Vec<u8>> = keys.map(|key| key.fingerprint.to_vec()).collect();
    let rows = sqlx::query!(
        "INSERT INTO idempotency_keys AS held (operation, key, fingerprint)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) ORDER BY 1, 2
         ON CONFLICT (operation, key) DO UPDATE SET key = excluded.key
         RETURNING held.operation, held.key, held.fingerprint, held.status, held.location, held.body",
        &operations,
        &values,
        &fingerprints,
    )
    .fetch_all(connection)
    .await?;
    let stored = rows.into_iter().map(|row| {
        let status = row.status.and_then(|status| u16::try_from(status).ok());
        let answer =
            status.zip(row.body).map(|(status, body)| Answer { status, location: row.location, body });
        ((row.operation, row.key), (row.fingerprint, answer))
    });
    Ok(stored.collect())
}

/// Stores the answers of claimed keys; call it in the transaction that claimed them.
pub async fn answer(connection: &mut PgConnection, answers: &[(&Key, &Answer)]) -> sqlx::Result<()> {
    let (operations, values): (Vec<_>, Vec<_>) = answers.iter().map(|(key, _)| name_of(key)).unzip();
    let statuses: Vec<i16> = answers.iter().map(|(_, answer)| answer.status.cast_signed()).collect();
    let locations: Vec<Option<String>> = answers.iter().map(|(_, answer)| answer.location.clone()).collect();
    let bodies: Vec<Vec<u8>> = answers.iter().map(|(_, answer)| answer.body.clone()).collect();
    sqlx::query!(
        "UPDATE idempotency_keys AS held
         SET status = given.status, location = given.location, body = given.body
         FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::bytea[])
             AS given (operation, key, status, location, body)
         WHERE held.operation = given.operation AND held.key = given.key",
        &operations,
        &values,
        &statuses,
        &locations as &[Option<String>],
        &bodies,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Releases claimed keys whose request was refused, so that a client may repeat it; call it in the transaction that
/// claimed them.
pub async fn release(connection: &mut PgConnection, keys: &[&Key]) -> sqlx::Result<()> {
    let (operations, values): (Vec<_>, Vec<_>) = keys.iter().map(|key| name_of(key)).unzip();
    sqlx::query!(
        "DELETE FROM idempotency_keys AS held USING unnest($1::text[], $2::text[]) AS given (operation, key)
         WHERE held.operation = given.operation AND held.key = given.key",
        &operations,
        &values,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a committed transaction has claimed the key.
pub async fn is_known(pool: &PgPool, key: &Key) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM idempotency_keys WHERE operation = $1 AND key = $2) AS "known!""#,
        key.operation,
        key.value,
    )
    .fetch_one(pool)
    .await
}

/// Deletes keys older than 24 hours in small steps and returns their number; to be called periodically.
pub async fn purge(pool: &PgPool) -> sqlx::Result<u64> {
    let mut purged = 0;
    loop {
        let step = sqlx::query!(
            "DELETE FROM idempotency_keys WHERE (operation, key) IN (
                 SELECT operation, key FROM idempotency_keys
                 WHERE created_at < now() - interval '24 hours'
                 ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
            STEP,
        )
        .execute(pool)
        .await?
        .rows_affected();
        purged += step;
        if step < STEP.cast_unsigned() {
            return Ok(purged);
        }
    }
}
