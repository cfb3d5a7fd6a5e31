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
            WITH asked AS (
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) AS asked (reference, key, id)
            ), done AS (
                UPDATE gateway.authorizations AS held
                SET captured_at = COALESCE(captured_at, now()), capture_key = asked.key
                FROM asked CROSS JOIN gateway.switch
                WHERE NOT outage AND held.reference = asked.reference AND held.id = asked.id
                  AND answer = 'authorized' AND payment_method <> $4
                  AND voided_at IS NULL AND COALESCE(capture_key, asked.key) = asked.key
                RETURNING held.id
            )
            SELECT asked.key AS "key!", outage, latency_ms, done.id IS NOT NULL AS "done!"
            FROM asked CROSS JOIN gateway.switch LEFT JOIN done USING (id)
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
            WITH asked AS (
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) AS asked (reference, key, id)
            ), done AS (
                UPDATE gateway.authorizations AS held
                SET voided_at = COALESCE(voided_at, now()), void_key = asked.key
                FROM asked CROSS JOIN gateway.switch
                WHERE NOT outage AND held.reference = asked.reference AND held.id = asked.id
                  AND answer = 'authorized'
                  AND captured_at IS NULL AND COALESCE(void_key, asked.key) = asked.key
                RETURNING held.id
            )
            SELECT asked.key AS "key!", outage, latency_ms, done.id IS NOT NULL AS "done!",
                   EXISTS (SELECT FROM gateway.authorizations AS held
                           WHERE held.reference = asked.reference AND held.id = asked.id
                             AND captured_at IS NOT NULL) AS "captured!"
            FROM asked CROSS JOIN gateway.switch LEFT JOIN done USING (id)
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
                // A capture that is just being entered; asked again, it is there.
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
            WITH asked AS (
                SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
                    AS asked (reference, key, id, refund_id)
            ), entered AS (
                INSERT INTO gateway.refunds (reference, key, id, charge_id, amount, currency)
                SELECT asked.reference, asked.key, refund_id, charge.id, amount, currency
                FROM asked CROSS JOIN gateway.switch
                JOIN gateway.authorizations AS charge
                  ON charge.reference = asked.reference AND charge.id = asked.id
                WHERE NOT outage AND captured_at IS NOT NULL
                ORDER BY asked.reference, asked.key
                ON CONFLICT DO NOTHING
                RETURNING reference, key
            )
            SELECT asked.key AS "key!", outage, latency_ms,
                   entered.key IS NOT NULL OR known.key IS NOT NULL AS "done!"
            FROM asked
            CROSS JOIN gateway.switch
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
            SELECT asked.key AS "key!", outage, latency_ms,
                   EXISTS (SELECT FROM gateway.authorizations AS held
                           WHERE held.reference = asked.reference AND held.id = asked.id
                             AND capture_key = asked.key) AS "captured!"
            FROM unnest($1::uuid[], $2::text[], $3::text[]) AS asked (reference, key, id)
            CROSS JOIN gateway.switch
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
