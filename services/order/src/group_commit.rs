//! Group commit: orders that arrive together share a transaction.
//!
//! One task takes all waiting requests and writes them as a group. Then it pauses for twice as long as that took, at most 10 ms;
//! requests that arrive meanwhile are the next group. So an order costs less under load, and an idle service answers at once. When
//! the database refuses a request, the group is halved until that request is alone, and the others are written.

mod customers;
mod group;

use std::time::{Duration, Instant};

use broker::{Failure, Outbox, Pace};
use events::values::{ClaimHash, EmailAddress, PaymentMethod};
use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use web::Problem;
use web::idempotency::{self, Answer, Key};

use crate::domain::pricing::Wanted;
use crate::view;

/// The most requests that share a transaction.
const GROUP: usize = 200;
/// The most requests that wait for the writer: more than the connections that are served.
const WAITING: usize = 5000;
/// The most concurrent transactions when a group met a lock and its requests are written one by one.
const SINGLES: usize = 8;
/// The longest pause between two groups: customers wait for the answer.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// The timeout of a transaction. All its callers have got a 503 by then.
const TIMEOUT: Duration = Duration::from_secs(4);

/// An order to place: valid, not yet priced.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) email: EmailAddress,
    /// A SKU may be listed twice.
    pub(crate) items: Vec<Wanted>,
    pub(crate) payment_method: PaymentMethod,
    /// Whether to subscribe the customer to products that turn out to be sold out.
    pub(crate) notify_me: bool,
    /// The claim with which the customer ordered.
    pub(crate) claim: Option<ClaimHash>,
}

/// A request that waits for its reply.
struct Pending {
    request: Request,
    key: Option<Key>,
    traceparent: String,
    reply: oneshot::Sender<Reply>,
}

/// The stored answer, without the cancel token; or the reason why there is no order.
type Reply = Result<Answer, Problem>;

/// The sender of requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct GroupCommit(mpsc::Sender<Pending>);

/// The task that writes the requests.
pub(crate) struct Writer {
    outbox: Outbox,
    expires_after: Duration,
    waiting: mpsc::Receiver<Pending>,
}

/// Returns the sender and the writer; orders expire after `expires_after`.
pub(crate) fn new(outbox: Outbox, expires_after: Duration) -> (GroupCommit, Writer) {
    let (sender, waiting) = mpsc::channel(WAITING);
    (GroupCommit(sender), Writer { outbox, expires_after, waiting })
}

impl GroupCommit {
    /// Places an order, or returns the stored answer of its idempotency key.
    pub(crate) async fn place(&self, request: Request, key: Option<Key>, traceparent: String) -> Reply {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(Pending { request, key, traceparent, reply }).await;
        let stopping = || Problem::unavailable("The service is stopping; try again.");
        sent.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

impl Writer {
    /// Runs until `stop`, and then until every request has its reply.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let (mut group, mut pace) = (Vec::with_capacity(GROUP), Pace::with_longest(LONGEST_PAUSE));
        loop {
            pace.wait().await;
            if stop.run_until_cancelled(self.waiting.recv_many(&mut group, GROUP)).await.is_none() {
                self.waiting.close();
                while self.waiting.recv_many(&mut group, GROUP).await > 0 {
                    self.process(std::mem::take(&mut group)).await;
                }
                return;
            }
            let (started, is_full) = (Instant::now(), group.len() == GROUP);
            self.process(std::mem::take(&mut group)).await;
            pace.end(started, is_full);
        }
    }

    /// Writes a group and replies to every request of it.
    async fn process(&self, group: Vec<Pending>) {
        let mut open = vec![group];
        while let Some(mut group) = open.pop() {
            // A caller that is gone got a 503 and tries again, so its order now would be a second one.
            group.retain(|pending| !pending.reply.is_closed());
            if group.is_empty() {
                continue;
            }
            match self.write(&group).await {
                Ok(replies) => send(group, replies),
                Err(Failure::Record { .. } | Failure::SomeRecord(_)) if group.len() > 1 => {
                    let second = group.split_off(group.len() / 2);
                    open.extend([second, group]);
                }
                // Another transaction holds a key or an address of one request; the other requests need not wait for it.
                Err(Failure::Busy(_)) if group.len() > 1 => {
                    let all = futures::stream::iter(group);
                    all.for_each_concurrent(SINGLES, |pending| self.process_single(pending)).await;
                }
                Err(failure) => refuse(group, failure),
            }
        }
    }

    async fn process_single(&self, pending: Pending) {
        if pending.reply.is_closed() {
            return;
        }
        let single = vec![pending];
        match self.write(&single).await {
            Ok(replies) => send(single, replies),
            Err(failure) => refuse(single, failure),
        }
    }

    async fn write(&self, group: &[Pending]) -> Result<Vec<Reply>, Failure> {
        let written =
            tokio::time::timeout(TIMEOUT, group::write(&self.outbox, self.expires_after, group)).await;
        written.unwrap_or_else(|_| Err(Failure::Retry(format!("no answer in {TIMEOUT:?}").into())))
    }
}

fn send(group: Vec<Pending>, replies: Vec<Reply>) {
    for (pending, reply) in group.into_iter().zip(replies) {
        // A caller that is gone can repeat its request with the key.
        let _ = pending.reply.send(reply);
    }
}

/// Replies to all requests of a group with the same problem.
fn refuse(group: Vec<Pending>, failure: Failure) {
    let problem = match failure {
        Failure::Busy(error) if group.iter().all(|pending| pending.key.is_some()) => {
            idempotency::failed(error)
        }
        failure => view::problem(failure),
    };
    let replies = group.iter().map(|_| Err(problem.clone())).collect();
    send(group, replies);
}
