//! The worker that handles the requests of `POST /subscriptions` a moment after the answer. The answer thus comes before anything
//! that depends on the address is read or written, and its time reveals nothing about the address.

use std::sync::Arc;
use std::time::Duration;

use broker::{Cause, Failure, Outbox, Tx};
use events::Channel;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::content::Content;
use crate::domain::delivery::Message;
use crate::domain::tokens::Tokens;
use crate::store::subscriptions::Request;
use crate::store::{consent, deliveries, products, requests};
use crate::wakes::Wakes;

/// The most requests per transaction.
const STEP: i64 = 100;
/// The pause before requests are handled, so that the work for one request does not coincide with the answer to the client's next.
const SPREAD: Duration = Duration::from_millis(200);
/// How often requests are looked for that another instance stored and did not handle.
const INTERVAL: Duration = Duration::from_secs(2);

pub(crate) struct Requests {
    pub outbox: Outbox,
    pub tokens: Tokens,
    pub channels: Arc<[Channel]>,
    pub wakes: Wakes,
}

impl Requests {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        work::every("requests", INTERVAL, &self.wakes.requests, stop, || self.tick()).await;
    }

    async fn tick(&self) -> Result<(), Failure> {
        tokio::time::sleep(SPREAD).await;
        loop {
            let ids = requests::oldest(self.outbox.pool(), STEP).await?;
            if ids.is_empty() {
                return Ok(());
            }
            match self.handle(&ids).await.map_err(Failure::from) {
                // Another instance handles them all.
                Ok(0) => return Ok(()),
                // Postgres will never take at least one of them, which must not block the others.
                Err(Failure::SomeRecord(_)) => self.handle_one_by_one(&ids).await?,
                handled => drop(handled?),
            }
            self.wakes.senders();
        }
    }

    async fn handle_one_by_one(&self, ids: &[Uuid]) -> Result<(), Failure> {
        for id in ids {
            match self.handle(&[*id]).await.map_err(Failure::from) {
                Err(Failure::SomeRecord(cause)) => {
                    tracing::error!(cause, "the database refuses a subscription request; dropped");
                    requests::delete(self.outbox.pool(), *id).await?;
                }
                handled => drop(handled?),
            }
        }
        Ok(())
    }

    /// Handles these requests in one transaction, and returns the number of those that no other instance holds.
    async fn handle(&self, ids: &[Uuid]) -> sqlx::Result<usize> {
        let mut tx = self.outbox.begin().await?;
        let (mut mails, taken) = (Vec::new(), requests::take(&mut tx, ids).await?);
        let count = taken.len();
        for (request, traceparent) in taken {
            mails.extend(self.ask(&mut tx, &request, Cause::traced(traceparent)).await?);
        }
        deliveries::insert(&mut tx, &mails, &self.channels).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Returns the confirmation mail to send, if the request needs one.
    async fn ask(&self, tx: &mut Tx, request: &Request, cause: Cause) -> sqlx::Result<Option<Message>> {
        // Delisted meanwhile: nothing can come back in stock.
        let Some(name) = products::listed_name(&mut **tx, &request.sku).await? else { return Ok(None) };
        let now = OffsetDateTime::now_utc();
        let mail = consent::ask(tx, &self.tokens, request, now).await?;
        Ok(mail.map(|mail| Message {
            content: Content::ConfirmSubscription {
                subscription_id: mail.subscription,
                sku: request.sku.clone(),
                name,
                quantity: request.quantity,
                round: mail.round,
                until: mail.until,
            },
            customer: None,
            cause,
            at: now,
        }))
    }
}
