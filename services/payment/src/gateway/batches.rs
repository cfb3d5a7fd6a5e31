//! The gateway's side: calls that arrive together share their statements, so that a simulated gateway costs little of the
//! machine that it shares with the services.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use super::{calls, ledger};
use crate::domain::{Failure, Outcome, Request};

/// The most calls of a batch.
pub(super) const LARGEST: usize = 200;

/// A call that waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Answered>,
}

/// The gateway's answer, and after how long it arrives.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) outcome: Outcome,
    /// `None`: the usual latency.
    pub(super) latency: Option<Duration>,
}

impl Answered {
    /// The gateway could not reach its ledger.
    pub(super) const UNKNOWN: Self = Self { outcome: Err(Failure::Unknown), latency: None };
}

/// Answers calls until there is no more client: all that wait, then all that arrived meanwhile.
pub(super) async fn run(pool: PgPool, mut waiting: mpsc::Receiver<Pending>) {
    let mut batch = Vec::with_capacity(LARGEST);
    while waiting.recv_many(&mut batch, LARGEST).await > 0 {
        let (requests, replies): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|Pending { request, reply }| (request, reply)).unzip();
        match answer(&pool, &requests).await {
            Ok((outcomes, latency)) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    // A caller that is gone does not know the outcome.
                    let _ = reply.send(Answered { outcome, latency });
                }
            }
            // The replies are dropped, so the outcomes are unknown.
            Err(error) => {
                tracing::debug!(%error, "the simulated gateway cannot reach its ledger; the calls are not answered");
            }
        }
    }
}

async fn answer(pool: &PgPool, requests: &[Request]) -> sqlx::Result<(Vec<Outcome>, Option<Duration>)> {
    let switch = ledger::switch(pool).await?;
    let outcomes = if switch.outage {
        requests.iter().map(|_| Err(Failure::Unavailable)).collect()
    } else {
        calls::perform(pool, requests).await?
    };
    Ok((outcomes, switch.latency))
}
