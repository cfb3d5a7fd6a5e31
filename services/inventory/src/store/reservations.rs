//! What is set aside for each order.

use std::collections::HashMap;

use events::Line;
use events::values::OrderId;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{sequence, unreadable};
use crate::domain::Reservation;

/// Locks the reservations of `orders`, in the order of their ids; what is not there is absent.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    orders: &[Uuid],
) -> sqlx::Result<HashMap<OrderId, Reservation>> {
    let rows = sqlx::query!(
        r#"
        SELECT order_id, status, lines AS "lines: Json<Vec<Line>>", version, seen_orders
        FROM reservations WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE
        "#,
        orders,
    )
    .fetch_all(connection)
    .await?;
    let reservations = rows.into_iter().map(|row| {
        let reservation = Reservation {
            status: row.status.parse().map_err(unreadable)?,
            lines: row.lines.0,
            version: sequence(row.version),
            seen: sequence(row.seen_orders),
        };
        Ok((row.order_id.into(), reservation))
    });
    reservations.collect()
}

/// Adds reservations, sorted by order; says how many were not there before.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    rows: &[(OrderId, &Reservation)],
) -> sqlx::Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let lines: Vec<_> = rows.iter().map(|(_, reservation)| Json(&reservation.lines)).collect();
    let Columns { orders, statuses, versions, seen } = Columns::of(rows);
    let inserted = sqlx::query!(
        "INSERT INTO reservations (order_id, status, lines, version, seen_orders)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bigint[], $5::bigint[])
         ON CONFLICT DO NOTHING",
        &orders,
        &statuses as &[&str],
        &lines as &[Json<&Vec<Line>>],
        &versions,
        &seen,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

/// Writes locked reservations; their lines never change.
pub(crate) async fn update(
    connection: &mut PgConnection,
    rows: &[(OrderId, &Reservation)],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let Columns { orders, statuses, versions, seen } = Columns::of(rows);
    sqlx::query!(
        r#"
        UPDATE reservations
        SET status = given.status, version = given.version, seen_orders = given.seen_orders
        FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
             AS given (order_id, status, version, seen_orders)
        WHERE reservations.order_id = given.order_id
        "#,
        &orders,
        &statuses as &[&str],
        &versions,
        &seen,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Rows as UNNEST takes them.
struct Columns {
    orders: Vec<Uuid>,
    statuses: Vec<&'static str>,
    versions: Vec<i64>,
    seen: Vec<i64>,
}

impl Columns {
    fn of(rows: &[(OrderId, &Reservation)]) -> Self {
        Self {
            orders: rows.iter().map(|(order, _)| order.uuid()).collect(),
            statuses: rows.iter().map(|(_, reservation)| reservation.status.as_str()).collect(),
            versions: rows.iter().map(|(_, reservation)| reservation.version.to_i64()).collect(),
            seen: rows.iter().map(|(_, reservation)| reservation.seen.to_i64()).collect(),
        }
    }
}
