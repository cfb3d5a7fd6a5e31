//! `./scripts/domino`: the event-driven shop and the synchronous chain under the same load and the same faults, one after the
//! other on the same machine.

#![expect(clippy::cast_precision_loss, reason = "figures of a measurement")]

mod plot;
mod report;
mod scenario;
mod side;
mod timeline;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench::load::{self, Rate};
use clap::Parser;
use testkit::Servers;

use scenario::Run;
use side::{Kind, Side};

/// Compares the event-driven shop with a synchronous chain.
#[derive(Debug, Parser)]
struct Options {
    /// Short faults, one chain and one rate: under 3 minutes
    #[arg(long)]
    quick: bool,
    /// Writes docs/domino.json, .md and .svg into this folder
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// The rate in orders per second, instead of half of what the chain sustains when healthy
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
}

/// The lengths of a run's parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    /// The load by which the sustained rate of the chain is found.
    probe: Duration,
    /// A fault.
    fault: Duration,
    /// The load that goes on after a fault.
    after: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    testkit::until_stopped(Box::pin(measure(Options::parse()))).await
}

async fn measure(options: Options) -> anyhow::Result<()> {
    let seconds = |quick, whole| Duration::from_secs(if options.quick { quick } else { whole });
    let lengths = Lengths { probe: seconds(4, 10), fault: seconds(6, 20), after: seconds(4, 7) };
    let programs = std::env::current_exe()?.parent().context("this program has a folder")?.to_owned();
    let servers = Arc::new(Servers::durable().await?);
    let mut runs: Vec<Run> = Vec::new();
    let chains: &[Kind] = if options.quick { &[Kind::Chain] } else { &[Kind::Chain, Kind::ChainWithBreaker] };
    let mut rate = options.rate;
    for kind in chains {
        runs.push(one(*kind, &servers, &programs, &mut rate, &lengths).await?);
    }
    runs.insert(0, one(Kind::Events, &servers, &programs, &mut rate, &lengths).await?);
    // The event-driven shop may sustain more than the chain: then both are shown at half of that, too, with shorter faults.
    let shorter = Lengths { fault: lengths.fault / 2, after: lengths.after / 2, ..lengths };
    let higher = (runs[0].sustained / 2.0).floor();
    if !options.quick && options.rate.is_none() && higher > runs[0].rate {
        for kind in [Kind::Events, Kind::Chain] {
            runs.push(one(kind, &servers, &programs, &mut Some(higher), &shorter).await?);
        }
    }
    println!("{}", report::tables(&runs));
    if report::is_noisy(&runs) {
        println!("Other processes used so much of the CPU that these figures cannot be trusted.");
    }
    if let Some(folder) = &options.write {
        report::write(&runs, folder)?;
    }
    anyhow::ensure!(report::holds(&runs), "the event-driven shop did not keep its promises; see the table");
    Ok(())
}

/// Runs all faults on one system. The first one finds the rate.
async fn one(
    kind: Kind,
    servers: &Arc<Servers>,
    programs: &Path,
    rate: &mut Option<f64>,
    lengths: &Lengths,
) -> anyhow::Result<Run> {
    println!("\nstarting: {}", kind.title());
    let mut side = Side::start(kind, servers, programs).await?;
    // Also warms up connections and caches.
    let begin = Instant::now();
    let probe = load::run(&side.address(), Rate::Closed, lengths.probe).await;
    scenario::until_final(&side, Instant::now()).await?;
    let sustained = probe.accepted.len() as f64 / begin.elapsed().as_secs_f64();
    println!("{}: {sustained:.0} orders per second with 64 connections, to the final state", kind.title());
    let rate = *rate.get_or_insert((sustained / 2.0).floor());
    let run = scenario::run(&mut side, kind, (rate, sustained), servers, lengths).await?;
    if let Side::Events(shop) = &side {
        // As every system test does: fails on dead letters, and while anything waits.
        shop.system.quiesce().await?;
    }
    Ok(run)
}
