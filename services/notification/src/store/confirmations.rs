//! Confirmation mails that a mailbox has not answered (table `questions`); `domain::pacing` says when the next may follow.

use broker::Tx;
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;
use work::furthest;

use crate::domain::pacing::pause;
use crate::domain::subscription::CONFIRM_WITHIN;
use crate::domain::tokens::Mailbox;

/// Counts the next confirmation mail and returns the time at which its link ends; `None`: the mail must wait. The caller holds
/// the lock of the mailbox.
pub(crate) async fn may_ask(
    tx: &mut Tx,
    mailbox: &Mailbox,
    sku: &str,
) -> sqlx::Result<Option<OffsetDateTime>> {
    let open = sqlx::query!(
        r#"
        SELECT asked, extract(epoch FROM now() - last_at)::float8 AS "since!" FROM questions
        WHERE mailbox = ANY($1) AND sku = $2 ORDER BY last_at DESC LIMIT 1
        "#,
        &mailbox.all(),
        sku
    )
    .fetch_optional(&mut **tx)
    .await?;
    // A mail of the future was sent while the database's clock was ahead: its pause is over.
    let earliest = -furthest(std::time::Duration::ZERO).as_secs_f64();
    if open.as_ref().is_some_and(|open| (earliest..pause(open.asked).as_seconds_f64()).contains(&open.since))
    {
        return Ok(None);
    }
    let asked_at = sqlx::query_scalar!(
        "INSERT INTO questions (mailbox, sku, asked, last_at) VALUES ($1, $2, $3, now())
         ON CONFLICT (mailbox, sku) DO UPDATE SET asked = excluded.asked, last_at = excluded.last_at
         RETURNING last_at",
        mailbox.bytes(),
        sku,
        open.map_or(0, |open| open.asked).saturating_add(1),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Some(asked_at + CONFIRM_WITHIN))
}

/// Whether a link that works until `until` has ended. The clock that wrote `until` decides: the database's.
pub(crate) async fn has_ended(database: impl PgExecutor<'_>, until: OffsetDateTime) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT $1::timestamptz <= now() AS "ended!""#, until).fetch_one(database).await
}

/// Deletes the count: the mailbox has answered, so the next mail may follow at once.
pub(crate) async fn answered(tx: &mut Tx, mailbox: &Mailbox, sku: &str) -> sqlx::Result<()> {
    let query =
        sqlx::query!("DELETE FROM questions WHERE mailbox = ANY($1) AND sku = $2", &mailbox.all(), sku);
    query.execute(&mut **tx).await.map(drop)
}

/// Deletes the counts of mailboxes that were sent no confirmation mail for 30 days.
pub(crate) async fn delete_old(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM questions WHERE last_at <= now() - interval '30 days'").execute(pool).await?;
    Ok(())
}
