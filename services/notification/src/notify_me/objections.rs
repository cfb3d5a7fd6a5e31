//! Wishes of orders that come to nothing: anybody can order with anybody's address, so what its owner has refused counts for
//! more, and a mailbox has so many such wishes and no more.

use std::time::Duration;

use broker::Tx;
use work::furthest;

use super::adopt::Found;
use super::{refusals, subscriptions};

/// Why a wish comes to nothing, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Objection(&'static str);

/// Why the wish comes to nothing, if it does. One that joins what the address waits for anyhow (`joins`) counts for no
/// limit.
pub(super) async fn find(
    tx: &mut Tx,
    found: &Found,
    joins: bool,
    per_hour: u32,
) -> sqlx::Result<Option<Objection>> {
    if refusals::of(&mut **tx, &found.mailbox, &found.sku).await?.any() {
        return Ok(Some(Objection("refused")));
    }
    if joins {
        return Ok(None);
    }
    let counts = sqlx::query!(
        r#"
        SELECT count(*) FILTER (WHERE sku = $2 AND state IN ('pending', 'waiting') AND email <> $3) AS "twins!",
               count(*) FILTER (WHERE order_id IS NOT NULL
                                  AND created_at BETWEEN now() - interval '1 hour' AND now() + make_interval(secs => $4))
                   AS "lately!"
        FROM subscriptions WHERE mailbox = $1
        "#,
        found.mailbox.bytes(),
        found.sku,
        found.email.expose(),
        // Those of the future were made while the database's clock was ahead.
        furthest(Duration::ZERO).as_secs_f64(),
    )
    .fetch_one(&mut **tx)
    .await?;
    // Under another spelling with a plus.
    if counts.twins > 0 {
        return Ok(Some(Objection("mailbox_waits")));
    }
    let is_over = per_hour > 0 && counts.lately >= i64::from(per_hour);
    Ok(is_over.then_some(Objection("mailbox_limit")))
}

/// Unmakes the wish: the message about the order offers it by a link instead, which only its reader can press.
pub(super) async fn drop_wish(tx: &mut Tx, found: &Found, Objection(reason): Objection) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE deliveries
        SET data = jsonb_set(data, '{short}', (
            SELECT jsonb_agg(CASE WHEN line ->> 'sku' = $2 THEN line - 'subscription' ELSE line END ORDER BY place)
            FROM jsonb_array_elements(data -> 'short') WITH ORDINALITY AS short (line, place)))
        WHERE order_id = $1 AND kind = 'order_cancelled' AND finished_at IS NULL
        "#,
        found.order,
        found.sku,
    )
    .execute(&mut **tx)
    .await?;
    subscriptions::call_back(tx, &[found.id]).await?;
    // One of an earlier version may have asked already, and is named by that message.
    sqlx::query!(
        "UPDATE subscriptions SET state = 'unsubscribed', queued_at = NULL, ended_at = now() WHERE id = $1",
        found.id
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM subscriptions WHERE id = $1 AND version = 0
         AND NOT EXISTS (SELECT FROM deliveries WHERE subscription_id = $1)",
        found.id
    )
    .execute(&mut **tx)
    .await?;
    metrics::counter!("wishes_dropped_total", "reason" => reason).increment(1);
    tracing::info!(sku = found.sku, reason, "an order's wish to be told was dropped");
    Ok(())
}
