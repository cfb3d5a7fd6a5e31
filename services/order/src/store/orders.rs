//! Orders: inserted, loaded and saved in batches.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::columns::{column, parse, sequence, undecodable};
use broker_ops::UuidPage;
use events::values::{ClaimHash, CustomerId, Money, OrderId};
use events::{Item, OrderPlaced, ShortLine};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Entry, Order, State, Status};

struct Row {
    id: Uuid,
    customer_id: Uuid,
    items: Json<Vec<Item>>,
    total: i64,
    currency: String,
    payment_method: String,
    notify_me: bool,
    claim_hash: Option<String>,
    placed_at: OffsetDateTime,
    status: String,
    reason: Option<String>,
    payment: String,
    stock: String,
    short: Json<Vec<ShortLine>>,
    version: i64,
    seen_payments: i64,
    seen_reservations: i64,
    updated_at: OffsetDateTime,
    traceparent: Option<String>,
    /// NULL where the history is not shown: decisions do not need it.
    history: Option<Json<Vec<Entry>>>,
}

impl Row {
    fn into_order(self) -> sqlx::Result<Order> {
        let reason = self.reason.as_deref().map(|text| parse("orders.reason", text));
        let status = Status::from_columns(&self.status, reason.transpose()?)
            .ok_or_else(|| undecodable("status and reason disagree"))?;
        let payment = parse("orders.payment", &self.payment)?;
        let stock = parse("orders.stock", &self.stock)?;
        let placed = OrderPlaced {
            order_id: OrderId::from(self.id),
            customer_id: CustomerId::from(self.customer_id),
            items: self.items.0,
            total: Money::new(self.total, &self.currency).map_err(undecodable)?,
            payment_method: self.payment_method.parse().map_err(undecodable)?,
            notify_me: self.notify_me,
            claim: self.claim_hash.map(TryInto::try_into).transpose().map_err(undecodable)?,
            placed_at: self.placed_at,
        };
        Ok(Order {
            placed,
            state: State { status, payment, stock },
            short: self.short.0,
            version: sequence(self.version),
            seen_payments: sequence(self.seen_payments),
            seen_reservations: sequence(self.seen_reservations),
            updated_at: self.updated_at,
            entries: self.history.map_or_else(Vec::new, |history| history.0),
        })
    }
}

/// Loads the existing orders of `ids`, without their histories, locked in the order of their ids.
pub(crate) async fn load(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Order>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT id, customer_id, items AS "items: _", total, currency, payment_method, notify_me, claim_hash, placed_at,
               status, reason, payment, stock, short AS "short: _", version, seen_payments, seen_reservations,
               updated_at, traceparent, NULL::jsonb AS "history: _"
        FROM orders WHERE id = ANY ($1) ORDER BY id FOR UPDATE
        "#,
        ids,
    );
    rows.fetch_all(connection).await?.into_iter().map(Row::into_order).collect()
}

/// Finds an order, with its whole history; not locked.
pub(crate) async fn find(executor: impl PgExecutor<'_>, id: OrderId) -> sqlx::Result<Option<Order>> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT id, customer_id, items AS "items: _", total, currency, payment_method, notify_me, claim_hash, placed_at,
               status, reason, payment, stock, short AS "short: _", version, seen_payments, seen_reservations,
               updated_at, traceparent, history AS "history: _"
        FROM orders WHERE id = $1
        "#,
        id.uuid(),
    );
    row.fetch_optional(executor).await?.map(Row::into_order).transpose()
}

/// Loads the orders of a page, each with its whole history and with the trace of its request, locked in the order of their
/// ids. An order is unfinished while it waits for an answer, or while its payment or its reservation is not in the state that
/// its status requires.
pub(crate) async fn page(
    connection: &mut PgConnection,
    page: &UuidPage,
) -> sqlx::Result<Vec<(Order, Option<String>)>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT id, customer_id, items AS "items: _", total, currency, payment_method, notify_me, claim_hash, placed_at,
               status, reason, payment, stock, short AS "short: _", version, seen_payments, seen_reservations,
               updated_at, traceparent, history AS "history: _"
        FROM orders
        WHERE ($1::uuid[] IS NULL OR id = ANY ($1))
          AND ($2::timestamptz IS NULL OR updated_at >= $2)
          AND NOT ($3 AND CASE status
                  WHEN 'confirmed' THEN payment = 'captured' AND stock = 'committed'
                  WHEN 'cancelled' THEN payment IN ('declined', 'voided', 'refunded') AND stock IN ('rejected', 'released')
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
    let rows = rows.fetch_all(connection).await?.into_iter();
    let orders = rows.map(|mut row| {
        let traceparent = row.traceparent.take();
        Ok((row.into_order()?, traceparent))
    });
    orders.collect()
}

/// Locks at most `limit` orders that have waited too long, and returns their ids, each with the trace of its request. Skips
/// orders that another transaction has locked.
pub(crate) async fn lock_expired(
    connection: &mut PgConnection,
    limit: i64,
) -> sqlx::Result<BTreeMap<Uuid, Option<String>>> {
    let expired = sqlx::query!(
        "SELECT id, traceparent FROM orders WHERE status = 'placed' AND expires_at <= now()
         ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
    );
    Ok(expired.fetch_all(connection).await?.into_iter().map(|row| (row.id, row.traceparent)).collect())
}

/// Limits the wait of every order to `expires_after` from now. A later expiry was written while the database's clock was
/// ahead, or under a longer setting.
pub(crate) async fn limit_waits(pool: &PgPool, expires_after: Duration) -> sqlx::Result<()> {
    let limited = sqlx::query!(
        "UPDATE orders SET expires_at = now() + make_interval(secs => $1) WHERE id IN (
             SELECT id FROM orders WHERE status = 'placed' AND expires_at > now() + make_interval(secs => $2)
             FOR UPDATE SKIP LOCKED)",
        expires_after.as_secs_f64(),
        work::furthest(expires_after).as_secs_f64(),
    );
    limited.execute(pool).await?;
    Ok(())
}

/// Inserts new orders, each with the trace of its request; they expire after `expires_after`. The expiry is by the database's
/// clock, which [`lock_expired`] reads too, so instances with different clocks do not expire each other's orders.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    orders: &[(&Order, &str)],
    expires_after: Duration,
) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    let mut orders = orders.to_vec();
    orders.sort_unstable_by_key(|(order, _)| order.id());
    let placed = || orders.iter().map(|(order, _)| &order.placed);
    let inserted = sqlx::query!(
        r#"
        INSERT INTO orders (id, customer_id, items, total, currency, payment_method, notify_me, claim_hash, placed_at,
                            expires_at, traceparent, history, status, payment, stock, version, updated_at)
        SELECT id, customer_id, items, total, currency, payment_method, notify_me, claim_hash, placed_at,
               now() + make_interval(secs => $10), traceparent, history, 'placed', 'pending', 'pending', 1, placed_at
        FROM unnest($1::uuid[], $2::uuid[], $3::jsonb[], $4::bigint[], $5::text[], $6::text[], $7::boolean[],
                    $8::text[], $9::timestamptz[], $11::text[], $12::jsonb[])
             AS new (id, customer_id, items, total, currency, payment_method, notify_me,
                     claim_hash, placed_at, traceparent, history)
        "#,
        &column(placed(), |placed| placed.order_id.uuid()),
        &column(placed(), |placed| placed.customer_id.uuid()),
        &column(placed(), |placed| Json(placed.items.as_slice())) as &[Json<&[Item]>],
        &column(placed(), |placed| placed.total.amount),
        &column(placed(), |placed| placed.total.currency.as_str()) as &[&str],
        &column(placed(), |placed| placed.payment_method.as_str()) as &[&str],
        &column(placed(), |placed| placed.notify_me),
        &column(placed(), |placed| placed.claim.as_ref().map(ClaimHash::as_str)) as &[Option<&str>],
        &column(placed(), |placed| placed.placed_at),
        expires_after.as_secs_f64(),
        &column(&orders, |(_, trace)| *trace) as &[&str],
        &column(&orders, |(order, _)| Json(order.entries.as_slice())) as &[Json<&[Entry]>],
    );
    inserted.execute(connection).await?;
    Ok(())
}

/// Writes the new state of loaded orders, and appends their new history entries.
pub(crate) async fn save(connection: &mut PgConnection, orders: &[&Order]) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    let updated = sqlx::query!(
        r#"
        UPDATE orders
        SET status = new.status, reason = new.reason, payment = new.payment, stock = new.stock, short = new.short,
            history = orders.history || new.news, version = new.version, seen_payments = new.seen_payments,
            seen_reservations = new.seen_reservations, updated_at = new.updated_at
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[],
                    $8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[])
             AS new (id, status, reason, payment, stock, short, news,
                     version, seen_payments, seen_reservations, updated_at)
        WHERE orders.id = new.id
        "#,
        &column(orders, |order| order.id().uuid()),
        &column(orders, |order| <&str>::from(order.state.status)) as &[&str],
        &column(orders, |order| order.reason().map(<&str>::from)) as &[Option<&str>],
        &column(orders, |order| <&str>::from(order.state.payment)) as &[&str],
        &column(orders, |order| <&str>::from(order.state.stock)) as &[&str],
        &column(orders, |order| Json(order.short.as_slice())) as &[Json<&[ShortLine]>],
        &column(orders, |order| Json(order.entries.as_slice())) as &[Json<&[Entry]>],
        &column(orders, |order| order.version.to_i64()),
        &column(orders, |order| order.seen_payments.to_i64()),
        &column(orders, |order| order.seen_reservations.to_i64()),
        &column(orders, |order| order.updated_at),
    );
    updated.execute(connection).await?;
    Ok(())
}
