//! Subscriptions after a change of `TOKEN_KEY`. A subscription stores the hash of its claim and that of its mailbox, which both
//! depend on the key: with another key, new messages carry other claims, the orders that come by them would count for nothing,
//! and a refusal would not find the mailbox. So the stored hashes follow the key. The claims under `TOKEN_KEY_PREVIOUS` stay
//! beside the new ones for the links sent before.

use std::time::Duration;

use events::values::EmailAddress;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::tokens::Tokens;
use crate::store::column;

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
            "SELECT id, claim, email, mailbox FROM subscriptions WHERE id > $1 ORDER BY id LIMIT $2",
            after,
            STEP
        )
        .fetch_all(pool)
        .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        let (mut claims, mut mailboxes) = (Vec::new(), Vec::new());
        for row in rows {
            let claim = String::from(tokens.claim_hash(row.id.into()));
            if claim != row.claim {
                claims.push((row.id, claim, tokens.former_claim_hash(row.id.into()).map(String::from)));
            }
            let email = row.email.and_then(|email| EmailAddress::from_older(&email).ok());
            let Some(mailbox) = email.map(|email| tokens.mailbox(&email)) else { continue };
            if row.mailbox.is_some_and(|stored| stored != mailbox.bytes()) {
                mailboxes.push((row.id, mailbox.bytes().to_vec()));
            }
        }
        write_claims(pool, &claims).await?;
        write_mailboxes(pool, &mailboxes).await?;
    }
}

/// Writes the claims of these subscriptions, each under the current and under the previous key.
async fn write_claims(pool: &PgPool, claims: &[(Uuid, String, Option<String>)]) -> sqlx::Result<()> {
    if claims.is_empty() {
        return Ok(());
    }
    let query = sqlx::query!(
        "UPDATE subscriptions SET claim = made.claim, former_claim = made.former
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS made (id, claim, former)
             WHERE subscriptions.id = made.id",
        &column(claims, |(id, ..)| *id),
        &column(claims, |(_, current, _)| current.as_str()) as &[&str],
        &column(claims, |(.., former)| former.as_deref()) as &[Option<&str>],
    );
    query.execute(pool).await?;
    tracing::info!(subscriptions = claims.len(), "stored claims changed with TOKEN_KEY");
    Ok(())
}

/// Writes the mailboxes of these subscriptions under the current key.
async fn write_mailboxes(pool: &PgPool, mailboxes: &[(Uuid, Vec<u8>)]) -> sqlx::Result<()> {
    if mailboxes.is_empty() {
        return Ok(());
    }
    // An address that was erased meanwhile has no mailbox any more.
    let query = sqlx::query!(
        "UPDATE subscriptions SET mailbox = made.mailbox
             FROM unnest($1::uuid[], $2::bytea[]) AS made (id, mailbox)
             WHERE subscriptions.id = made.id AND subscriptions.mailbox IS NOT NULL",
        &column(mailboxes, |(id, _)| *id),
        &column(mailboxes, |(_, hash)| hash.as_slice()) as &[&[u8]],
    );
    query.execute(pool).await?;
    tracing::info!(subscriptions = mailboxes.len(), "stored mailboxes changed with TOKEN_KEY");
    Ok(())
}
