//! Requests of orders that are dropped: anybody can order with anybody's address, so a refusal by the owner counts for more, and a
//! mailbox has a limited number of such requests.

use std::time::Duration;

use broker::Tx;
use strum::IntoStaticStr;
use work::furthest;

use super::addressing::Addressed;
use super::{deliveries, refusals};
use crate::domain::subscription::Event;

/// Why a request is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Objection {
    /// The mailbox has refused mails about the product.
    Refused,
    /// The mailbox has an active subscription under another spelling with a plus.
    MailboxWaits,
    /// The mailbox has had as many such requests in this hour as are allowed.
    MailboxLimit,
}

/// Finds an objection to a request. One that `joins` an active subscription of the address counts for no limit.
pub(crate) async fn find(
    tx: &mut Tx,
    row: &Addressed,
    joins: bool,
    per_hour: u32,
) -> sqlx::Result<Option<Objection>> {
    if refusals::of(&mut **tx, &row.mailbox, &row.sku).await?.any() {
        return Ok(Some(Objection::Refused));
    }
    if joins {
        return Ok(None);
    }
    let counts = sqlx::query!(
        r#"
        SELECT count(*) FILTER (WHERE sku = $2 AND is_active(state) AND email <> $3) AS "spellings!",
               count(*) FILTER (WHERE order_id IS NOT NULL
                                  AND created_at BETWEEN now() - interval '1 hour' AND now() + make_interval(secs => $4))
                   AS "recent!"
        FROM subscriptions WHERE mailbox = ANY($1)
        "#,
        &row.mailbox.all(),
        row.sku,
        row.email.expose(),
        // Those of the future were made while the database's clock was ahead.
        furthest(Duration::ZERO).as_secs_f64(),
    )
    .fetch_one(&mut **tx)
    .await?;
    if counts.spellings > 0 {
        return Ok(Some(Objection::MailboxWaits));
    }
    let is_over = per_hour > 0 && counts.recent >= i64::from(per_hour);
    Ok(is_over.then_some(Objection::MailboxLimit))
}

/// Drops a request. The message about the order offers the subscription by a link instead, which only its reader can click.
pub(crate) async fn drop_request(tx: &mut Tx, row: &Addressed, objection: Objection) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE deliveries
        SET data = jsonb_set(data, '{short}', (
            SELECT jsonb_agg(CASE WHEN line ->> 'sku' = $2 THEN line - 'subscription' ELSE line END ORDER BY place)
            FROM jsonb_array_elements(data -> 'short') WITH ORDINALITY AS short (line, place)))
        WHERE order_id = $1 AND kind = 'order_cancelled' AND finished_at IS NULL
        "#,
        row.order,
        row.sku,
    )
    .execute(&mut **tx)
    .await?;
    deliveries::cancel_unsent(tx, &[row.id]).await?;
    // A confirmation mail of an earlier version may name it, so the row stays then.
    sqlx::query!(
        "UPDATE subscriptions SET state = $3, queued_at = NULL, ended_at = now() WHERE id = $1 AND state = ANY($2)",
        row.id,
        &Event::Refused.sources() as &[&str],
        Event::Refused.target().as_str(),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM subscriptions WHERE id = $1 AND version = 0
         AND NOT EXISTS (SELECT FROM deliveries WHERE subscription_id = $1)",
        row.id
    )
    .execute(&mut **tx)
    .await?;
    let reason = <&str>::from(objection);
    metrics::counter!("wishes_dropped_total", "reason" => reason).increment(1);
    tracing::info!(sku = row.sku, reason, "an order's subscription request was dropped");
    Ok(())
}
