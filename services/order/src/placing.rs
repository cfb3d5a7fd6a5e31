//! Taking orders: requests that arrive together share a transaction.
//!
//! One task takes what is waiting, without waiting for more, and writes it as a group; what came meanwhile is the next
//! group. So the busier it is the less an order costs, and an idle service answers at once. A request that the database
//! refuses takes only itself away: the group is halved down to it.

mod customers;
mod group;

use std::time::Duration;

use broker::{Failure, Outbox};
use events::values::{ClaimHash, EmailAddress, PaymentMethod};
use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use web::Problem;
use web::idempotency::{self, Answer, Key};

use crate::domain::pricing::Wanted;

/// The most requests that share a transaction.
const GROUP: usize = 200;
/// The most that wait for the writer; more than connections that are served.
const WAITING: usize = 5000;
/// Requests of a group that ran into a lock are written one by one, so many at a time.
const ONE_BY_ONE: usize = 8;
/// When Postgres has not answered for so long, all who waited have been told to come again; whoever comes now is better
/// served by another connection.
const LONGEST: Duration = Duration::from_secs(4);

/// What a customer asks for; valid, not yet priced.
#[derive(Debug)]
pub(crate) struct Request {
    /// Who orders.
    pub(crate) email: EmailAddress,
    /// What; a SKU may stand there twice.
    pub(crate) items: Vec<Wanted>,
    /// How it is paid.
    pub(crate) payment_method: PaymentMethod,
    /// Whether to be told when what is sold out comes back.
    pub(crate) notify_me: bool,
    /// The claim that led here.
    pub(crate) claim: Option<ClaimHash>,
}

/// A request that waits for its answer.
struct Placement {
    request: Request,
    key: Option<Key>,
    traceparent: String,
    reply: oneshot::Sender<Reply>,
}

/// The stored answer, without what may not be stored; or why there is no order.
type Reply = Result<Answer, Problem>;

/// Where requests are handed in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Placing(mpsc::Sender<Placement>);

/// Writes what is handed in.
pub(crate) struct Writer {
    outbox: Outbox,
    /// How long an order waits for its answers.
    patience: Duration,
    waiting: mpsc::Receiver<Placement>,
}

/// Both ends; orders expire after `patience`.
pub(crate) fn start(outbox: Outbox, patience: Duration) -> (Placing, Writer) {
    let (placing, waiting) = mpsc::channel(WAITING);
    (Placing(placing), Writer { outbox, patience, waiting })
}

impl Placing {
    /// Places an order, or finds the answer that its idempotency key got before.
    pub(crate) async fn place(&self, request: Request, key: Option<Key>, traceparent: String) -> Reply {
        let (reply, answer) = oneshot::channel();
        let handed_in = self.0.send(Placement { request, key, traceparent, reply }).await;
        let stopping = || Problem::unavailable("The service is stopping; try again.");
        handed_in.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

impl Writer {
    /// Runs until `stop`, and then until what was handed in is answered.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            if stop.run_until_cancelled(self.waiting.recv_many(&mut group, GROUP)).await.is_none() {
                self.waiting.close();
                while self.waiting.recv_many(&mut group, GROUP).await > 0 {
                    self.settle(std::mem::take(&mut group)).await;
                }
                return;
            }
            self.settle(std::mem::take(&mut group)).await;
        }
    }

    /// Answers every request of a group.
    async fn settle(&self, mut group: Vec<Placement>) {
        // A caller who has gone was told to try again: an order now would be one too many.
        group.retain(|placement| !placement.reply.is_closed());
        let mut open = vec![group];
        while let Some(mut group) = open.pop() {
            match self.write(&group).await {
                Ok(replies) => answer(group, replies),
                Err(Failure::Record { .. } | Failure::SomeRecord(_)) if group.len() > 1 => {
                    let second = group.split_off(group.len() / 2);
                    open.extend([second, group]);
                }
                // Someone else holds a key or an address that one of them needs: the others need not wait for it.
                Err(Failure::Busy(_)) if group.len() > 1 => {
                    let all = futures::stream::iter(group);
                    all.for_each_concurrent(ONE_BY_ONE, |placement| self.settle_one(placement)).await;
                }
                Err(failure) => refuse(group, failure),
            }
        }
    }

    async fn settle_one(&self, placement: Placement) {
        let alone = vec![placement];
        match self.write(&alone).await {
            Ok(replies) => answer(alone, replies),
            Err(failure) => refuse(alone, failure),
        }
    }

    async fn write(&self, group: &[Placement]) -> Result<Vec<Reply>, Failure> {
        let written = tokio::time::timeout(LONGEST, group::write(&self.outbox, self.patience, group)).await;
        written.unwrap_or_else(|_| Err(Failure::Retry(format!("no answer in {LONGEST:?}").into())))
    }
}

fn answer(group: Vec<Placement>, replies: Vec<Reply>) {
    for (placement, reply) in group.into_iter().zip(replies) {
        // Who has gone meanwhile asks again with the key.
        let _ = placement.reply.send(reply);
    }
}

/// Gives all of a group the same answer.
fn refuse(group: Vec<Placement>, failure: Failure) {
    let problem = match failure {
        Failure::Busy(error) if group.iter().all(|placement| placement.key.is_some()) => {
            idempotency::failed(error)
        }
        Failure::Busy(error) => error.into(),
        Failure::Retry(error) => {
            tracing::error!(%error, orders = group.len(), "orders cannot be written");
            Problem::unavailable(
                "Orders cannot be taken at the moment. Try again; with an Idempotency-Key nothing is ordered twice.",
            )
        }
        Failure::Record { cause, .. } | Failure::SomeRecord(cause) => {
            tracing::error!(cause, "a valid order was refused by the database");
            Problem::internal()
        }
    };
    let replies = group.iter().map(|_| Err(problem.clone())).collect();
    answer(group, replies);
}
