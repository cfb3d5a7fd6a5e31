//! A payment's row, read into a [`Payment`].

use envelope::Sequence;
use events::values::{Money, OrderId};
use uuid::Uuid;

use crate::domain::{Causes, Payment};

/// The columns that decisions need.
pub(super) struct Row {
    pub id: Uuid,
    pub goal: String,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub payment_method: Option<String>,
    pub gateway_id: Option<String>,
    pub operation: Option<String>,
    pub started: bool,
    pub generation: i32,
    pub failures: i32,
    pub version: i64,
    pub seen_orders: i64,
    pub placed_by: Option<Uuid>,
    pub confirmed_by: Option<Uuid>,
    pub cancelled_by: Option<Uuid>,
    pub traceparent: Option<String>,
}

impl TryFrom<Row> for Payment {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let operation = row.operation.as_deref();
        let operation = operation.map(|text| text.parse().map_err(|_| undecodable("operation", text)));
        let sequence =
            |number: i64| Sequence::from_i64(number).ok_or_else(|| undecodable("sequence", "negative"));
        let method = row.payment_method.map(TryInto::try_into).transpose();
        Ok(Self {
            order_id: OrderId::from(row.id),
            amount: money(row.amount, &row.currency)?,
            method: method.map_err(|error: events::values::Invalid| sqlx::Error::Decode(error.into()))?,
            goal: row.goal.parse().map_err(|_| undecodable("goal", &row.goal))?,
            status: row.status.parse().map_err(|_| undecodable("status", &row.status))?,
            gateway_id: row.gateway_id,
            operation: operation.transpose()?,
            started: row.started,
            generation: row.generation,
            failures: row.failures,
            version: sequence(row.version)?,
            seen_orders: sequence(row.seen_orders)?,
            causes: Causes {
                placed: row.placed_by,
                confirmed: row.confirmed_by,
                cancelled: row.cancelled_by,
                traceparent: row.traceparent,
            },
            new_entries: Vec::new(),
        })
    }
}

pub(super) fn money(amount: i64, currency: &str) -> sqlx::Result<Money> {
    let currency = currency.parse().map_err(|_| undecodable("currency", currency))?;
    Ok(Money { amount, currency })
}

/// The error for a text that only a newer version knows.
pub(super) fn undecodable(column: &str, text: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("payments.{column} holds {text:?}").into())
}
