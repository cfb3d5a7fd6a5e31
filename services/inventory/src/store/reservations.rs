//! The reservations of the orders.

use std::collections::{BTreeSet, HashMap, HashSet};

use broker::Failure;
use broker::columns::{column, parse, sequence};
use broker_ops::{Awaited, UuidPage, Waiting};
use events::values::OrderId;
use events::{Line, ShortLine};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::Reservation;

struct Row {
    order_id: Uuid,
    status: String,
    lines: Json<Vec<Line>>,
    short: Option<Json<Vec<ShortLine>>>,
    version: i64,
    seen_orders: i64,
    updated_at: OffsetDateTime,
}

impl Row {
    fn into_reservation(self) -> sqlx::Result<(OrderId, Reservation)> {
        let reservation = Reservation {
            status: parse("reservations.status", &self.status)?,
            lines: self.lines.0,
            short: self.short.map_or_else(Vec::new, |short| short.0),
            version: sequence(self.version),
            seen_orders: sequence(self.seen_orders),
        };
        Ok((self.order_id.into(), reservation))
    }
}

/// Loads the existing reservations of `orders`, locked in the order of their ids.
pub(crate) async fn load(
    connection: &mut PgConnection,
    orders: &[Uuid],
) -> sqlx::Result<HashMap<OrderId, Reservation>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT order_id, status, lines AS "lines: _", short AS "short: _", version, seen_orders, updated_at
        FROM reservations WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE
        "#,
        orders,
    );
    rows.fetch_all(connection).await?.into_iter().map(Row::into_reservation).collect()
}

/// Loads the reservations of a page, each with the time of its last change, locked in the order of their ids. A reservation
/// is unfinished while its order is not decided.
pub(crate) async fn page(
    connection: &mut PgConnection,
    page: &UuidPage,
) -> sqlx::Result<Vec<(OrderId, Reservation, OffsetDateTime)>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT order_id, status, lines AS "lines: _", short AS "short: _", version, seen_orders, updated_at
        FROM reservations
        WHERE ($1::uuid[] IS NULL OR order_id = ANY ($1))
          AND ($2::timestamptz IS NULL OR updated_at >= $2)
          AND (NOT $3 OR status = 'reserved')
          AND order_id > $4
        ORDER BY order_id LIMIT $5 FOR UPDATE
        "#,
        page.keys.as_deref(),
        page.since,
        page.unfinished,
        page.after,
        page.limit,
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    let reservations = rows.map(|row| {
        let updated_at = row.updated_at;
        let (order_id, reservation) = row.into_reservation()?;
        Ok((order_id, reservation, updated_at))
    });
    reservations.collect()
}

/// Finds reservations whose orders are not decided.
pub(crate) async fn waiting(pool: PgPool, waiting: Waiting) -> sqlx::Result<Vec<Awaited>> {
    let rows = sqlx::query!(
        r#"
        SELECT order_id, seen_orders, updated_at FROM reservations
        WHERE status = 'reserved' AND updated_at <= $1 AND order_id > $2
        ORDER BY order_id LIMIT $3
        "#,
        waiting.unchanged_since,
        waiting.after_uuid(),
        waiting.limit,
    );
    let rows = rows.fetch_all(&pool).await?.into_iter().map(|row| {
        // The time in the order's id, since rows of an earlier version have no time of their own.
        let since = OrderId::from(row.order_id).made_at().unwrap_or(row.updated_at);
        Awaited::of_uuid(row.order_id, sequence(row.seen_orders), since)
    });
    Ok(rows.collect())
}

/// Writes the reservations of the orders `touched`; those of the orders `stored` are in the database, and locked.
pub(crate) async fn save(
    connection: &mut PgConnection,
    reservations: &HashMap<OrderId, Reservation>,
    stored: &HashSet<OrderId>,
    touched: &BTreeSet<OrderId>,
) -> Result<(), Failure> {
    let rows = touched.iter().filter_map(|order| Some((*order, reservations.get(order)?)));
    let (changed, new): (Vec<_>, Vec<_>) = rows.partition(|(order, _)| stored.contains(order));
    insert(connection, &new).await?;
    Ok(update(connection, &changed).await?)
}

/// Inserts reservations, sorted by order. Fails when another transaction, a concurrent redrive, has inserted one of them; the
/// batch is then retried with that reservation.
async fn insert(connection: &mut PgConnection, rows: &[(OrderId, &Reservation)]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let inserted = sqlx::query!(
        "INSERT INTO reservations (order_id, status, lines, version, seen_orders, short)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bigint[], $5::bigint[], $6::jsonb[])
         ON CONFLICT DO NOTHING",
        &column(rows, |(order, _)| order.uuid()),
        &column(rows, |(_, row)| <&str>::from(row.status)) as &[&str],
        &column(rows, |(_, row)| Json(&row.lines)) as &[Json<&Vec<Line>>],
        &column(rows, |(_, row)| row.version.to_i64()),
        &column(rows, |(_, row)| row.seen_orders.to_i64()),
        &column(rows, |(_, row)| (!row.short.is_empty()).then_some(Json(&row.short)))
            as &[Option<Json<&Vec<ShortLine>>>],
    );
    if inserted.execute(connection).await?.rows_affected() < rows.len() as u64 {
        return Err(Failure::Retry("another transaction has inserted a reservation of this batch".into()));
    }
    Ok(())
}

/// Writes reservations, which are locked; their lines never change.
async fn update(connection: &mut PgConnection, rows: &[(OrderId, &Reservation)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let updated = sqlx::query!(
        r#"
        UPDATE reservations
        SET status = given.status, version = given.version, seen_orders = given.seen_orders, updated_at = now()
        FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
             AS given (order_id, status, version, seen_orders)
        WHERE reservations.order_id = given.order_id
        "#,
        &column(rows, |(order, _)| order.uuid()),
        &column(rows, |(_, row)| <&str>::from(row.status)) as &[&str],
        &column(rows, |(_, row)| row.version.to_i64()),
        &column(rows, |(_, row)| row.seen_orders.to_i64()),
    );
    updated.execute(connection).await?;
    Ok(())
}
