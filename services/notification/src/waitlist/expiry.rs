//! Periodic work: subscriptions expire, addresses of ended ones are forgotten, and unused rows are deleted. The same task gives
//! addresses to the subscriptions of a restored database.

use std::time::Duration;

use broker::{Cause, Outbox};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use work::furthest;

use super::addressing::{Addressing, Trigger};
use crate::store::{addressing, confirmations, purchases, stock, subscriptions};

const INTERVAL: Duration = Duration::from_secs(30);
/// Rows per transaction: short ones.
const STEP: i64 = 500;

/// Runs until `stop`; no wave is due later than `wave_interval` from now.
pub(crate) async fn run(
    outbox: Outbox,
    addressing: Addressing,
    wave_interval: Duration,
    stop: CancellationToken,
) {
    let tick = || tick(&outbox, &addressing, wave_interval);
    work::every("expiry", INTERVAL, &Notify::new(), stop, tick).await;
}

async fn tick(outbox: &Outbox, addressing: &Addressing, wave_interval: Duration) -> sqlx::Result<()> {
    let products = stock::hasten(outbox.pool(), furthest(wave_interval)).await?;
    if products > 0 {
        tracing::warn!(
            products,
            "waves were due too far in the future (the database's clock was ahead); they are due now"
        );
    }
    address_overlooked(outbox, addressing).await?;
    while is_full(subscriptions::expire(outbox, STEP).await?) {}
    while is_full(subscriptions::forget_addresses(outbox.pool(), STEP).await?) {}
    confirmations::delete_old(outbox.pool()).await?;
    while is_full(purchases::delete_unused(outbox.pool(), STEP).await?) {}
    Ok(())
}

/// A restored database has subscriptions of orders that name no customer.
async fn address_overlooked(outbox: &Outbox, addressing: &Addressing) -> sqlx::Result<()> {
    let customers = addressing::overlooked(outbox.pool()).await?;
    if customers.is_empty() {
        return Ok(());
    }
    let mut tx = outbox.begin().await?;
    let ids: Vec<Uuid> = customers.iter().map(|customer| customer.uuid()).collect();
    stock::make_wave_due_for(&mut tx, &ids).await?;
    let trigger = Trigger { cause: Cause::default(), at: OffsetDateTime::now_utc() };
    let customers = customers.into_iter().map(|customer| (customer, trigger.clone())).collect();
    addressing.run(&mut tx, &customers).await?;
    tx.commit().await
}

/// There may be more rows.
fn is_full(rows: u64) -> bool {
    rows == STEP.unsigned_abs()
}
