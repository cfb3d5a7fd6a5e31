//! Where subscriptions stand, as the pages behind links ask it.

use events::values::{ClaimHash, SubscriptionId};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::subscriptions::Wish;

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
        SELECT subscriptions.id, sku, products.name AS "name?", email, quantity, state, confirmed_round
        FROM chain JOIN subscriptions USING (id) LEFT JOIN products USING (sku)
        WHERE chain.merged_into IS NULL
        "#,
        id.uuid(),
    )
    .fetch_optional(database)
    .await
}

/// Whether what somebody wishes is waited for already, in whatever quantity.
pub(crate) async fn waits(database: impl PgExecutor<'_>, wish: &Wish) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM subscriptions WHERE email = $1 AND sku = $2 AND state = 'waiting') AS "waits!""#,
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
