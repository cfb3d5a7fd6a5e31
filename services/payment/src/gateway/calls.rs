//! The calls on the gateway's side: each changes the ledger, or finds what an earlier call with the same key did.

use events::DeclineReason;
use events::values::{Money, OrderId, PaymentMethod};
use sqlx::PgPool;
use uuid::Uuid;

use super::methods::{AUTHORIZED, Behaviour, CAPTURE_FAILS};
use crate::domain::{Answer, Call, Failure, Outcome, Request};

/// Performs a call.
pub(super) async fn perform(ledger: &PgPool, request: &Request) -> sqlx::Result<Outcome> {
    let Request { order_id: order, key, call } = request;
    match call {
        Call::Authorize { amount, method } => authorize(ledger, *order, key, *amount, method).await,
        Call::Capture(id) => capture(ledger, *order, key, id).await,
        Call::Void(id) => void(ledger, *order, key, id).await,
        Call::Refund(id) => refund(ledger, *order, key, id).await,
        Call::FindCapture(id) => find_capture(ledger, *order, key, id).await,
    }
}

/// Holds the amount, or declines it. A key that was answered before gets the same answer.
async fn authorize(
    ledger: &PgPool,
    order: OrderId,
    key: &str,
    amount: Money,
    method: &PaymentMethod,
) -> sqlx::Result<Outcome> {
    let behaviour = Behaviour::of(method.as_str());
    let entered = sqlx::query!(
        r#"
        INSERT INTO gateway.authorizations (reference, key, id, amount, currency, payment_method, answer)
        SELECT $1, $2, $3, $4, $5, $6,
               CASE WHEN $8::integer > (SELECT count(*) FROM gateway.authorizations WHERE reference = $1)
                    THEN 'failed' ELSE $7 END
        ON CONFLICT (reference, key) DO NOTHING
        "#,
        order.uuid(),
        key,
        id("ch"),
        amount.amount,
        amount.currency.as_str(),
        method.as_str(),
        behaviour.answer(),
        behaviour.failures,
    );
    let is_first = entered.execute(ledger).await?.rows_affected() == 1;
    if is_first && behaviour.times_out {
        return Ok(Err(Failure::Unknown));
    }
    let known = sqlx::query!(
        "SELECT id, answer FROM gateway.authorizations WHERE reference = $1 AND key = $2",
        order.uuid(),
        key,
    );
    let known = known.fetch_one(ledger).await?;
    Ok(match known.answer.as_str() {
        AUTHORIZED => Ok(Answer::Authorized(known.id)),
        "failed" => Err(Failure::Failed),
        declined => Ok(Answer::Declined(declined.parse().unwrap_or(DeclineReason::Unknown))),
    })
}

/// Captures the held amount. Refuses for good when it was voided, or when the method never allows a capture.
async fn capture(ledger: &PgPool, order: OrderId, key: &str, id: &str) -> sqlx::Result<Outcome> {
    let captured = sqlx::query_scalar!(
        r#"
        UPDATE gateway.authorizations
        SET captured_at = COALESCE(captured_at, now()), capture_key = COALESCE(capture_key, $3)
        WHERE reference = $1 AND id = $2
          AND answer = 'authorized' AND voided_at IS NULL AND payment_method <> $4
        RETURNING capture_key = $3 AS "is_this_call!"
        "#,
        order.uuid(),
        id,
        key,
        CAPTURE_FAILS,
    );
    let is_captured = captured.fetch_optional(ledger).await?.unwrap_or(false);
    Ok(Ok(if is_captured { Answer::Captured } else { Answer::CaptureRefused }))
}

/// Releases the held amount; when it was captured, answers so.
async fn void(ledger: &PgPool, order: OrderId, key: &str, id: &str) -> sqlx::Result<Outcome> {
    let voided = sqlx::query!(
        r#"
        UPDATE gateway.authorizations
        SET voided_at = CASE WHEN captured_at IS NULL THEN COALESCE(voided_at, now()) END,
            void_key = CASE WHEN captured_at IS NULL THEN COALESCE(void_key, $3) END
        WHERE reference = $1 AND id = $2 AND answer = 'authorized'
        RETURNING COALESCE(void_key = $3, false) AS "is_this_call!", captured_at IS NOT NULL AS "is_captured!"
        "#,
        order.uuid(),
        id,
        key,
    );
    Ok(match voided.fetch_optional(ledger).await? {
        Some(row) if row.is_this_call => Ok(Answer::Voided),
        Some(row) if row.is_captured => Ok(Answer::Captured),
        // The ledger was restored from an older copy and has no such authorization.
        _ => Err(Failure::Unknown),
    })
}

/// Refunds the captured amount, once.
async fn refund(ledger: &PgPool, order: OrderId, key: &str, charge: &str) -> sqlx::Result<Outcome> {
    let refunded = sqlx::query!(
        r#"
        INSERT INTO gateway.refunds (reference, key, id, charge_id, amount, currency)
        SELECT reference, $3, $4, id, amount, currency FROM gateway.authorizations
        WHERE reference = $1 AND id = $2 AND captured_at IS NOT NULL
        ON CONFLICT DO NOTHING
        "#,
        order.uuid(),
        charge,
        key,
        id("re"),
    );
    refunded.execute(ledger).await?;
    let is_refunded = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM gateway.refunds WHERE reference = $1 AND key = $2) AS "known!""#,
        order.uuid(),
        key,
    );
    let is_refunded = is_refunded.fetch_one(ledger).await?;
    Ok(if is_refunded { Ok(Answer::Refunded) } else { Err(Failure::Unknown) })
}

/// Answers whether the capture under this key took place.
async fn find_capture(ledger: &PgPool, order: OrderId, key: &str, id: &str) -> sqlx::Result<Outcome> {
    let is_captured = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM gateway.authorizations
                          WHERE reference = $1 AND id = $2 AND capture_key = $3) AS "known!""#,
        order.uuid(),
        id,
        key,
    );
    let is_captured = is_captured.fetch_one(ledger).await?;
    Ok(Ok(if is_captured { Answer::Captured } else { Answer::NotCaptured }))
}

/// Returns a new id of the gateway.
pub(super) fn id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}
