//! Measures how fast events travel through outbox, Kafka and handler into a second database, compared with Postgres' own
//! `INSERT … SELECT` of the resulting rows.
//!
//! `throughput [EVENTS] [ROUNDS]` starts a Kafka and a Postgres of its own. Each round measures one after the other: each step
//! alone (append, relay, handle), Postgres' copy, and all steps side by side. The result is the median of the rounds' ratios,
//! because times depend on the machine. The last lines are Markdown.

#[path = "../bank/events.rs"]
mod events;
#[path = "../bank/ledger.rs"]
mod ledger;
mod report;
mod site;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use stack::Servers;

use self::report::Report;
use self::site::Site;

/// The number of keys. The next event of a key waits until the one before is published, so few keys are slow.
const ACCOUNTS: usize = 1000;
/// Events per transaction, as in a service that shares its commits under load.
const TOGETHER: usize = 200;

/// The times of one round.
#[derive(Debug, Clone, Copy)]
struct Round {
    copy: Duration,
    append: Duration,
    relay: Duration,
    handle: Duration,
    whole: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter("warn,sqlx=error").with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default| arguments.next().map_or(Ok(default), |text| text.parse::<usize>());
    let events = argument(100_000)?.next_multiple_of(ACCOUNTS);
    let rounds = argument(5)?;
    let servers = Servers::durable().await?;
    let mut report = Report::new(events);
    for number in 0..rounds {
        let round = round(&servers, number, events).await.with_context(|| format!("round {number}"))?;
        eprintln!("{round:?}");
        report.add(round);
    }
    print!("{report}");
    Ok(())
}

async fn round(servers: &Servers, number: usize, events: usize) -> anyhow::Result<Round> {
    let site = Site::open(servers, &format!("step_{number}")).await?;
    let append = timed(site.append(events)).await?;
    let relay = timed(site.relay()).await?;
    let handle = site.handle(events).await?;
    let copy = site.copy(events).await?;
    site.close(servers).await?;
    let site = Site::open(servers, &format!("whole_{number}")).await?;
    let whole = site.all_at_once(events).await?;
    site.close(servers).await?;
    Ok(Round { copy, append, relay, handle, whole })
}

async fn timed(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Duration> {
    let started = Instant::now();
    work.await?;
    Ok(started.elapsed())
}
