//! Writes of payments: one statement per batch.

use std::time::Duration;

use broker::Failure;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Entry, Payment};
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
    /// The payment in its new state.
    pub payment: &'a Payment,
    /// The time until its operation is due; `None` keeps the due time.
    pub due_in: Option<Duration>,
    /// Whether its claim stays, ends or begins.
    pub claim: Claim,
}

/// The claim of a changed payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Stays as it is.
    Keep,
    /// Ends.
    Release,
    /// Begins, under this token: this process makes the call.
    Take(Uuid),
}

/// Inserts new payments, due at once. Fails when another transaction has inserted one of them; the batch is then retried.
pub(crate) async fn insert(connection: &mut PgConnection, new: &[New<'_>]) -> Result<(), Failure> {
    if new.is_empty() {
        return Ok(());
    }
    let payments: Vec<_> = new.iter().map(|new| new.payment).collect();
    let tokens: Vec<_> = new.iter().map(|new| new.token).collect();
    let columns = Columns::of(payments.iter().copied())?;
    let OfOrder { amounts, currencies, methods, placed_by } = OfOrder::of(&payments);
    let gateway_ids: Vec<_> = payments.iter().map(|payment| payment.gateway_id.as_deref()).collect();
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
        &columns.ids,
        &columns.goals as &[&str],
        &columns.statuses as &[&str],
        &amounts,
        &currencies,
        &methods as &[Option<String>],
        &columns.operations as &[Option<&str>],
        &columns.versions,
        &columns.seen_orders,
        &placed_by as &[Option<Uuid>],
        &columns.confirmed_by as &[Option<Uuid>],
        &columns.cancelled_by as &[Option<Uuid>],
        &columns.traceparents as &[Option<&str>],
        &columns.news,
        &gateway_ids as &[Option<&str>],
        &tokens as &[Option<Uuid>],
        LEASE.as_secs_f64(),
    )
    .execute(connection)
    .await?;
    if inserted.rows_affected() < payments.len() as u64 {
        return Err(Failure::Retry("another transaction has inserted a payment of this batch".into()));
    }
    Ok(())
}

/// Writes the columns that only `order.placed` has, of locked payments that were created without it.
pub(crate) async fn complete(connection: &mut PgConnection, payments: &[&Payment]) -> sqlx::Result<()> {
    if payments.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = payments.iter().map(|payment| payment.order_id.uuid()).collect();
    let OfOrder { amounts, currencies, methods, placed_by } = OfOrder::of(payments);
    sqlx::query!(
        r#"
        UPDATE payments
        SET amount = new.amount, currency = new.currency, payment_method = new.payment_method, placed_by = new.placed_by
        FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::uuid[])
             AS new (id, amount, currency, payment_method, placed_by)
        WHERE payments.id = new.id
        "#,
        &ids,
        &amounts,
        &currencies,
        &methods as &[Option<String>],
        &placed_by as &[Option<Uuid>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes changed payments, which are locked, and appends their new history entries.
pub(crate) async fn update(connection: &mut PgConnection, updates: &[Update<'_>]) -> sqlx::Result<()> {
    if updates.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(updates.iter().map(|update| update.payment))?;
    let (mut gateway_ids, mut started, mut generations, mut failures, mut due_in) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut keeps, mut tokens) = (Vec::new(), Vec::new());
    for Update { payment, due_in: pause, claim } in updates {
        keeps.push(*claim == Claim::Keep);
        tokens.push(if let Claim::Take(token) = claim { Some(*token) } else { None });
        gateway_ids.push(payment.gateway_id.as_deref());
        started.push(payment.started);
        generations.push(payment.generation);
        failures.push(payment.failures);
        due_in.push(pause.map(|pause| pause.as_secs_f64()));
    }
    sqlx::query!(
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
        &columns.ids,
        &columns.goals as &[&str],
        &columns.statuses as &[&str],
        &gateway_ids as &[Option<&str>],
        &columns.operations as &[Option<&str>],
        &started,
        &generations,
        &failures,
        &due_in as &[Option<f64>],
        &columns.versions,
        &columns.seen_orders,
        &columns.confirmed_by as &[Option<Uuid>],
        &columns.cancelled_by as &[Option<Uuid>],
        &columns.traceparents as &[Option<&str>],
        &columns.news,
        &keeps,
        &tokens as &[Option<Uuid>],
        LEASE.as_secs_f64(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns that only `order.placed` has.
struct OfOrder {
    amounts: Vec<i64>,
    currencies: Vec<String>,
    methods: Vec<Option<String>>,
    placed_by: Vec<Option<Uuid>>,
}

impl OfOrder {
    fn of(payments: &[&Payment]) -> Self {
        Self {
            amounts: payments.iter().map(|payment| payment.amount.amount).collect(),
            currencies: payments.iter().map(|payment| payment.amount.currency.to_string()).collect(),
            methods: payments
                .iter()
                .map(|payment| payment.method.as_ref().map(ToString::to_string))
                .collect(),
            placed_by: payments.iter().map(|payment| payment.causes.placed).collect(),
        }
    }
}

/// The columns that every write has.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    goals: Vec<&'static str>,
    statuses: Vec<&'static str>,
    operations: Vec<Option<&'static str>>,
    versions: Vec<i64>,
    seen_orders: Vec<i64>,
    confirmed_by: Vec<Option<Uuid>>,
    cancelled_by: Vec<Option<Uuid>>,
    traceparents: Vec<Option<&'a str>>,
    news: Vec<String>,
}

impl<'a> Columns<'a> {
    fn of(payments: impl Iterator<Item = &'a Payment>) -> sqlx::Result<Self> {
        let mut columns = Self::default();
        for payment in payments {
            columns.ids.push(payment.order_id.uuid());
            columns.goals.push(<&str>::from(payment.goal));
            columns.statuses.push(<&str>::from(payment.status));
            columns.operations.push(payment.operation.map(<&str>::from));
            columns.versions.push(payment.version.to_i64());
            columns.seen_orders.push(payment.seen_orders.to_i64());
            columns.confirmed_by.push(payment.causes.confirmed);
            columns.cancelled_by.push(payment.causes.cancelled);
            columns.traceparents.push(payment.causes.traceparent.as_deref());
            columns.news.push(json(&payment.new_entries)?);
        }
        Ok(columns)
    }
}

fn json(entries: &[Entry]) -> sqlx::Result<String> {
    serde_json::to_string(entries).map_err(|error| sqlx::Error::Encode(error.into()))
}
