//! The reservations of the orders.

use std::collections::HashMap;

use broker::{Awaited, UuidPage, Waiting};
use events::values::OrderId;
use events::{Line, ShortLine};
use serde::Serialize;
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
        seen: sequence(row.seen_orders),
        // The time in the order's id, since rows of an earlier version have no time of their own.
        since: OrderId::from(row.order_id).made_at().unwrap_or(row.updated_at),
    });
    Ok(rows.collect())
}

/// Inserts reservations and returns the number of new ones.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    reservations: &[(OrderId, &Reservation)],
) -> sqlx::Result<u64> {
    if reservations.is_empty() {
        return Ok(0);
    }
    let rows: Vec<_> = reservations.iter().copied().map(Columns::of).collect();
    let inserted = sqlx::query!(
        "INSERT INTO reservations (order_id, status, lines, version, seen_orders, short)
         SELECT order_id, status, lines, version, seen_orders, short
         FROM jsonb_populate_recordset(NULL::reservations, $1) ORDER BY order_id
         ON CONFLICT DO NOTHING",
        Json(&rows) as _,
    );
    Ok(inserted.execute(connection).await?.rows_affected())
}

/// Writes reservations, which are locked; their lines never change.
pub(crate) async fn update(
    connection: &mut PgConnection,
    reservations: &[(OrderId, &Reservation)],
) -> sqlx::Result<()> {
    if reservations.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = reservations.iter().copied().map(Columns::of).collect();
    sqlx::query!(
        r#"
        UPDATE reservations
        SET status = new.status, version = new.version, seen_orders = new.seen_orders, updated_at = now()
        FROM jsonb_populate_recordset(NULL::reservations, $1) AS new
        WHERE reservations.order_id = new.order_id
        "#,
        Json(&rows) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns of a reservation, to be written.
#[derive(Serialize)]
struct Columns<'a> {
    order_id: OrderId,
    status: &'static str,
    lines: &'a [Line],
    /// NULL unless the reservation was rejected.
    short: Option<&'a [ShortLine]>,
    version: i64,
    seen_orders: i64,
}

impl<'a> Columns<'a> {
    fn of((order_id, reservation): (OrderId, &'a Reservation)) -> Self {
        let short = Some(&*reservation.short).filter(|short| !short.is_empty());
        Self {
            order_id,
            status: reservation.status.into(),
            lines: &reservation.lines,
            short,
            version: reservation.version.to_i64(),
            seen_orders: reservation.seen_orders.to_i64(),
        }
    }
}
