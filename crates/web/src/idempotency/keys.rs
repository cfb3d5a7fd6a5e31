//! The table of keys (`idempotency_keys`, in each service's own migrations), batch in and batch out, since
//! orders are written in groups.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};

use super::{Answer, Key};

/// How many keys one statement of [`purge`] deletes.
const STEP: i64 = 1000;

/// What came of claiming a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The key is new: do the work, and store its [`Answer`] with [`answer`] before the commit.
    New,
    /// The same request again: give this answer.
    Replay(Answer),
    /// The same request again within this very batch: give the answer of the one at this index.
    Repeats(usize),
    /// The key was used for another request: [`super::other_body`].
    OtherBody,
}

/// Claims the keys for the caller's transaction; one claim for each key, in the same order.
///
/// Waits for another transaction that has claimed one of them, at most the role's `lock_timeout`: see
/// [`super::failed`].
pub async fn claim(connection: &mut PgConnection, keys: &[&Key]) -> sqlx::Result<Vec<Claim>> {
    let mut first = HashMap::new();
    for (index, key) in keys.iter().enumerate() {
        first.entry((key.operation.as_str(), key.value.as_str())).or_insert(index);
    }
    let held = insert(connection, first.values().map(|&index| keys[index])).await?;
    let claim = |(index, key): (usize, &&Key)| {
        let name = (key.operation.as_str(), key.value.as_str());
        match held.get(&(key.operation.clone(), key.value.clone())) {
            Some((fingerprint, _)) if fingerprint != &key.fingerprint => Claim::OtherBody,
            Some((_, Some(answer))) => Claim::Replay(answer.clone()),
            _ if first[&name] == index => Claim::New,
            _ => Claim::Repeats(first[&name]),
        }
    };
    Ok(keys.iter().enumerate().map(claim).collect())
}

type Held = HashMap<(String, String), (Vec<u8>, Option<Answer>)>;

/// Inserts what is new, sorted, so that two batches never wait for each other in a circle, and locks and
/// returns what was there: one statement, in which a key cannot vanish between finding and reading it.
/// A row without an answer is this transaction's own, since none is committed without.
async fn insert(
    connection: &mut PgConnection,
    keys: impl Iterator<Item = &Key> + Clone,
) -> sqlx::Result<Held> {
    let operations: Vec<String> = keys.clone().map(|key| key.operation.clone()).collect();
    let values: Vec<String> = keys.clone().map(|key| key.value.clone()).collect();
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
    let held = rows.into_iter().map(|row| {
        let status = row.status.and_then(|status| u16::try_from(status).ok());
        let answer =
            status.zip(row.body).map(|(status, body)| Answer { status, location: row.location, body });
        ((row.operation, row.key), (row.fingerprint, answer))
    });
    Ok(held.collect())
}

/// Stores the answers of claimed keys, in the transaction that claimed them.
pub async fn answer(connection: &mut PgConnection, answers: &[(&Key, &Answer)]) -> sqlx::Result<()> {
    let operations: Vec<String> = answers.iter().map(|(key, _)| key.operation.clone()).collect();
    let values: Vec<String> = answers.iter().map(|(key, _)| key.value.clone()).collect();
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

/// Gives claimed keys back, in the transaction that claimed them: what they were for was refused, and may be asked for
/// again.
pub async fn release(connection: &mut PgConnection, keys: &[&Key]) -> sqlx::Result<()> {
    let operations: Vec<String> = keys.iter().map(|key| key.operation.clone()).collect();
    let values: Vec<String> = keys.iter().map(|key| key.value.clone()).collect();
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

/// Whether the key was claimed, by a transaction that has committed.
pub async fn is_known(pool: &PgPool, key: &Key) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM idempotency_keys WHERE operation = $1 AND key = $2) AS "known!""#,
        key.operation,
        key.value,
    )
    .fetch_one(pool)
    .await
}

/// Deletes keys older than 24 hours in small steps and says how many; to be called now and then.
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
