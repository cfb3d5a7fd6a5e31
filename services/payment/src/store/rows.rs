//! A payment's row, read into a [`Payment`].

use broker::columns::{parse, sequence, undecodable};
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
        let operation = row.operation.as_deref().map(|text| parse("payments.operation", text));
        Ok(Self {
            order_id: OrderId::from(row.id),
            amount: Money::new(row.amount, &row.currency).map_err(undecodable)?,
            method: row.payment_method.map(TryInto::try_into).transpose().map_err(undecodable)?,
            goal: parse("payments.goal", &row.goal)?,
            status: parse("payments.status", &row.status)?,
            gateway_id: row.gateway_id,
            operation: operation.transpose()?,
            started: row.started,
            generation: row.generation,
            failures: row.failures,
            version: sequence(row.version),
            seen_orders: sequence(row.seen_orders),
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
