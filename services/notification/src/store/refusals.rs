//! The refusals of the owner of an address, stored by mailbox: no request of a stranger leads to such a mail. Only a link in the
//! owner's own mail lifts a refusal.

use broker::Tx;
use events::values::EmailAddress;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::deliveries;
use super::subscriptions::lock_mailbox;
use crate::domain::subscription::Event;
use crate::domain::tokens::Mailbox;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// Mails about this product.
    Product(&'a str),
    /// Mails about every product.
    All,
}

impl<'a> Scope<'a> {
    fn sku(self) -> Option<&'a str> {
        match self {
            Self::Product(sku) => Some(sku),
            Self::All => None,
        }
    }
}

/// The refusals of a mailbox that cover a product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    pub product: bool,
    pub all: bool,
}

impl Refused {
    pub(crate) fn any(self) -> bool {
        self.product || self.all
    }
}

/// Stores a refusal, ends the subscriptions that it covers, and cancels their unsent messages. It also answers open
/// confirmation mails.
pub(crate) async fn refuse(
    tx: &mut Tx,
    mailbox: &Mailbox,
    email: &EmailAddress,
    scope: Scope<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    // A subscription that is being made at this moment has looked for refusals already.
    lock_mailbox(tx, email).await?;
    sqlx::query!(
        "INSERT INTO refusals (mailbox, sku, refused_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        mailbox.bytes(),
        scope.sku(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    let ended: Vec<Uuid> = sqlx::query_scalar!(
        r#"
        WITH hit AS (
            SELECT id FROM subscriptions
            WHERE (mailbox = ANY($1) OR email = $4) AND ($2::text IS NULL OR sku = $2) AND state = ANY($5)
            ORDER BY id FOR UPDATE
        )
        UPDATE subscriptions
        SET state = $6, queued_at = NULL, ended_at = COALESCE(ended_at, $3),
            bought_at = COALESCE(bought_at, (SELECT min(bought.bought_at) FROM standing_purchases AS bought
                                             WHERE bought.subscription_id = subscriptions.id))
        FROM hit WHERE subscriptions.id = hit.id
        RETURNING subscriptions.id
        "#,
        &mailbox.all(),
        scope.sku(),
        now,
        email.expose(),
        &Event::Refused.sources() as &[&str],
        Event::Refused.target().as_str(),
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM questions WHERE mailbox = ANY($1) AND ($2::text IS NULL OR sku = $2)",
        &mailbox.all(),
        scope.sku()
    )
    .execute(&mut **tx)
    .await?;
    deliveries::cancel_unsent(tx, &ended).await
}

/// Lifts a mailbox's refusals of a product, and of every product.
pub(crate) async fn lift(tx: &mut Tx, mailbox: &Mailbox, sku: &str) -> sqlx::Result<()> {
    let query = sqlx::query!(
        "DELETE FROM refusals WHERE mailbox = ANY($1) AND (sku = $2 OR sku IS NULL)",
        &mailbox.all(),
        sku
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Lifts a mailbox's refusal of one product: its owner subscribes after all.
pub(crate) async fn lift_product(tx: &mut Tx, mailbox: &Mailbox, sku: &str) -> sqlx::Result<()> {
    let query =
        sqlx::query!("DELETE FROM refusals WHERE mailbox = ANY($1) AND sku = $2", &mailbox.all(), sku);
    query.execute(&mut **tx).await.map(drop)
}

/// The refusals of a mailbox that cover a product.
pub(crate) async fn of(database: impl PgExecutor<'_>, mailbox: &Mailbox, sku: &str) -> sqlx::Result<Refused> {
    sqlx::query_as!(
        Refused,
        r#"
        SELECT COALESCE(bool_or(sku IS NOT NULL), false) AS "product!", COALESCE(bool_or(sku IS NULL), false) AS "all!"
        FROM refusals WHERE mailbox = ANY($1) AND (sku = $2 OR sku IS NULL)
        "#,
        &mailbox.all(),
        sku,
    )
    .fetch_one(database)
    .await
}
