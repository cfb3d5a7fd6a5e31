//! Failed messages: found by an operator's filters, and made due again.

use broker::Tx;
use events::values::{EmailAddress, OrderId, Sku};
use events::{Channel, NotificationKind};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{stock, subscriptions, undecodable};
use crate::domain::content::Content;
use crate::domain::delivery::Status;
use crate::domain::subscription;

/// The filters of a resend; a failed message matches all that are set.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub kind: Option<NotificationKind>,
    pub channel: Option<Channel>,
    pub order_id: Option<OrderId>,
    pub sku: Option<Sku>,
    /// Failed then or later.
    pub since: Option<OffsetDateTime>,
    /// A part of the cause, in any case.
    pub cause: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Failed {
    pub id: Uuid,
    pub content: Json<Content>,
    pub channel: String,
    pub cause: String,
    pub email: Option<String>,
    /// The link of a confirmation mail does not work any more.
    pub expired: bool,
    contact_erased: bool,
    state: Option<String>,
}

impl Failed {
    /// The recipient, masked; `None` while the address is not known, and after an erasure.
    pub(crate) fn recipient(&self) -> Option<String> {
        self.address().map(|address| address.masked())
    }

    /// The recipient asked to be forgotten.
    pub(crate) fn is_erased(&self) -> sqlx::Result<bool> {
        let state = self.state.as_deref().map(str::parse::<subscription::Status>);
        let status = state.transpose().map_err(undecodable)?;
        Ok(self.contact_erased || status == Some(subscription::Status::Erased))
    }

    /// The table holds parsed addresses only.
    fn address(&self) -> Option<EmailAddress> {
        self.email.as_deref()?.parse().ok()
    }
}

/// At most `limit` failed messages, the oldest first. Those that a restored database has from the log alone are left out: their
/// content is not known.
pub(crate) async fn find(
    tx: &mut Tx,
    filter: &Filter,
    after: Option<Uuid>,
    limit: usize,
) -> sqlx::Result<Vec<Failed>> {
    sqlx::query_as!(
        Failed,
        r#"
        SELECT deliveries.id, data AS "content: Json<Content>", channel, COALESCE(cause, '') AS "cause!",
               COALESCE(subscriptions.email, contacts.email) AS "email?",
               COALESCE((data ->> 'until')::timestamptz <= now(), false) AS "expired!",
               contacts.erased_at IS NOT NULL AS "contact_erased!", state AS "state?"
        FROM deliveries
        LEFT JOIN subscriptions ON subscriptions.id = subscription_id
        LEFT JOIN orders ON orders.order_id = deliveries.order_id AND deliveries.customer_id IS NULL
        LEFT JOIN contacts ON contacts.customer_id = COALESCE(deliveries.customer_id, orders.customer_id)
        WHERE status = 'failed' AND NOT data ? 'recovered'
          AND ($1::text IS NULL OR kind = $1)
          AND ($2::text IS NULL OR channel = $2)
          AND ($3::uuid IS NULL OR deliveries.order_id = $3)
          AND ($4::text IS NULL OR deliveries.sku = $4)
          AND ($5::timestamptz IS NULL OR finished_at >= $5)
          AND ($6::text IS NULL OR strpos(lower(cause), lower($6)) > 0)
          AND ($7::uuid IS NULL OR deliveries.id > $7)
        ORDER BY deliveries.id
        LIMIT $8
        "#,
        filter.kind.map(<&str>::from),
        filter.channel.map(<&str>::from),
        filter.order_id.map(OrderId::uuid),
        filter.sku.as_ref().map(Sku::as_str),
        filter.since,
        filter.cause,
        after,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut **tx)
    .await
}

/// Locks what sending these messages again changes, and makes the waves of their products due.
pub(crate) async fn lock(tx: &mut Tx, found: &[Failed]) -> sqlx::Result<()> {
    let (mut mailboxes, mut skus, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for row in found {
        if let Content::BackInStock { subscription_id, sku, .. } = &row.content.0 {
            ids.push(subscription_id.uuid());
            skus.push(sku.as_str());
            mailboxes.extend(row.address().map(|address| address.mailbox()));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    stock::make_wave_due(tx, &skus).await?;
    mailboxes.sort_unstable();
    mailboxes.dedup();
    for mailbox in &mailboxes {
        subscriptions::lock_mailbox(tx, mailbox).await?;
    }
    subscriptions::lock(tx, &ids).await
}

/// Makes a failed delivery due again, now or (`due` = false) by the next wave; `false` when it is not failed any more.
pub(crate) async fn make_due(tx: &mut Tx, delivery: Uuid, due: bool) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        r#"
        UPDATE deliveries
        SET status = $3, finished_at = NULL, deferrals = 0, next_at = CASE WHEN $2 THEN now() END
        WHERE id = $1 AND status = $4
        "#,
        delivery,
        due,
        Status::Pending.as_str(),
        Status::Failed.as_str(),
    );
    Ok(changed.execute(&mut **tx).await?.rows_affected() > 0)
}
