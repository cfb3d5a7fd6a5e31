//! All SQL on the service's own tables, batch in and batch out.

mod queue;
mod rows;
mod write;

use broker::columns::{parse, sequence, undecodable};
use broker_ops::{Awaited, UuidPage, Waiting};
use events::values::{Money, OrderId};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::{Entry, Payment, Status};

pub(crate) use queue::{Claimed, claim, hasten, load_claimed, ready};
pub(crate) use write::{Claim, New, Update, complete, insert, update};

use rows::Row;

/// A payment as an operator sees it.
#[derive(Debug)]
pub(crate) struct Details {
    pub status: Status,
    pub amount: Money,
    /// The number of calls to the gateway so far.
    pub attempts: i32,
    /// The history, oldest first.
    pub history: Vec<Entry>,
}

/// Loads the existing payments of these orders, locked in key order.
pub(crate) async fn load(connection: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<Payment>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT id, goal, status, amount, currency, payment_method, gateway_id, operation, started, generation,
               failures, version, seen_orders, placed_by, confirmed_by, cancelled_by, traceparent
        FROM payments WHERE id = ANY($1) ORDER BY id FOR UPDATE
        "#,
        orders,
    );
    rows.fetch_all(connection).await?.into_iter().map(Payment::try_from).collect()
}

/// Loads the payments of a page, each with its whole history, locked in key order. A payment is unfinished while it has an
/// operation to carry out or waits for its order's decision.
pub(crate) async fn page(
    connection: &mut PgConnection,
    page: &UuidPage,
) -> sqlx::Result<Vec<(Payment, Vec<Entry>)>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, history AS "history: Json<Vec<Entry>>" FROM payments
        WHERE ($1::uuid[] IS NULL OR id = ANY ($1))
          AND ($2::timestamptz IS NULL OR (history -> -1 ->> 'at')::timestamptz >= $2)
          AND NOT ($3 AND CASE goal
                  WHEN 'captured' THEN status = 'captured'
                  WHEN 'reversed' THEN status IN ('voided', 'refunded', 'declined')
                  ELSE false END)
          AND id > $4
        ORDER BY id LIMIT $5 FOR UPDATE
        "#,
        page.keys.as_deref(),
        page.since,
        page.unfinished,
        page.after,
        page.limit,
    );
    let rows = rows.fetch_all(&mut *connection).await?;
    let (ids, histories): (Vec<Uuid>, Vec<_>) = rows.into_iter().map(|row| (row.id, row.history.0)).unzip();
    Ok(load(connection, &ids).await?.into_iter().zip(histories).collect())
}

/// Finds payments that have answered their order and wait for its decision.
pub(crate) async fn waiting(pool: PgPool, waiting: Waiting) -> sqlx::Result<Vec<Awaited>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, seen_orders, (history -> 0 ->> 'at')::timestamptz AS "since!" FROM payments
        WHERE (goal = 'authorized' AND status <> 'pending' OR goal = 'captured' AND status IN ('declined', 'capture_failed'))
          AND (history -> -1 ->> 'at')::timestamptz <= $1 AND id > $2
        ORDER BY id LIMIT $3
        "#,
        waiting.unchanged_since,
        waiting.after_uuid(),
        waiting.limit,
    );
    let rows = rows.fetch_all(&pool).await?.into_iter();
    Ok(rows.map(|row| Awaited::of_uuid(row.id, sequence(row.seen_orders), row.since)).collect())
}

/// Finds one payment for an operator.
pub(crate) async fn find(pool: &PgPool, order: OrderId) -> sqlx::Result<Option<Details>> {
    let row = sqlx::query!(
        r#"
        SELECT status, amount, currency, attempts, history AS "history: Json<Vec<Entry>>"
        FROM payments WHERE id = $1
        "#,
        order.uuid(),
    );
    let details = row.fetch_optional(pool).await?.map(|row| {
        Ok(Details {
            status: parse("payments.status", &row.status)?,
            amount: Money::new(row.amount, &row.currency).map_err(undecodable)?,
            attempts: row.attempts,
            history: row.history.0,
        })
    });
    details.transpose()
}
