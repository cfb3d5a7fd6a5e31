//! The simulated gateway's ledger after a restore of the database that it is in. The ledger of a real gateway would be
//! elsewhere, and complete.

use events::values::PaymentMethod;
use sqlx::PgConnection;

use super::calls::id;
use crate::domain::{Payment, Status};

/// The payment method in the ledger when the order was placed after the copy: no event of the payment names it.
const UNKNOWN_METHOD: &str = "unknown";

/// Adds the movements of a payment that the ledger lacks: its hold, capture, void and refund.
pub(crate) async fn enter(connection: &mut PgConnection, payment: &Payment) -> sqlx::Result<()> {
    let Some(held) = payment.gateway_id.as_deref() else { return Ok(()) };
    let order = payment.order_id.uuid();
    let entered = sqlx::query!(
        r#"
        INSERT INTO gateway.authorizations (reference, key, id, amount, currency, payment_method, answer)
        SELECT $1, 'restored:' || $2, $2, $3, $4, $5, 'authorized'
        WHERE NOT EXISTS (SELECT FROM gateway.authorizations WHERE reference = $1 AND id = $2)
        ON CONFLICT DO NOTHING
        "#,
        order,
        held,
        payment.amount.amount,
        payment.amount.currency.as_str(),
        payment.method.as_ref().map_or(UNKNOWN_METHOD, PaymentMethod::as_str),
    );
    entered.execute(&mut *connection).await?;
    let moved = sqlx::query!(
        r#"
        UPDATE gateway.authorizations
        SET captured_at = COALESCE(captured_at, CASE WHEN $3 THEN now() END),
            capture_key = COALESCE(capture_key, CASE WHEN $3 THEN 'restored' END),
            voided_at = COALESCE(voided_at, CASE WHEN $4 THEN now() END),
            void_key = COALESCE(void_key, CASE WHEN $4 THEN 'restored' END)
        WHERE reference = $1 AND id = $2
        "#,
        order,
        held,
        matches!(payment.status, Status::Captured | Status::Refunded),
        payment.status == Status::Voided,
    );
    moved.execute(&mut *connection).await?;
    let refunded = sqlx::query!(
        r#"
        INSERT INTO gateway.refunds (reference, key, id, charge_id, amount, currency)
        SELECT reference, 'restored:' || id, $3, id, amount, currency
        FROM gateway.authorizations WHERE reference = $1 AND id = $2 AND $4
        ON CONFLICT DO NOTHING
        "#,
        order,
        held,
        id("re"),
        payment.status == Status::Refunded,
    );
    refunded.execute(connection).await?;
    Ok(())
}
