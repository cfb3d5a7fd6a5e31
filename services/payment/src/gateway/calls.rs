//! The calls on the gateway's side: each changes the ledger, or finds what an earlier call with the same key did.

use std::collections::{HashMap, HashSet};

use events::DeclineReason;
use events::values::OrderId;
use sqlx::PgPool;
use uuid::Uuid;

use super::methods::{AUTHORIZED, Behaviour, CAPTURE_FAILS};
use crate::domain::{Answer, Call, Failure, Outcome, Request};

/// Performs calls: one statement for all authorizations, one for all captures, and one for each other call, which are rare.
/// Returns the outcomes in the order of the calls.
pub(super) async fn perform(ledger: &PgPool, requests: &[Request]) -> sqlx::Result<Vec<Outcome>> {
    let mut outcomes = authorize(ledger, requests).await?;
    outcomes.extend(capture(ledger, requests).await?);
    for Request { order_id, key, call } in requests {
        let outcome = match call {
            Call::Authorize { .. } | Call::Capture(_) => continue,
            Call::Void(id) => void(ledger, *order_id, key, id).await?,
            Call::Refund(id) => refund(ledger, *order_id, key, id).await?,
            Call::FindCapture(id) => find_capture(ledger, *order_id, key, id).await?,
        };
        outcomes.insert(key.clone(), outcome);
    }
    let unknown = Err(Failure::Unknown);
    Ok(requests.iter().map(|request| outcomes.get(&request.key).unwrap_or(&unknown).clone()).collect())
}

/// Outcomes by idempotency key.
type Outcomes = HashMap<String, Outcome>;

/// Holds each amount, or declines it. A key that was answered before gets the same answer.
async fn authorize(ledger: &PgPool, requests: &[Request]) -> sqlx::Result<Outcomes> {
    let asked = || {
        requests.iter().filter_map(|request| match &request.call {
            Call::Authorize { amount, method } => {
                Some((request, amount, Behaviour::of(method.as_str()), method))
            }
            Call::Capture(_) | Call::Void(_) | Call::Refund(_) | Call::FindCapture(_) => None,
        })
    };
    let orders: Vec<Uuid> = asked().map(|(request, ..)| request.order_id.uuid()).collect();
    if orders.is_empty() {
        return Ok(Outcomes::new());
    }
    let keys: Vec<&str> = asked().map(|(request, ..)| request.key.as_str()).collect();
    let ids: Vec<String> = keys.iter().map(|_| id("ch")).collect();
    let amounts: Vec<i64> = asked().map(|(_, amount, ..)| amount.amount).collect();
    let currencies: Vec<&str> = asked().map(|(_, amount, ..)| amount.currency.as_str()).collect();
    let methods: Vec<&str> = asked().map(|(.., method)| method.as_str()).collect();
    let answers: Vec<&str> = asked().map(|(_, _, behaviour, _)| behaviour.answer()).collect();
    let failures: Vec<i32> = asked().map(|(_, _, behaviour, _)| behaviour.failures).collect();
    let rows = sqlx::query!(
        r#"
        WITH asked AS MATERIALIZED (
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::integer[])
                AS asked (reference, key, id, amount, currency, payment_method, answer, failures)
        ), entered AS (
            INSERT INTO gateway.authorizations (reference, key, id, amount, currency, payment_method, answer)
            SELECT reference, key, id, amount, currency, payment_method,
                   CASE WHEN failures > 0 AND failures > (
                       SELECT count(*) FROM gateway.authorizations AS earlier WHERE earlier.reference = asked.reference)
                   THEN 'failed' ELSE answer END
            FROM asked ORDER BY reference
            ON CONFLICT (reference, key) DO NOTHING
            RETURNING reference, key, id, answer
        )
        SELECT asked.key AS "key!", COALESCE(entered.id, known.id) AS id, COALESCE(entered.answer, known.answer) AS answer,
               entered.id IS NOT NULL AS "is_first!"
        FROM asked
        LEFT JOIN entered USING (reference, key)
        LEFT JOIN gateway.authorizations AS known ON known.reference = asked.reference AND known.key = asked.key
        "#,
        &orders,
        &keys as &[&str],
        &ids,
        &amounts,
        &currencies as &[&str],
        &methods as &[&str],
        &answers as &[&str],
        &failures,
    );
    let rows = rows.fetch_all(ledger).await?;
    let lost: HashSet<&str> = asked()
        .filter(|(_, _, behaviour, _)| behaviour.times_out)
        .map(|(request, ..)| request.key.as_str())
        .collect();
    let outcome = |is_first: bool, key: &str, id: Option<String>, answer: Option<String>| {
        match (id, answer.as_deref()) {
            _ if is_first && lost.contains(key) => Err(Failure::Unknown),
            (Some(id), Some(AUTHORIZED)) => Ok(Answer::Authorized(id)),
            (_, Some("failed")) => Err(Failure::Failed),
            (_, Some(declined)) => Ok(Answer::Declined(declined.parse().unwrap_or(DeclineReason::Unknown))),
            // Another instance enters the same key at this moment.
            (_, None) => Err(Failure::Unknown),
        }
    };
    let outcomes =
        rows.into_iter().map(|row| (row.key.clone(), outcome(row.is_first, &row.key, row.id, row.answer)));
    Ok(outcomes.collect())
}

/// Captures the held amounts. Refuses for good what was voided, or when the method never allows a capture.
async fn capture(ledger: &PgPool, requests: &[Request]) -> sqlx::Result<Outcomes> {
    let asked = || {
        requests.iter().filter_map(|request| match &request.call {
            Call::Capture(id) => Some((request, id.as_str())),
            Call::Authorize { .. } | Call::Void(_) | Call::Refund(_) | Call::FindCapture(_) => None,
        })
    };
    let orders: Vec<Uuid> = asked().map(|(request, _)| request.order_id.uuid()).collect();
    if orders.is_empty() {
        return Ok(Outcomes::new());
    }
    let keys: Vec<&str> = asked().map(|(request, _)| request.key.as_str()).collect();
    let ids: Vec<&str> = asked().map(|(_, id)| id).collect();
    let captured = sqlx::query_scalar!(
        r#"
        UPDATE gateway.authorizations AS held
        SET captured_at = COALESCE(captured_at, now()), capture_key = COALESCE(capture_key, asked.key)
        FROM unnest($1::uuid[], $2::text[], $3::text[]) AS asked (reference, id, key)
        WHERE held.reference = asked.reference AND held.id = asked.id
          AND answer = 'authorized' AND voided_at IS NULL AND payment_method <> $4
        RETURNING CASE WHEN capture_key = asked.key THEN asked.key END
        "#,
        &orders,
        &ids as &[&str],
        &keys as &[&str],
        CAPTURE_FAILS,
    );
    let captured: HashSet<String> = captured.fetch_all(ledger).await?.into_iter().flatten().collect();
    let outcome = |key: &str| {
        let answer = if captured.contains(key) { Answer::Captured } else { Answer::CaptureRefused };
        (key.to_owned(), Ok(answer))
    };
    Ok(keys.into_iter().map(outcome).collect())
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
