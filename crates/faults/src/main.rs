//! `./scripts/faults`: runs faults on systems of its own and prints a table of the results.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;
use faults::report::{HEAD, Row};
use faults::{FAULTS, Fault, Kind, Outcome, Site};
use system_tests::Random;

/// The rounds after which a fresh system replaces the present one: each round checks the whole history of its system. In a soak,
/// which has one system for its whole time, the rounds between two checks.
const ROUNDS: usize = 20;

/// Breaks a system under load, and checks its whole history after each fault.
#[derive(Parser)]
#[command(name = "faults")]
struct Arguments {
    /// The faults; all when none is named. `mix` picks one at random each round.
    names: Vec<String>,
    /// Lists the faults.
    #[arg(long)]
    list: bool,
    /// Repeats the random choices of a run.
    #[arg(long)]
    seed: Option<u64>,
    /// The number of rounds per fault.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The number of customers at the same time.
    #[arg(long, default_value_t = 6)]
    customers: u64,
    /// Runs the random mix on one system for this long instead, such as 2h.
    #[arg(long, value_parser = humantime::parse_duration)]
    soak: Option<Duration>,
    /// Writes the history and the logs of each round with findings beside this file: `a.json` stands for `a.r8.json` and
    /// `a.r8.order-1.log`.
    #[arg(long)]
    save: Option<std::path::PathBuf>,
    /// Also writes the history of rounds without findings.
    #[arg(long, requires = "save")]
    save_good: bool,
    /// Checks a history that `--save` wrote, and runs nothing.
    #[arg(long, exclusive = true)]
    check: Option<std::path::PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.list {
        for fault in FAULTS.iter().chain([&Fault::MIX]) {
            println!("{:24}{}", fault.name, fault.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &arguments.check {
        return check(file);
    }
    testkit::until_stopped(Box::pin(run(arguments))).await
}

/// Prints the contradictions of a saved history.
fn check(file: &std::path::Path) -> anyhow::Result<ExitCode> {
    let history = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let history = serde_json::from_slice(&history).with_context(|| format!("{}", file.display()))?;
    let found = checker::check(&history);
    for contradiction in &found {
        println!("{contradiction}");
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the chosen faults and prints their table.
async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let seed = arguments.seed.unwrap_or_else(|| u64::from(now.subsec_nanos()));
    eprintln!("seed {seed}; repeat the choices with --seed {seed}");
    let mut run = Run { seed, arguments, rounds: 0, site: None };
    println!("{HEAD}");
    let mut found = 0;
    for fault in run.chosen()? {
        let row = run.fault(&fault).await?;
        println!("{}", row.line(&fault));
        found += row.found();
    }
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Picks a fault that every system can take.
fn pick(random: &mut Random) -> Fault {
    loop {
        let fault = *random.pick(FAULTS);
        if fault.kind == Kind::Ordinary {
            return fault;
        }
    }
}

/// A run, with its present system.
struct Run {
    seed: u64,
    arguments: Arguments,
    rounds: usize,
    site: Option<Present>,
}

/// The present system.
struct Present {
    site: Site,
    /// The rounds on it so far.
    rounds: usize,
    /// The orders and records that it had at the last check.
    checked: (usize, usize),
}

impl Run {
    fn chosen(&self) -> anyhow::Result<Vec<Fault>> {
        if self.arguments.soak.is_some() {
            return Ok(vec![Fault::MIX]);
        }
        if self.arguments.names.is_empty() {
            return Ok(FAULTS.to_vec());
        }
        let find = |name: &String| {
            let found = FAULTS.iter().chain([&Fault::MIX]).find(|fault| fault.name == name);
            found.copied().with_context(|| format!("no fault is called {name}; --list names them"))
        };
        self.arguments.names.iter().map(find).collect()
    }

    async fn fault(&mut self, fault: &Fault) -> anyhow::Result<Row> {
        let (started, mut row) = (Instant::now(), Row::default());
        for round in 1.. {
            let is_last = match self.arguments.soak {
                Some(soak) => started.elapsed() >= soak,
                None => round >= self.arguments.rounds,
            };
            self.round(fault, is_last, &mut row).await?;
            if is_last {
                break;
            }
        }
        Ok(row)
    }

    /// Runs a round on the present system, or on a new one where that one does not fit.
    async fn round(&mut self, fault: &Fault, is_last: bool, row: &mut Row) -> anyhow::Result<()> {
        let is_soak = self.arguments.soak.is_some();
        let fits =
            |present: &Present| present.site.kind == fault.kind && (is_soak || present.rounds < ROUNDS);
        if !self.site.as_ref().is_some_and(fits) {
            // The old system ends before the new one begins.
            self.site = None;
            let site = Site::open(self.arguments.customers, fault.kind).await?;
            self.site = Some(Present { site, rounds: 0, checked: (0, 0) });
        }
        let Some(present) = &mut self.site else { bail!("no system runs") };
        (self.rounds, present.rounds) = (self.rounds + 1, present.rounds + 1);
        let mut random = Random::new(self.seed ^ (self.rounds as u64));
        let chosen = if fault.name == Fault::MIX.name { pick(&mut random) } else { *fault };
        eprintln!("round {}: {}", self.rounds, chosen.name);
        let checks = !is_soak || is_last || present.rounds.is_multiple_of(ROUNDS);
        let name = format!("r{}", self.rounds);
        let broken = async |site: &Site, random: &mut Random| chosen.run(site, random).await;
        let outcome = present.site.round(&name, broken, random.below(u64::MAX), checks).await?;
        eprintln!("  recovered after {:?}, idle after {:?}", outcome.recovery, outcome.idle);
        outcome.found.iter().for_each(|finding| eprintln!("  FOUND {finding}"));
        present.checked = row.add(&outcome, present.checked);
        let site = &present.site;
        Self::save(&self.arguments, self.rounds, site, &outcome)?;
        if !outcome.found.is_empty() {
            // The next round would find the same contradictions again.
            self.site = None;
        }
        Ok(())
    }

    /// Writes the history of a round to the file that `--save` names, and the logs of a round with findings beside it.
    fn save(arguments: &Arguments, round: usize, site: &Site, outcome: &Outcome) -> anyhow::Result<()> {
        let Some(file) = &arguments.save else { return Ok(()) };
        let of_round = |name: &str| file.with_extension(format!("r{round}.{name}"));
        let has_findings = !outcome.found.is_empty();
        if let Some(history) = outcome.history.as_ref().filter(|_| has_findings || arguments.save_good) {
            std::fs::write(of_round("json"), serde_json::to_vec(history)?)?;
        }
        if has_findings {
            for (process, log) in site.logs() {
                std::fs::write(of_round(&format!("{process}.log")), log)?;
            }
        }
        Ok(())
    }
}
