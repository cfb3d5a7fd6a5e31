//! The reservations of the orders.

use std::collections::HashMap;

use broker_ops::{Awaited, UuidPage, Waiting};
use events::values::OrderId;
use events::{Line, ShortLine};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{sequence, unreadable};
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
            status: self.status.parse().map_err(unreadable)?,
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
    let rows = rows.fetch_all(&pool).await?.into_iter().map(|row| Awaited {
        key: row.order_id.to_string(),
        last_sequence: sequence(row.seen_orders),
        // The time in the order's id, since rows of an earlier version have no time of their own.
        since: OrderId::from(row.order_id).made_at().unwrap_or(row.updated_at),
    });
    Ok(rows.collect())
}

/// Inserts reservations, sorted by order, and returns the number of new ones.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    rows: &[(OrderId, &Reservation)],
) -> sqlx::Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let lines: Vec<_> = rows.iter().map(|(_, reservation)| Json(&reservation.lines)).collect();
    let short = |reservation: &&Reservation| !reservation.short.is_empty();
    let short: Vec<_> =
        rows.iter().map(|(_, row)| Some(*row).filter(short).map(|row| Json(&row.short))).collect();
    let Columns { orders, statuses, versions, seen_orders } = Columns::of(rows);
    let inserted = sqlx::query!(
        "INSERT INTO reservations (order_id, status, lines, version, seen_orders, short)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bigint[], $5::bigint[], $6::jsonb[])
         ON CONFLICT DO NOTHING",
        &orders,
        &statuses as &[&str],
        &lines as &[Json<&Vec<Line>>],
        &versions,
        &seen_orders,
        &short as &[Option<Json<&Vec<ShortLine>>>],
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

/// Writes reservations, which are locked; their lines never change.
pub(crate) async fn update(
    connection: &mut PgConnection,
    rows: &[(OrderId, &Reservation)],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let Columns { orders, statuses, versions, seen_orders } = Columns::of(rows);
    sqlx::query!(
        r#"
        UPDATE reservations
        SET status = given.status, version = given.version, seen_orders = given.seen_orders, updated_at = now()
        FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
             AS given (order_id, status, version, seen_orders)
        WHERE reservations.order_id = given.order_id
        "#,
        &orders,
        &statuses as &[&str],
        &versions,
        &seen_orders,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns of both writes.
struct Columns {
    orders: Vec<Uuid>,
    statuses: Vec<&'static str>,
    versions: Vec<i64>,
    seen_orders: Vec<i64>,
}

impl Columns {
    fn of(rows: &[(OrderId, &Reservation)]) -> Self {
        Self {
            orders: rows.iter().map(|(order, _)| order.uuid()).collect(),
            statuses: rows.iter().map(|(_, reservation)| <&str>::from(reservation.status)).collect(),
            versions: rows.iter().map(|(_, reservation)| reservation.version.to_i64()).collect(),
            seen_orders: rows.iter().map(|(_, reservation)| reservation.seen_orders.to_i64()).collect(),
        }
    }
}
