//! The operator's access to the gateway: its ledger of one order, and the switch of its behaviour.

use std::time::Duration;

use broker::columns::undecodable;
use events::values::{Money, OrderId};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::{Gateway, LONGEST_LATENCY, allowed_latency};

/// A movement of money in the gateway's ledger.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct LedgerEntry {
    /// The gateway's id.
    #[schema(example = "ch_01939f2c3a8e7cc0a1b2c3d4e5f60718")]
    pub id: String,
    /// The amount.
    pub amount: Money,
    /// The time.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// The behaviour of the simulated gateway, for all instances, until it is set again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with latency_ms and outage")]
pub(crate) struct Switch {
    /// The latency of each answer, in milliseconds: less than the timeout of a call.
    #[serde(deserialize_with = "latency")]
    #[schema(schema_with = latency_schema)]
    pub latency_ms: i32,
    /// Every call is answered with an error and has no effect.
    pub outage: bool,
}

/// The switch as a call reads it.
pub(super) struct Behaves {
    pub(super) outage: bool,
    /// `None` until an operator has set it.
    pub(super) latency: Option<Duration>,
}

fn latency<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let ms = i64::deserialize(deserializer)?;
    let latency = u64::try_from(ms).map(Duration::from_millis).map_err(|_| "must not be negative".to_owned());
    latency.and_then(allowed_latency).map_err(serde::de::Error::custom)?;
    i32::try_from(ms).map_err(serde::de::Error::custom)
}

fn latency_schema() -> Object {
    let longest = i64::try_from(LONGEST_LATENCY.as_millis()).ok();
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(longest);
    schema
        .description(Some("The latency of each answer, in milliseconds: less than the timeout of a call."))
        .examples([serde_json::json!(250)])
        .build()
}

impl Gateway {
    /// Returns the captures and the refunds of an order, oldest first. An amount that is only held is not listed.
    pub(crate) async fn entries(&self, order: OrderId) -> sqlx::Result<(Vec<LedgerEntry>, Vec<LedgerEntry>)> {
        let rows = sqlx::query!(
            r#"
            SELECT id AS "id!", amount AS "amount!", currency AS "currency!", captured_at AS "at!",
                   true AS "is_charge!"
            FROM gateway.authorizations WHERE reference = $1 AND captured_at IS NOT NULL
            UNION ALL
            SELECT id, amount, currency, refunded_at, false FROM gateway.refunds WHERE reference = $1
            ORDER BY 4
            "#,
            order.uuid(),
        );
        let (mut charges, mut refunds) = (Vec::new(), Vec::new());
        for row in rows.fetch_all(&self.pool).await? {
            let amount = Money::new(row.amount, &row.currency).map_err(undecodable)?;
            let entry = LedgerEntry { id: row.id, amount, at: row.at };
            if row.is_charge { &mut charges } else { &mut refunds }.push(entry);
        }
        Ok((charges, refunds))
    }

    pub(crate) async fn set(&self, switch: Switch) -> sqlx::Result<()> {
        let (latency_ms, outage) = (switch.latency_ms, switch.outage);
        let set = sqlx::query!("UPDATE gateway.switch SET latency_ms = $1, outage = $2", latency_ms, outage);
        set.execute(&self.pool).await?;
        Ok(())
    }
}

/// Reads the switch.
pub(super) async fn switch(pool: &PgPool) -> sqlx::Result<Behaves> {
    let row = sqlx::query!("SELECT outage, latency_ms FROM gateway.switch").fetch_one(pool).await?;
    let latency = row.latency_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    Ok(Behaves { outage: row.outage, latency })
}
