//! The payments as a work queue: due payments are claimed with a lease and a token.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::rows::Row;
use crate::domain::Payment;

/// A payment that is claimed for a call.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub payment: Payment,
    /// Whether the operation may have reached the gateway before this claim.
    pub unresolved: bool,
    /// The token of the claim.
    pub token: Uuid,
}

/// Claims due payments for `lease` and marks their operations as started. So if this process dies, the next claim knows
/// that the gateway may have been asked.
pub(crate) async fn claim(
    pool: &PgPool,
    token: Uuid,
    limit: i64,
    lease: Duration,
) -> sqlx::Result<Vec<Claimed>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        WITH due AS (
            SELECT id, started FROM payments
            WHERE operation IS NOT NULL AND next_at <= now()
              AND (leased_until IS NULL OR leased_until <= now() OR leased_until > now() + make_interval(secs => $4))
            ORDER BY next_at
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        UPDATE payments
        SET token = $1, leased_until = now() + make_interval(secs => $3), started = true, attempts = attempts + 1
        FROM due
        WHERE payments.id = due.id
        RETURNING payments.id, goal, status, amount, currency, payment_method, gateway_id, operation,
                  due.started, generation, failures, version, seen_orders, placed_by, confirmed_by, cancelled_by,
                  traceparent
        "#,
        token,
        limit,
        lease.as_secs_f64(),
        work::furthest(lease).as_secs_f64(),
    );
    let claimed = rows.fetch_all(pool).await?.into_iter().map(|row| {
        let mut payment = Payment::try_from(row)?;
        let unresolved = std::mem::replace(&mut payment.started, true);
        Ok(Claimed { payment, unresolved, token })
    });
    claimed.collect()
}

/// Loads the payments that are still claimed under these tokens, in their present state, locked in key order.
pub(crate) async fn load_claimed(
    connection: &mut PgConnection,
    orders: &[Uuid],
    tokens: &[Uuid],
) -> sqlx::Result<Vec<Payment>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT payments.id, goal, status, amount, currency, payment_method, gateway_id, operation, started,
               generation, failures, version, seen_orders, placed_by, confirmed_by, cancelled_by, traceparent
        FROM payments JOIN unnest($1::uuid[], $2::uuid[]) AS mine (id, token) USING (id, token)
        ORDER BY payments.id
        FOR UPDATE OF payments
        "#,
        orders,
        tokens,
    );
    rows.fetch_all(connection).await?.into_iter().map(Payment::try_from).collect()
}

/// Makes payments due now that are due later than `bound` from now, and returns their number.
pub(crate) async fn hasten(pool: &PgPool, bound: Duration) -> sqlx::Result<u64> {
    let hastened = sqlx::query!(
        r#"
        UPDATE payments SET next_at = now() WHERE id IN (
            SELECT id FROM payments
            WHERE operation IS NOT NULL AND next_at > now() + make_interval(secs => $1) FOR UPDATE SKIP LOCKED)
        "#,
        bound.as_secs_f64(),
    );
    Ok(hastened.execute(pool).await?.rows_affected())
}

/// Counts the payments that are due now.
pub(crate) async fn ready(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!" FROM payments
        WHERE operation IS NOT NULL AND next_at <= now() AND (leased_until IS NULL OR leased_until <= now())
        "#
    )
    .fetch_one(pool)
    .await
}
