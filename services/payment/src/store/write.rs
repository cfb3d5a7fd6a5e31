//! Writes of payments: one statement per batch. Its one parameter is the rows as JSON, named like the table's columns.

use std::time::Duration;

use broker::Failure;
use events::values::PaymentMethod;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::{Entry, Payment};

/// A payment that was changed.
#[derive(Debug)]
pub(crate) struct Update<'a> {
    /// The payment in its new state.
    pub payment: &'a Payment,
    /// The time until its operation is due; `None` keeps the due time.
    pub due_in: Option<Duration>,
}

/// Inserts new payments, due at once. Fails when another transaction has inserted one of them; the batch is then retried.
pub(crate) async fn insert(connection: &mut PgConnection, payments: &[&Payment]) -> Result<(), Failure> {
    if payments.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = payments.iter().map(|payment| Row::of(payment, None)).collect();
    let inserted = sqlx::query!(
        r#"
        INSERT INTO payments (id, goal, status, amount, currency, payment_method, operation, started, generation,
                              failures, next_at, version, seen_orders, placed_by, confirmed_by, cancelled_by,
                              traceparent, history, gateway_id)
        SELECT id, goal, status, amount, currency, payment_method, operation, false, 0,
               0, now(), version, seen_orders, placed_by, confirmed_by, cancelled_by,
               traceparent, history, gateway_id
        FROM jsonb_populate_recordset(NULL::payments, $1)
        ORDER BY id
        ON CONFLICT (id) DO NOTHING
        "#,
        Json(&rows) as _,
    );
    if inserted.execute(connection).await?.rows_affected() < payments.len() as u64 {
        return Err(Failure::Retry("another transaction has inserted a payment of this batch".into()));
    }
    Ok(())
}

/// Writes the columns that only `order.placed` has, of locked payments that were created without it.
pub(crate) async fn complete(connection: &mut PgConnection, payments: &[&Payment]) -> sqlx::Result<()> {
    if payments.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = payments.iter().map(|payment| Row::of(payment, None)).collect();
    sqlx::query!(
        r#"
        UPDATE payments
        SET amount = new.amount, currency = new.currency, payment_method = new.payment_method, placed_by = new.placed_by
        FROM jsonb_populate_recordset(NULL::payments, $1) AS new
        WHERE payments.id = new.id
        "#,
        Json(&rows) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes changed payments, which are locked, and appends their new history entries. `release` ends their claims.
pub(crate) async fn update(
    connection: &mut PgConnection,
    updates: &[Update<'_>],
    release: bool,
) -> sqlx::Result<()> {
    if updates.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = updates.iter().map(|update| Row::of(update.payment, update.due_in)).collect();
    sqlx::query!(
        r#"
        UPDATE payments
        SET goal = new.goal, status = new.status, gateway_id = new.gateway_id, operation = new.operation,
            started = new.started, generation = new.generation, failures = new.failures, version = new.version,
            seen_orders = new.seen_orders, confirmed_by = new.confirmed_by, cancelled_by = new.cancelled_by,
            traceparent = new.traceparent, history = payments.history || new.history,
            next_at = COALESCE(now() + make_interval(secs => (value ->> 'due_in')::double precision), payments.next_at),
            token = CASE WHEN $2 THEN NULL ELSE payments.token END,
            leased_until = CASE WHEN $2 THEN NULL ELSE payments.leased_until END
        FROM jsonb_array_elements($1), jsonb_populate_record(NULL::payments, value) AS new
        WHERE payments.id = new.id
        "#,
        Json(&rows) as _,
        release,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A row to write.
#[derive(Serialize)]
struct Row<'a> {
    id: Uuid,
    goal: &'static str,
    status: &'static str,
    amount: i64,
    currency: &'a str,
    payment_method: Option<&'a str>,
    gateway_id: Option<&'a str>,
    operation: Option<&'static str>,
    started: bool,
    generation: i32,
    failures: i32,
    /// In seconds; not a column.
    due_in: Option<f64>,
    version: i64,
    seen_orders: i64,
    placed_by: Option<Uuid>,
    confirmed_by: Option<Uuid>,
    cancelled_by: Option<Uuid>,
    traceparent: Option<&'a str>,
    history: &'a [Entry],
}

impl<'a> Row<'a> {
    fn of(payment: &'a Payment, due_in: Option<Duration>) -> Self {
        Self {
            id: payment.order_id.uuid(),
            goal: payment.goal.into(),
            status: payment.status.into(),
            amount: payment.amount.amount,
            currency: payment.amount.currency.as_str(),
            payment_method: payment.method.as_ref().map(PaymentMethod::as_str),
            gateway_id: payment.gateway_id.as_deref(),
            operation: payment.operation.map(Into::into),
            started: payment.started,
            generation: payment.generation,
            failures: payment.failures,
            due_in: due_in.map(|due_in| due_in.as_secs_f64()),
            version: payment.version.to_i64(),
            seen_orders: payment.seen_orders.to_i64(),
            placed_by: payment.causes.placed,
            confirmed_by: payment.causes.confirmed,
            cancelled_by: payment.causes.cancelled,
            traceparent: payment.causes.traceparent.as_deref(),
            history: &payment.new_entries,
        }
    }
}
