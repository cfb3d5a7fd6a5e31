//! Writes what became of claimed deliveries.

use broker::{Cause, Tx};
use events::values::DeliveryId;

use super::column;
use crate::domain::delivery::{Delivery, Status, Verdict};

/// A delivery whose verdict was written: its claim was still valid.
pub(crate) struct Recorded {
    pub id: DeliveryId,
    pub version: i64,
    /// The event that led to the message.
    pub cause: Cause,
}

/// Writes verdicts whose claims are still valid, and returns those deliveries.
pub(crate) async fn record(tx: &mut Tx, verdicts: &[(&Delivery, Verdict)]) -> sqlx::Result<Vec<Recorded>> {
    let mut verdicts: Vec<_> = verdicts.iter().collect();
    verdicts.sort_unstable_by_key(|(delivery, _)| delivery.id);
    let rows = sqlx::query!(
        r#"
        UPDATE deliveries
        SET status = verdict.status, cause = verdict.cause, token = NULL, leased_until = NULL,
            next_at = now() + make_interval(secs => verdict.pause), deferrals = deferrals + verdict.deferred::int,
            -- The next attempt is the first again, and counts against the limit.
            attempts = CASE WHEN verdict.untried THEN 0 ELSE attempts END,
            finished_at = CASE WHEN verdict.status = ANY($8) THEN now() END,
            version = version + (verdict.status = ANY($8))::int
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::float8[], $6::boolean[], $7::boolean[])
             AS verdict (id, token, status, cause, pause, deferred, untried)
        WHERE deliveries.id = verdict.id AND deliveries.token = verdict.token
        RETURNING deliveries.id, version, caused_by, traceparent
        "#,
        &column(&verdicts, |(delivery, _)| delivery.id.uuid()),
        &column(&verdicts, |(delivery, _)| delivery.token),
        &column(&verdicts, |(_, verdict)| verdict.status().as_str()) as &[&str],
        &column(&verdicts, |(_, verdict)| verdict.cause()) as &[Option<&str>],
        &column(&verdicts, |(_, verdict)| Some(verdict.pause()?.as_secs_f64())) as &[Option<f64>],
        &column(&verdicts, |(_, verdict)| matches!(verdict, Verdict::Deferred(..) | Verdict::NoContact(_))),
        // Without a known address the delivery was neither tried nor counted against its mailbox's limit.
        &column(&verdicts, |(_, verdict)| matches!(verdict, Verdict::Postponed(_) | Verdict::NoContact(_))),
        &Status::FINAL.map(Status::as_str) as &[&str],
    )
    .fetch_all(&mut **tx)
    .await?;
    let recorded = rows.into_iter().map(|row| Recorded {
        id: row.id.into(),
        version: row.version,
        cause: Cause { event_id: row.caused_by, traceparent: row.traceparent },
    });
    Ok(recorded.collect())
}
