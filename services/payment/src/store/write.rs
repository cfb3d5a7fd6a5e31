//! Writes of payments: one statement per batch.

use std::time::Duration;

use broker::Failure;
use broker::columns::column;
use events::values::PaymentMethod;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::Payment;
use crate::gateway::LEASE;

/// A new payment, and the token under which this process claims it at once.
#[derive(Debug)]
pub(crate) struct New<'a> {
    pub payment: &'a Payment,
    pub token: Option<Uuid>,
}

/// A payment that was changed.
#[derive(Debug)]
pub(crate) struct Update<'a> {
    pub payment: &'a Payment,
    /// The time until its operation is due; `None` keeps the due time.
    pub due_in: Option<Duration>,
    pub claim: Claim,
}

/// The claim of a changed payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Keep,
    Release,
    /// Begins, under this token: this process makes the call.
    Take(Uuid),
}

/// Inserts new payments, due at once. Fails when another transaction has inserted one of them; the batch is then retried.
pub(crate) async fn insert(connection: &mut PgConnection, new: &[New<'_>]) -> Result<(), Failure> {
    if new.is_empty() {
        return Ok(());
    }
    let payments = || new.iter().map(|new| new.payment);
    let inserted = sqlx::query!(
        r#"
        INSERT INTO payments (id, goal, status, amount, currency, payment_method, operation, started, attempts,
                              generation, failures, next_at, version, seen_orders, placed_by, confirmed_by,
                              cancelled_by, traceparent, history, gateway_id, token, leased_until)
        SELECT id, goal, status, amount, currency, payment_method, operation, token IS NOT NULL,
               (token IS NOT NULL)::integer, 0, 0, now(), version, seen_orders, placed_by, confirmed_by,
               cancelled_by, traceparent, news::jsonb, gateway_id, token,
               CASE WHEN token IS NOT NULL THEN now() + make_interval(secs => $17) END
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                    $8::bigint[], $9::bigint[], $10::uuid[], $11::uuid[], $12::uuid[], $13::text[], $14::text[],
                    $15::text[], $16::uuid[])
             AS new (id, goal, status, amount, currency, payment_method, operation, version, seen_orders,
                     placed_by, confirmed_by, cancelled_by, traceparent, news, gateway_id, token)
        ORDER BY id
        ON CONFLICT (id) DO NOTHING
        "#,
        &column(payments(), |payment| payment.order_id.uuid()),
        &column(payments(), |payment| <&str>::from(payment.goal)) as &[&str],
        &column(payments(), |payment| <&str>::from(payment.status)) as &[&str],
        &column(payments(), |payment| payment.amount.amount),
        &column(payments(), |payment| payment.amount.currency.as_str()) as &[&str],
        &column(payments(), method) as &[Option<&str>],
        &column(payments(), |payment| payment.operation.map(<&str>::from)) as &[Option<&str>],
        &column(payments(), |payment| payment.version.to_i64()),
        &column(payments(), |payment| payment.seen_orders.to_i64()),
        &column(payments(), |payment| payment.causes.placed) as &[Option<Uuid>],
        &column(payments(), |payment| payment.causes.confirmed) as &[Option<Uuid>],
        &column(payments(), |payment| payment.causes.cancelled) as &[Option<Uuid>],
        &column(payments(), |payment| payment.causes.traceparent.as_deref()) as &[Option<&str>],
        &news(payments())?,
        &column(payments(), |payment| payment.gateway_id.as_deref()) as &[Option<&str>],
        &column(new, |new| new.token) as &[Option<Uuid>],
        LEASE.as_secs_f64(),
    );
    if inserted.execute(connection).await?.rows_affected() < new.len() as u64 {
        return Err(Failure::Retry("another transaction has inserted a payment of this batch".into()));
    }
    Ok(())
}

/// Writes the columns that only `order.placed` has, of locked payments that were created without it.
pub(crate) async fn complete(connection: &mut PgConnection, payments: &[&Payment]) -> sqlx::Result<()> {
    if payments.is_empty() {
        return Ok(());
    }
    let payments = || payments.iter().copied();
    let completed = sqlx::query!(
        r#"
        UPDATE payments
        SET amount = new.amount, currency = new.currency, payment_method = new.payment_method, placed_by = new.placed_by
        FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::uuid[])
             AS new (id, amount, currency, payment_method, placed_by)
        WHERE payments.id = new.id
        "#,
        &column(payments(), |payment| payment.order_id.uuid()),
        &column(payments(), |payment| payment.amount.amount),
        &column(payments(), |payment| payment.amount.currency.as_str()) as &[&str],
        &column(payments(), method) as &[Option<&str>],
        &column(payments(), |payment| payment.causes.placed) as &[Option<Uuid>],
    );
    completed.execute(connection).await?;
    Ok(())
}

/// Writes changed payments, which are locked, and appends their new history entries.
pub(crate) async fn update(connection: &mut PgConnection, updates: &[Update<'_>]) -> sqlx::Result<()> {
    if updates.is_empty() {
        return Ok(());
    }
    let payments = || updates.iter().map(|update| update.payment);
    let token = |update: &Update<'_>| match update.claim {
        Claim::Take(token) => Some(token),
        Claim::Keep | Claim::Release => None,
    };
    let written = sqlx::query!(
        r#"
        UPDATE payments
        SET goal = new.goal, status = new.status, gateway_id = new.gateway_id, operation = new.operation,
            started = new.started, generation = new.generation, failures = new.failures, version = new.version,
            seen_orders = new.seen_orders, confirmed_by = new.confirmed_by, cancelled_by = new.cancelled_by,
            traceparent = new.traceparent, history = history || news::jsonb,
            next_at = COALESCE(now() + make_interval(secs => due_in), next_at),
            attempts = attempts + (new.token IS NOT NULL)::integer,
            token = CASE WHEN keeps THEN payments.token ELSE new.token END,
            leased_until = CASE WHEN keeps THEN leased_until
                                WHEN new.token IS NOT NULL THEN now() + make_interval(secs => $18) END
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::integer[],
                    $8::integer[], $9::double precision[], $10::bigint[], $11::bigint[], $12::uuid[], $13::uuid[],
                    $14::text[], $15::text[], $16::boolean[], $17::uuid[])
             AS new (id, goal, status, gateway_id, operation, started, generation,
                     failures, due_in, version, seen_orders, confirmed_by, cancelled_by,
                     traceparent, news, keeps, token)
        WHERE payments.id = new.id
        "#,
        &column(payments(), |payment| payment.order_id.uuid()),
        &column(payments(), |payment| <&str>::from(payment.goal)) as &[&str],
        &column(payments(), |payment| <&str>::from(payment.status)) as &[&str],
        &column(payments(), |payment| payment.gateway_id.as_deref()) as &[Option<&str>],
        &column(payments(), |payment| payment.operation.map(<&str>::from)) as &[Option<&str>],
        &column(payments(), |payment| payment.started),
        &column(payments(), |payment| payment.generation),
        &column(payments(), |payment| payment.failures),
        &column(updates, |update| update.due_in.map(|pause| pause.as_secs_f64())) as &[Option<f64>],
        &column(payments(), |payment| payment.version.to_i64()),
        &column(payments(), |payment| payment.seen_orders.to_i64()),
        &column(payments(), |payment| payment.causes.confirmed) as &[Option<Uuid>],
        &column(payments(), |payment| payment.causes.cancelled) as &[Option<Uuid>],
        &column(payments(), |payment| payment.causes.traceparent.as_deref()) as &[Option<&str>],
        &news(payments())?,
        &column(updates, |update| update.claim == Claim::Keep),
        &column(updates, token) as &[Option<Uuid>],
        LEASE.as_secs_f64(),
    );
    written.execute(connection).await?;
    Ok(())
}

fn method(payment: &Payment) -> Option<&str> {
    payment.method.as_ref().map(PaymentMethod::as_str)
}

/// Returns the new history entries of each payment, as JSON.
fn news<'a>(payments: impl Iterator<Item = &'a Payment>) -> sqlx::Result<Vec<String>> {
    let json = |payment: &Payment| serde_json::to_string(&payment.new_entries);
    payments.map(json).collect::<Result<_, _>>().map_err(|error| sqlx::Error::Encode(error.into()))
}
