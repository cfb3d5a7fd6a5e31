//! What time does to subscriptions: questions that nobody answered and waits that were too long lapse, and the
//! addresses of those that ended are forgotten. It also finds what two transactions overlooked between them.

use std::time::Duration;

use broker::{Cause, Outbox};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use work::furthest;

use super::adopt::{self, Adoption};
use super::{purchases, questions, stock, subscriptions};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(30);
/// Rows a step: short transactions.
const STEP: i64 = 500;

/// Runs until `stop`; no wave is due later than `wave_interval` from now.
pub(crate) async fn run(
    outbox: Outbox,
    adoption: Adoption,
    wave_interval: Duration,
    stop: CancellationToken,
) {
    let turn = || turn(&outbox, &adoption, wave_interval);
    work::every("expiry", INTERVAL, &Notify::new(), stop, turn).await;
}

async fn turn(outbox: &Outbox, adoption: &Adoption, wave_interval: Duration) -> sqlx::Result<()> {
    let products = stock::hasten(outbox.pool(), furthest(wave_interval)).await?;
    if products > 0 {
        tracing::warn!(products, "waves were due too late: a clock was wrong; they are due now");
    }
    reconcile(outbox, adoption).await?;
    while lapse(outbox).await? {}
    while forget(outbox).await? {}
    questions::forget(outbox.pool()).await?;
    while is_full(purchases::forget(outbox.pool(), STEP).await?) {}
    Ok(())
}

/// A contact and what belongs to it can be written at the same moment, by two instances that read two topics.
async fn reconcile(outbox: &Outbox, adoption: &Adoption) -> sqlx::Result<()> {
    let customers = adopt::overlooked(outbox.pool()).await?;
    if customers.is_empty() {
        return Ok(());
    }
    let mut tx = outbox.begin().await?;
    let customers = customers.into_iter().map(|customer| (customer, Cause::default())).collect();
    adoption.adopt(&mut tx, &customers).await?;
    tx.commit().await
}

/// One step; `true`: there may be more.
async fn lapse(outbox: &Outbox) -> sqlx::Result<bool> {
    let mut tx = outbox.begin().await?;
    let lapsed = sqlx::query_scalar!(
        r#"
        WITH over AS (
            SELECT id FROM subscriptions
            WHERE expires_at <= now() AND state IN ('pending', 'waiting', 'notified')
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE subscriptions
        SET state = CASE WHEN bought.at IS NULL THEN 'lapsed' ELSE 'bought' END,
            bought_at = COALESCE(subscriptions.bought_at, bought.at), queued_at = NULL, ended_at = now()
        FROM over LEFT JOIN (
            SELECT subscription_id, min(bought_at) AS at FROM standing_purchases GROUP BY subscription_id
        ) AS bought ON bought.subscription_id = over.id
        WHERE subscriptions.id = over.id
        RETURNING subscriptions.id
        "#,
        STEP,
    )
    .fetch_all(&mut *tx)
    .await?;
    subscriptions::call_back(&mut tx, &lapsed).await?;
    tx.commit().await?;
    Ok(is_full(lapsed.len() as u64))
}

/// An ended subscription keeps its address as long as its deliveries can be looked up. One step.
async fn forget(outbox: &Outbox) -> sqlx::Result<bool> {
    let forgotten = sqlx::query!(
        r#"
        WITH over AS (
            SELECT id FROM subscriptions
            WHERE ended_at <= now() - interval '90 days' AND email IS NOT NULL
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE subscriptions SET email = NULL, mailbox = NULL FROM over WHERE subscriptions.id = over.id
        "#,
        STEP,
    )
    .execute(outbox.pool())
    .await?;
    Ok(is_full(forgotten.rows_affected()))
}

fn is_full(step: u64) -> bool {
    step == STEP.unsigned_abs()
}
