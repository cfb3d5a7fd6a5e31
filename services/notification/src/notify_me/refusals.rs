//! "No more of this": what an address's owner has refused, remembered by the mailbox against questions and wishes of
//! strangers. Only a link of the owner's own lifts it.

use broker::Tx;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::subscriptions::call_back;
use super::tokens::Mailbox;

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// Mails about this product.
    Product(&'a str),
    /// Mails of this kind about any product.
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

/// What a mailbox has refused that touches a product.
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

/// Notes a refusal, and ends what its mailbox waits for; what is on its way is called back. The refusal answers what was
/// asked.
pub(crate) async fn refuse(
    tx: &mut Tx,
    mailbox: &Mailbox,
    email: Option<&str>,
    scope: Scope<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO refusals (mailbox, sku, refused_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        mailbox.bytes(),
        scope.sku(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM questions WHERE mailbox = $1 AND ($2::text IS NULL OR sku = $2)",
        mailbox.bytes(),
        scope.sku()
    )
    .execute(&mut **tx)
    .await?;
    let ended: Vec<Uuid> = sqlx::query_scalar!(
        r#"
        WITH hit AS (
            SELECT id FROM subscriptions
            WHERE (mailbox = $1 OR email = $4) AND ($2::text IS NULL OR sku = $2) AND state IN ('pending', 'waiting', 'lapsed')
            ORDER BY id FOR UPDATE
        )
        UPDATE subscriptions
        SET state = 'unsubscribed', queued_at = NULL, ended_at = COALESCE(ended_at, $3),
            bought_at = COALESCE(bought_at, (SELECT min(bought.bought_at) FROM standing_purchases AS bought
                                             WHERE bought.subscription_id = subscriptions.id))
        FROM hit WHERE subscriptions.id = hit.id
        RETURNING subscriptions.id
        "#,
        mailbox.bytes(),
        scope.sku(),
        now,
        email,
    )
    .fetch_all(&mut **tx)
    .await?;
    call_back(tx, &ended).await
}

/// Takes back what a mailbox has refused of a product, and of all products.
pub(crate) async fn lift(tx: &mut Tx, mailbox: &Mailbox, sku: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM refusals WHERE mailbox = ANY($1) AND (sku = $2 OR sku IS NULL)",
        &mailbox.all(),
        sku
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes back what a mailbox has refused of one product: its owner asks to be told of it after all.
pub(crate) async fn want(tx: &mut Tx, mailbox: &Mailbox, sku: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM refusals WHERE mailbox = ANY($1) AND sku = $2", &mailbox.all(), sku)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What the mailbox has refused that touches the product.
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
