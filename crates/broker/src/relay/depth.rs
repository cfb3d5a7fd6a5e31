//! Counts what waits in the outbox, for the gauge and for the door.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::tx::Outbox;

const EVERY: Duration = Duration::from_secs(1);

/// Keeps the count until `stop`. Each instance counts for itself, whether or not it leads.
pub(super) async fn keep(outbox: Outbox, stop: CancellationToken) {
    loop {
        // A count has its price when much waits; it never takes more than a tenth of the time.
        let started = tokio::time::Instant::now();
        if let Err(error) = count(&outbox).await {
            tracing::debug!(%error, "the outbox cannot be counted");
        }
        let pause = EVERY.max(started.elapsed() * 10);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Counts once.
#[expect(clippy::cast_precision_loss, reason = "a gauge")]
pub(crate) async fn count(outbox: &Outbox) -> sqlx::Result<()> {
    let row = sqlx::query!(
        r#"
        SELECT (SELECT count(*) FROM (SELECT FROM broker.outbox LIMIT $1) AS waiting) AS "depth!",
               coalesce(extract(epoch FROM clock_timestamp() - (
                   SELECT created_at FROM broker.outbox ORDER BY id LIMIT 1
               ))::double precision, 0) AS "age!"
        "#,
        outbox.limit() + 1,
    )
    .fetch_one(outbox.pool())
    .await?;
    outbox.set_depth(row.depth);
    metrics::gauge!("outbox_depth").set(row.depth as f64);
    metrics::gauge!("outbox_age_seconds").set(row.age.max(0.0));
    Ok(())
}
