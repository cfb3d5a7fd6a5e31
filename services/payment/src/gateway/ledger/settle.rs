//! What becomes of what is held: captured, voided; or captured and refunded.

use super::{Answers, Asked, Ledger, answered, id};
use crate::domain::{Answer, Failure, Request};
use crate::gateway::methods::CAPTURE_FAILS;

impl Ledger {
    /// Takes what is held; refuses for good where it was let go of, or where the method never lets it.
    pub(in crate::gateway) async fn capture(&self, requests: &[Request]) -> Answers {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let asked = Asked::about(requests);
        let rows = sqlx::query!(
            r#"
            WITH switch AS (
                SELECT outage, latency_ms FROM gateway.switch LIMIT 1
            ), asked AS (
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) AS asked (reference, key, id)
            ), held AS (
                UPDATE gateway.authorizations AS held
                SET captured_at = CASE WHEN answer = 'authorized' AND voided_at IS NULL AND payment_method <> $4
                                       THEN COALESCE(captured_at, now()) END,
                    capture_key = CASE WHEN answer = 'authorized' AND voided_at IS NULL AND payment_method <> $4
                                       THEN COALESCE(capture_key, asked.key) END
                FROM asked CROSS JOIN switch
                WHERE NOT outage AND held.reference = asked.reference AND held.id = asked.id
                RETURNING held.id, capture_key
            )
            SELECT asked.key AS "key!", outage AS "outage!", latency_ms,
                   COALESCE(capture_key = asked.key, false) AS "done!"
            FROM asked CROSS JOIN switch LEFT JOIN held USING (id)
            "#,
            &asked.references,
            &asked.keys,
            &asked.ids,
            CAPTURE_FAILS,
        )
        .fetch_all(&self.pool)
        .await?;
        let answers = rows.into_iter().map(|row| {
            let outcome = Ok(if row.done { Answer::Captured } else { Answer::CaptureRefused });
            answered(row.key, row.outage, row.latency_ms, outcome)
        });
        Ok(answers.collect())
    }

    /// Lets go of what is held; where it was captured, says so.
    pub(in crate::gateway) async fn void(&self, requests: &[Request]) -> Answers {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let asked = Asked::about(requests);
        let rows = sqlx::query!(
            r#"
            WITH switch AS (
                SELECT outage, latency_ms FROM gateway.switch LIMIT 1
            ), asked AS (
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) AS asked (reference, key, id)
            ), held AS (
                UPDATE gateway.authorizations AS held
                SET voided_at = CASE WHEN answer = 'authorized' AND captured_at IS NULL
                                     THEN COALESCE(voided_at, now()) END,
                    void_key = CASE WHEN answer = 'authorized' AND captured_at IS NULL
                                    THEN COALESCE(void_key, asked.key) END
                FROM asked CROSS JOIN switch
                WHERE NOT outage AND held.reference = asked.reference AND held.id = asked.id
                RETURNING held.id, void_key, captured_at
            )
            SELECT asked.key AS "key!", outage AS "outage!", latency_ms,
                   COALESCE(void_key = asked.key, false) AS "done!", captured_at IS NOT NULL AS "captured!"
            FROM asked CROSS JOIN switch LEFT JOIN held USING (id)
            "#,
            &asked.references,
            &asked.keys,
            &asked.ids,
        )
        .fetch_all(&self.pool)
        .await?;
        let answers = rows.into_iter().map(|row| {
            let outcome = match (row.done, row.captured) {
                (true, _) => Ok(Answer::Voided),
                (false, true) => Ok(Answer::Captured),
                // No such authorization: the books are not those that it stood in.
                (false, false) => Err(Failure::Unknown),
            };
            answered(row.key, row.outage, row.latency_ms, outcome)
        });
        Ok(answers.collect())
    }

    /// Gives back what was captured, once.
    pub(in crate::gateway) async fn refund(&self, requests: &[Request]) -> Answers {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let asked = Asked::about(requests);
        let ids: Vec<_> = requests.iter().map(|_| id("re")).collect();
        let rows = sqlx::query!(
            r#"
            WITH switch AS (
                SELECT outage, latency_ms FROM gateway.switch LIMIT 1
            ), asked AS (
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
                    AS asked (reference, key, id, refund_id)
            ), entered AS (
                INSERT INTO gateway.refunds (reference, key, id, charge_id, amount, currency)
                SELECT asked.reference, asked.key, refund_id, charge.id, amount, currency
                FROM asked CROSS JOIN switch
                JOIN gateway.authorizations AS charge
                  ON charge.reference = asked.reference AND charge.id = asked.id
                WHERE NOT outage AND captured_at IS NOT NULL
                ORDER BY asked.reference, asked.key
                ON CONFLICT DO NOTHING
                RETURNING reference, key
            )
            SELECT asked.key AS "key!", outage AS "outage!", latency_ms,
                   entered.key IS NOT NULL OR known.key IS NOT NULL AS "done!"
            FROM asked
            CROSS JOIN switch
            LEFT JOIN entered USING (reference, key)
            LEFT JOIN gateway.refunds AS known USING (reference, key)
            "#,
            &asked.references,
            &asked.keys,
            &asked.ids,
            &ids,
        )
        .fetch_all(&self.pool)
        .await?;
        let answers = rows.into_iter().map(|row| {
            // Neither entered nor known: it is just being entered; asked again, it is there.
            let outcome = if row.done { Ok(Answer::Refunded) } else { Err(Failure::Unknown) };
            answered(row.key, row.outage, row.latency_ms, outcome)
        });
        Ok(answers.collect())
    }

    /// Whether the captures under these keys took place.
    pub(in crate::gateway) async fn find_captures(&self, requests: &[Request]) -> Answers {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let asked = Asked::about(requests);
        let rows = sqlx::query!(
            r#"
            SELECT asked.key AS "key!", outage AS "outage!", latency_ms,
                   EXISTS (SELECT FROM gateway.authorizations AS held
                           WHERE held.reference = asked.reference AND held.id = asked.id
                             AND capture_key = asked.key) AS "captured!"
            FROM unnest($1::uuid[], $2::text[], $3::text[]) AS asked (reference, key, id)
            CROSS JOIN (SELECT outage, latency_ms FROM gateway.switch LIMIT 1) AS switch
            "#,
            &asked.references,
            &asked.keys,
            &asked.ids,
        )
        .fetch_all(&self.pool)
        .await?;
        let answers = rows.into_iter().map(|row| {
            let outcome = Ok(if row.captured { Answer::Captured } else { Answer::NotCaptured });
            answered(row.key, row.outage, row.latency_ms, outcome)
        });
        Ok(answers.collect())
    }
}
