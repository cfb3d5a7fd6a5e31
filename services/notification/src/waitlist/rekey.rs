//! Claims after a change of `TOKEN_KEY`. A subscription stores the hash of its claim, and the claim depends on the key: with
//! another key, new messages carry other claims, and the orders that come by them would count for nothing. So the stored hashes
//! follow the key, and those of `TOKEN_KEY_PREVIOUS` stay beside them for the links sent before.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::tokens::Tokens;

/// Instances that are not restarted yet make subscriptions with the old key.
const INTERVAL: Duration = Duration::from_hours(1);
const STEP: i64 = 1000;

/// Checks all subscriptions at the start and once per hour.
pub(crate) async fn run(pool: PgPool, tokens: Tokens, stop: CancellationToken) {
    let tick = || rekey(&pool, &tokens);
    work::every("rekey", INTERVAL, &Notify::new(), stop, tick).await;
}

async fn rekey(pool: &PgPool, tokens: &Tokens) -> sqlx::Result<()> {
    let mut after = Uuid::nil();
    loop {
        let rows = sqlx::query!(
            "SELECT id, claim FROM subscriptions WHERE id > $1 ORDER BY id LIMIT $2",
            after,
            STEP
        )
        .fetch_all(pool)
        .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        let (mut ids, mut claims, mut former) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let claim = String::from(tokens.claim_hash(row.id.into()));
            if claim != row.claim {
                ids.push(row.id);
                claims.push(claim);
                former.push(tokens.former_claim_hash(row.id.into()).map(String::from));
            }
        }
        if !ids.is_empty() {
            replace(pool, &ids, &claims, &former).await?;
        }
    }
}

async fn replace(
    pool: &PgPool,
    ids: &[Uuid],
    claims: &[String],
    former: &[Option<String>],
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE subscriptions SET claim = made.claim, former_claim = made.former
         FROM unnest($1::uuid[], $2::text[], $3::text[]) AS made (id, claim, former)
         WHERE subscriptions.id = made.id",
        ids,
        claims,
        former as &[Option<String>],
    )
    .execute(pool)
    .await?;
    tracing::info!(subscriptions = ids.len(), "stored claims changed with TOKEN_KEY");
    Ok(())
}
