//! What time does to subscriptions: questions that nobody answered and waits that were too long lapse, and the
//! addresses of those that ended are forgotten. It also finds what two transactions overlooked between them.

use std::time::Duration;

use broker::{Cause, Outbox};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{by_order, purchases, subscriptions};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(30);
/// Rows a step: short transactions.
const STEP: i64 = 500;

/// Runs until `stop`.
pub(crate) async fn run(outbox: Outbox, stop: CancellationToken) {
    work::every("expiry", INTERVAL, &Notify::new(), stop, || turn(&outbox)).await;
}

async fn turn(outbox: &Outbox) -> sqlx::Result<()> {
    reconcile(outbox).await?;
    while lapse(outbox).await? {}
    while forget(outbox).await? {}
    Ok(())
}

/// A contact and what belongs to it can be written at the same moment, by two instances that read two topics.
async fn reconcile(outbox: &Outbox) -> sqlx::Result<()> {
    let customers = by_order::overlooked(outbox.pool()).await?;
    if customers.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = customers.iter().map(|customer| customer.uuid()).collect();
    let mut tx = outbox.begin().await?;
    by_order::adopt(&mut tx, &customers.into_iter().map(|customer| (customer, Cause::default())).collect())
        .await?;
    purchases::catch_up(&mut tx, &ids).await?;
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
        UPDATE subscriptions SET state = 'lapsed', queued_at = NULL, ended_at = now()
        FROM over WHERE subscriptions.id = over.id
        RETURNING subscriptions.id
        "#,
        STEP,
    )
    .fetch_all(&mut *tx)
    .await?;
    subscriptions::call_back(&mut tx, &lapsed).await?;
    tx.commit().await?;
    Ok(is_full(lapsed.len()))
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
        UPDATE subscriptions SET email = NULL FROM over WHERE subscriptions.id = over.id
        "#,
        STEP,
    )
    .execute(outbox.pool())
    .await?;
    Ok(is_full(usize::try_from(forgotten.rows_affected()).unwrap_or_default()))
}

fn is_full(step: usize) -> bool {
    i64::try_from(step).is_ok_and(|step| step == STEP)
}
