//! Where subscriptions stand, as the pages behind links ask it.

use events::values::{ClaimHash, EmailAddress, SubscriptionId};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::subscriptions::Wish;
use super::tokens::{Mailbox, Tokens};

/// Where a subscription stands, or the one that it was merged into.
#[derive(Debug)]
pub(crate) struct Standing {
    pub id: Uuid,
    pub sku: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub quantity: i32,
    pub state: String,
    pub confirmed_round: i32,
    /// An order asked for it, and its address has not confirmed it.
    pub by_order: bool,
}

impl Standing {
    /// The mailbox of its address, while that is known.
    pub(crate) fn mailbox(&self, tokens: &Tokens) -> Option<Mailbox> {
        let email = EmailAddress::from_older(self.email.as_deref()?).ok()?;
        Some(tokens.mailbox(&email))
    }
}

/// Looks a subscription up.
pub(crate) async fn standing(
    database: impl PgExecutor<'_>,
    id: SubscriptionId,
) -> sqlx::Result<Option<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"
        WITH RECURSIVE chain AS (
            SELECT id, merged_into FROM subscriptions WHERE id = $1
            UNION SELECT next.id, next.merged_into FROM chain JOIN subscriptions AS next ON next.id = chain.merged_into
        )
        SELECT subscriptions.id, sku, products.name AS "name?", email, quantity, state, confirmed_round,
               COALESCE(consent = 'order', false) AS "by_order!"
        FROM chain JOIN subscriptions USING (id) LEFT JOIN products USING (sku)
        WHERE chain.merged_into IS NULL
        "#,
        id.uuid(),
    )
    .fetch_optional(database)
    .await
}

/// Whether what somebody wishes is waited for already, in whatever quantity, and not bought meanwhile.
pub(crate) async fn waits(database: impl PgExecutor<'_>, wish: &Wish) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM subscriptions WHERE email = $1 AND sku = $2 AND state = 'waiting'
              AND NOT EXISTS (
                  SELECT FROM standing_purchases AS bought WHERE bought.subscription_id = subscriptions.id)) AS "waits!"
        "#,
        wish.email.expose(),
        wish.sku.as_str(),
    )
    .fetch_one(database)
    .await
}

/// Counts the click on the link in a message, once.
pub(crate) async fn click(pool: &PgPool, claim: &ClaimHash) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE subscriptions SET clicked_at = now() WHERE (claim = $1 OR former_claim = $1) AND clicked_at IS NULL",
        claim.as_str(),
    )
    .execute(pool)
    .await?;
    Ok(())
}
