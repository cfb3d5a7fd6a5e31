//! Authorizations: the gateway holds an amount, or declines.

use super::{Answers, Ledger, answered, id};
use crate::domain::{Answer, Call, Failure, Outcome, Request};
use crate::gateway::methods::Behaviour;

impl Ledger {
    /// Holds the amounts, or declines. A key that was answered before is answered as it was then.
    pub(in crate::gateway) async fn authorize(&self, requests: &[Request]) -> Answers {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (mut references, mut keys, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let (mut amounts, mut currencies, mut methods) = (Vec::new(), Vec::new(), Vec::new());
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        for request in requests {
            let Call::Authorize { amount, method } = &request.call else { continue };
            let behaviour = Behaviour::of(method.as_str());
            references.push(request.order_id.uuid());
            keys.push(request.key.clone());
            ids.push(id("ch"));
            amounts.push(amount.amount);
            currencies.push(amount.currency.to_string());
            methods.push(method.to_string());
            answers.push(behaviour.answer().to_owned());
            failures.push(behaviour.failures);
        }
        let rows = sqlx::query!(
            r#"
            WITH switch AS (
                SELECT outage, latency_ms FROM gateway.switch LIMIT 1
            ), asked AS (
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                                     $7::text[], $8::integer[])
                    AS asked (reference, key, id, amount, currency, payment_method, answer, failures)
            ), entered AS (
                INSERT INTO gateway.authorizations
                       (reference, key, id, amount, currency, payment_method, answer)
                SELECT reference, key, id, amount, currency, payment_method,
                       CASE WHEN failures > 0 AND failures > (SELECT count(*) FROM gateway.authorizations AS earlier
                                                              WHERE earlier.reference = asked.reference)
                            THEN 'failed' ELSE answer END
                FROM asked CROSS JOIN switch
                WHERE NOT outage
                ORDER BY reference, key
                ON CONFLICT (reference, key) DO NOTHING
                RETURNING reference, key, id, answer
            )
            SELECT asked.key AS "key!", asked.payment_method AS "method!", outage AS "outage!", latency_ms,
                   entered.id IS NOT NULL AS "first!",
                   COALESCE(entered.id, known.id) AS id, COALESCE(entered.answer, known.answer) AS answer
            FROM asked
            CROSS JOIN switch
            LEFT JOIN entered USING (reference, key)
            LEFT JOIN gateway.authorizations AS known USING (reference, key)
            "#,
            &references,
            &keys,
            &ids,
            &amounts,
            &currencies,
            &methods,
            &answers,
            &failures,
        )
        .fetch_all(&self.pool)
        .await?;
        let answers = rows.into_iter().map(|row| {
            let lost = row.first && Behaviour::of(&row.method).times_out;
            let outcome = if lost { Err(Failure::Unknown) } else { read(row.id, row.answer.as_deref()) };
            answered(row.key, row.outage, row.latency_ms, outcome)
        });
        Ok(answers.collect())
    }
}

/// An answer from the books. None there: the same key is just being entered by somebody else, whose answer will tell.
fn read(id: Option<String>, answer: Option<&str>) -> Outcome {
    match (id, answer) {
        (Some(id), Some("authorized")) => Ok(Answer::Authorized(id)),
        (Some(_), Some("failed")) => Err(Failure::Failed),
        (Some(_), Some(word)) => Ok(Answer::Declined(Behaviour::reason(word))),
        _ => Err(Failure::Unknown),
    }
}
