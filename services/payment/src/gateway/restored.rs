//! The simulated gateway's books after a restore of the database that they stand in. A real gateway keeps its books
//! elsewhere, and forgets nothing then.

use sqlx::PgConnection;
use uuid::Uuid;

use super::ledger::id;
use crate::domain::{Payment, Status};

/// What stands in the books of a payment whose order was placed after the copy: no event of the payment names its method.
const UNKNOWN_METHOD: &str = "unknown";

/// Enters what these payments are known to have held, taken and given back, where the books do not have it.
pub(crate) async fn enter(
    connection: &mut PgConnection,
    payments: impl Iterator<Item = &Payment>,
) -> sqlx::Result<()> {
    let held: Vec<(&Payment, &str)> =
        payments.filter_map(|payment| Some((payment, payment.gateway_id.as_deref()?))).collect();
    if held.is_empty() {
        return Ok(());
    }
    let references: Vec<Uuid> = held.iter().map(|(payment, _)| payment.order_id.uuid()).collect();
    let ids: Vec<&str> = held.iter().map(|(_, id)| *id).collect();
    let amounts: Vec<i64> = held.iter().map(|(payment, _)| payment.amount.amount).collect();
    let currencies: Vec<String> =
        held.iter().map(|(payment, _)| payment.amount.currency.to_string()).collect();
    let method = |payment: &Payment| {
        payment.method.as_ref().map_or_else(|| UNKNOWN_METHOD.to_owned(), ToString::to_string)
    };
    let methods: Vec<String> = held.iter().map(|(payment, _)| method(payment)).collect();
    let is = |statuses: &[Status]| -> Vec<bool> {
        held.iter().map(|(payment, _)| statuses.contains(&payment.status)).collect()
    };
    let (captured, voided) = (is(&[Status::Captured, Status::Refunded]), is(&[Status::Voided]));
    sqlx::query!(
        r#"
        INSERT INTO gateway.authorizations (reference, key, id, amount, currency, payment_method, answer)
        SELECT reference, 'restored:' || id, id, amount, currency, payment_method, 'authorized'
        FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[])
             AS told (reference, id, amount, currency, payment_method)
        WHERE NOT EXISTS (SELECT FROM gateway.authorizations AS held
                          WHERE held.reference = told.reference AND held.id = told.id)
        ORDER BY reference
        ON CONFLICT DO NOTHING
        "#,
        &references,
        &ids as &[&str],
        &amounts,
        &currencies,
        &methods,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        UPDATE gateway.authorizations AS held
        SET captured_at = COALESCE(captured_at, CASE WHEN told.captured THEN now() END),
            capture_key = COALESCE(capture_key, CASE WHEN told.captured THEN 'restored' END),
            voided_at = COALESCE(voided_at, CASE WHEN told.voided THEN now() END),
            void_key = COALESCE(void_key, CASE WHEN told.voided THEN 'restored' END)
        FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::boolean[]) AS told (reference, id, captured, voided)
        WHERE held.reference = told.reference AND held.id = told.id AND (told.captured OR told.voided)
        "#,
        &references,
        &ids as &[&str],
        &captured,
        &voided,
    )
    .execute(&mut *connection)
    .await?;
    refund(connection, &references, &ids, &is(&[Status::Refunded])).await
}

async fn refund(
    connection: &mut PgConnection,
    references: &[Uuid],
    charges: &[&str],
    refunded: &[bool],
) -> sqlx::Result<()> {
    let refunds: Vec<String> = charges.iter().map(|_| id("re")).collect();
    sqlx::query!(
        r#"
        INSERT INTO gateway.refunds (reference, key, id, charge_id, amount, currency)
        SELECT reference, 'restored:' || told.id, told.refund, charge.id, amount, currency
        FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::text[]) AS told (reference, id, refunded, refund)
        JOIN gateway.authorizations AS charge USING (reference, id)
        WHERE refunded
        ORDER BY reference
        ON CONFLICT DO NOTHING
        "#,
        references,
        charges as &[&str],
        refunded,
        &refunds,
    )
    .execute(connection)
    .await?;
    Ok(())
}
