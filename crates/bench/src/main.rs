//! `./scripts/bench`: measures the system under load on servers of its own, as ratios against what Postgres, Kafka and
//! SMTP do on the same machine in the same minutes. Prints a table and writes docs/bench.{json,md,svg}.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures of a benchmark"
)]

mod extra;
mod figure;
mod hop;
mod pgbench;
mod phases;
mod report;
mod smtp;
mod sustain;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use testkit::Servers;

use bench::shop::Shop;
use report::Results;

/// Measures the system under load.
#[derive(Debug, Parser)]
struct Options {
    /// Short loads, and only the figures of one system: under 5 minutes, less exact
    #[arg(long)]
    quick: bool,
    /// Writes the report into this folder; without it, only prints the table
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Measures only these phases: accepted, sustained (and with it CPU, latency, drain), fan-out, growth, instances, broker
    #[arg(long, value_name = "PHASE", value_delimiter = ',')]
    only: Vec<String>,
    /// The rate at which the search for the sustained rate begins, in orders per second
    #[arg(long, value_name = "N", default_value = "200")]
    first_rate: f64,
    /// Only loads a system at this rate, in orders per second, and prints CPU per order and latency: to profile it
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// The number of orders in the tables for the figure `growth`
    #[arg(long, value_name = "N", default_value = "5000000")]
    orders: i64,
}

/// The lengths of the loads.
#[derive(Debug)]
pub(crate) struct Lengths {
    /// Pairs of pgbench and closed load.
    rounds: usize,
    floor: Duration,
    closed: Duration,
    /// A load of the search for the sustained rate.
    step: Duration,
    /// The load that confirms the rate found.
    confirm: Duration,
    /// The load at half the sustained rate.
    half: Duration,
    /// The load while all consumers are stopped.
    outage: Duration,
    first_rate: f64,
}

impl Lengths {
    fn of(options: &Options) -> Self {
        let seconds = |quick: u64, whole: u64| Duration::from_secs(if options.quick { quick } else { whole });
        Self {
            rounds: if options.quick { 2 } else { 4 },
            floor: seconds(5, 10),
            closed: seconds(5, 15),
            step: seconds(8, 15),
            confirm: seconds(20, 120),
            half: seconds(15, 60),
            outage: seconds(15, 120),
            first_rate: options.first_rate,
        }
    }
}

impl Options {
    fn wants(&self, phase: &str) -> bool {
        let in_quick = matches!(phase, "accepted" | "sustained");
        if self.only.is_empty() {
            !self.quick || in_quick
        } else {
            self.only.iter().any(|name| name == phase)
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    testkit::until_stopped(Box::pin(measure(Options::parse()))).await
}

async fn measure(options: Options) -> anyhow::Result<()> {
    let (lengths, mut results) = (Lengths::of(&options), Results::default());
    let servers = Arc::new(Servers::durable().await?);
    if let Some(rate) = options.rate {
        return phases::steady(&Shop::open(&servers, 1).await?, rate, lengths.half).await;
    }
    one_system(&options, &servers, &lengths, &mut results).await?;
    if options.wants("fan-out") {
        extra::fan_out(&servers, &mut results).await?;
    }
    if options.wants("broker") {
        extra::broker(&mut results).await?;
    }
    println!("{}", results.table());
    if results.is_noisy() {
        println!("Other processes used so much of the CPU that these figures cannot be trusted.");
    }
    if let Some(folder) = &options.write {
        results.write(folder)?;
    }
    Ok(())
}

/// The phases on one system, and those that compare with its sustained rate.
async fn one_system(
    options: &Options,
    servers: &Arc<Servers>,
    lengths: &Lengths,
    results: &mut Results,
) -> anyhow::Result<()> {
    if !["accepted", "sustained", "growth", "instances"].iter().any(|phase| options.wants(phase)) {
        return Ok(());
    }
    let shop = Shop::open(servers, 1).await?;
    if options.wants("accepted") {
        phases::accepted(&shop, servers, lengths, results).await?;
    }
    let mut rate = lengths.first_rate;
    if options.wants("sustained") {
        rate = phases::sustained(&shop, servers, lengths, results).await?;
        phases::latency(&shop, servers, rate, lengths, results).await?;
        phases::drain(&shop, rate, lengths, results).await?;
    }
    if options.wants("growth") {
        extra::growth(&shop, servers, rate / 2.0, options.orders, lengths, results).await?;
    }
    drop(shop);
    if options.wants("instances") {
        extra::two_instances(servers, rate, lengths, results).await?;
    }
    Ok(())
}
