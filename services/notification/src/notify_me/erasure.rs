//! Forgetting an address: its subscriptions stay as numbers for the report, without it. What it refused stays too, as an
//! HMAC of the mailbox: nobody signs an erased address up again.

use broker::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::subscriptions::call_back;

/// Erases what these addresses, and these customers, had subscribed to until `times`; what is on its way is called back.
pub(crate) async fn erase(
    tx: &mut Tx,
    addresses: &[&str],
    times: &[OffsetDateTime],
    customers: &[Uuid],
) -> sqlx::Result<()> {
    let erased = sqlx::query_scalar!(
        r#"
        WITH hit AS (
            SELECT subscriptions.id FROM subscriptions
            WHERE (customer_id = ANY($3) AND email IS NULL AND state IN ('pending', 'waiting'))
               OR id IN (
                   SELECT owned.id FROM unnest($1::text[], $2::timestamptz[]) AS gone (email, at)
                   JOIN subscriptions AS owned ON owned.email = gone.email AND owned.created_at <= gone.at)
            ORDER BY id FOR UPDATE
        )
        UPDATE subscriptions
        SET email = NULL, mailbox = NULL, queued_at = NULL, ended_at = COALESCE(ended_at, now()),
            bought_at = COALESCE(bought_at, (SELECT min(bought.bought_at) FROM standing_purchases AS bought
                                             WHERE bought.subscription_id = subscriptions.id)),
            state = CASE state WHEN 'merged' THEN state ELSE 'erased' END
        FROM hit WHERE subscriptions.id = hit.id
        RETURNING subscriptions.id
        "#,
        addresses as &[&str],
        times,
        customers,
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        r#"
        DELETE FROM wishes USING unnest($1::text[], $2::timestamptz[]) AS gone (email, at)
        WHERE wishes.email = gone.email AND wishes.created_at <= gone.at
        "#,
        addresses as &[&str],
        times,
    )
    .execute(&mut **tx)
    .await?;
    if erased.is_empty() { Ok(()) } else { call_back(tx, &erased).await }
}
