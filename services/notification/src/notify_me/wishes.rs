//! What POST /subscriptions has taken: a row for each wish, and the worker that looks at it a moment later. So the answer
//! comes before anything that depends on the address is read or written, and its time tells nothing of the address.

use std::sync::Arc;
use std::time::Duration;

use broker::{Cause, Failure, Outbox, Tx};
use events::Channel;
use events::values::Invalid;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::products;
use super::subscriptions::{self, CONFIRM_WITHIN, Question, Wish, quantity};
use super::tokens::Tokens;
use crate::deliver::content::Content;
use crate::deliver::delivery::Due;
use crate::deliver::queue;

/// The most wishes that wait; a request beyond is answered with 503.
const ROOM: i64 = 10_000;
/// The most that share a transaction.
const STEP: i64 = 100;
/// How long a wish waits at least. What is done for one request is thereby not done while the client's next one is being
/// answered.
const SPREAD: Duration = Duration::from_millis(200);
/// How often wishes that another instance took, and did not look at, are looked for.
const LOOK: Duration = Duration::from_secs(2);

/// Takes a wish; `false`: too many wait.
pub(crate) async fn take(
    pool: &PgPool,
    wish: &Wish,
    traceparent: &str,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        r#"
        INSERT INTO wishes (id, email, sku, quantity, traceparent, created_at)
        SELECT $1, $2, $3, $4, $5, $6
        WHERE (SELECT count(*) FROM (SELECT FROM wishes LIMIT $7) AS waiting) < $7
        "#,
        Uuid::now_v7(),
        wish.email.expose(),
        wish.sku.as_str(),
        quantity(wish.quantity),
        traceparent,
        now,
        ROOM,
    )
    .execute(pool)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// The worker that looks at wishes.
pub(crate) struct Wishes {
    pub outbox: Outbox,
    pub tokens: Tokens,
    pub channels: Arc<[Channel]>,
    /// Wakes the senders.
    pub senders: Arc<[Arc<Notify>]>,
}

impl Wishes {
    /// Runs until `stop`, sooner when `wake` says so.
    pub(crate) async fn run(self, wake: Arc<Notify>, stop: CancellationToken) {
        work::every("wishes", LOOK, &wake, stop, || self.turn()).await;
    }

    async fn turn(&self) -> Result<(), Failure> {
        tokio::time::sleep(SPREAD).await;
        loop {
            let ids = self.oldest().await?;
            if ids.is_empty() {
                return Ok(());
            }
            match self.look_at(&ids).await.map_err(Failure::from) {
                // One of them, or more, Postgres will never take: they must not stand in the way of the others.
                Err(Failure::SomeRecord(_)) => self.one_by_one(&ids).await?,
                looked => looked?,
            }
            self.senders.iter().for_each(|sender| sender.notify_one());
        }
    }

    async fn one_by_one(&self, ids: &[Uuid]) -> Result<(), Failure> {
        for id in ids {
            match self.look_at(&[*id]).await.map_err(Failure::from) {
                Err(Failure::SomeRecord(cause)) => {
                    tracing::error!(cause, "a wish to be told is refused by the database and dropped");
                    sqlx::query!("DELETE FROM wishes WHERE id = $1", id).execute(self.outbox.pool()).await?;
                }
                looked => looked?,
            }
        }
        Ok(())
    }

    async fn oldest(&self) -> sqlx::Result<Vec<Uuid>> {
        sqlx::query_scalar!("SELECT id FROM wishes ORDER BY id LIMIT $1", STEP)
            .fetch_all(self.outbox.pool())
            .await
    }

    /// Looks at these in one transaction; those that another instance looks at are left to it.
    async fn look_at(&self, ids: &[Uuid]) -> sqlx::Result<()> {
        let mut tx = self.outbox.begin().await?;
        let rows = sqlx::query!(
            r#"
            DELETE FROM wishes WHERE id IN (
                SELECT id FROM wishes WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED)
            RETURNING id, email, sku, quantity, traceparent
            "#,
            ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut wishes = Vec::new();
        for row in rows {
            match read(&row.email, &row.sku, row.quantity) {
                Ok(wish) => wishes.push((row.id, wish, row.traceparent)),
                Err(error) => tracing::error!(%error, "a wish to be told does not parse and is dropped"),
            }
        }
        // In the order in which mailboxes are locked.
        wishes.sort_by_cached_key(|(id, wish, _)| (wish.email.mailbox(), wish.sku.clone(), *id));
        let mut due = Vec::new();
        for (_, wish, traceparent) in wishes {
            due.extend(self.ask(&mut tx, &wish, Cause::traced(traceparent)).await?);
        }
        queue::insert(&mut tx, &due, &self.channels).await?;
        tx.commit().await
    }

    /// The question to put, if there is one.
    async fn ask(&self, tx: &mut Tx, wish: &Wish, cause: Cause) -> sqlx::Result<Option<Due>> {
        // Delisted meanwhile: there is nothing to tell of.
        let Some(name) = products::listed_name(&mut **tx, &wish.sku).await? else { return Ok(None) };
        let now = OffsetDateTime::now_utc();
        let question = subscriptions::ask(tx, &self.tokens, wish, now).await?;
        let due = |question: Question| Due {
            content: question.content(wish, name, now),
            customer: None,
            cause,
            at: now,
        };
        Ok(question.map(due))
    }
}

impl Question {
    /// The mail that asks it.
    pub(crate) fn content(&self, wish: &Wish, name: String, now: OffsetDateTime) -> Content {
        Content::ConfirmSubscription {
            subscription_id: self.subscription,
            sku: wish.sku.clone(),
            name,
            quantity: wish.quantity,
            round: self.round,
            until: now + CONFIRM_WITHIN,
        }
    }
}

fn read(email: &str, sku: &str, quantity: i32) -> Result<Wish, Invalid> {
    Ok(Wish { email: email.parse()?, sku: sku.parse()?, quantity: i64::from(quantity).try_into()? })
}
