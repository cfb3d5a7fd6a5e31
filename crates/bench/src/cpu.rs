//! CPU time of the measured processes, and of everything else on the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use procfs::{CurrentSI as _, KernelStats, process};

/// CPU seconds since the start of a measurement.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Used {
    /// By name of the process, its descendants included.
    pub by_process: BTreeMap<String, f64>,
    /// By this program and its descendants: the load driver.
    pub driver: f64,
    /// The share of the machine's CPU that all other processes used.
    pub others_share: f64,
}

impl Used {
    /// The CPU seconds of all measured processes.
    pub fn total(&self) -> f64 {
        self.by_process.values().sum()
    }
}

/// A measurement of the CPU time of processes.
pub struct Meter {
    pids: Vec<(String, i32)>,
    started: Instant,
    before: Snapshot,
}

struct Snapshot {
    by_process: BTreeMap<String, f64>,
    driver: f64,
    machine: f64,
}

impl Meter {
    /// Starts to measure these processes, given by name and process id.
    pub fn start(pids: Vec<(String, i32)>) -> anyhow::Result<Self> {
        let before = snapshot(&pids)?;
        Ok(Self { pids, started: Instant::now(), before })
    }

    /// Returns the CPU time since the start.
    pub fn used(&self) -> anyhow::Result<Used> {
        let now = snapshot(&self.pids)?;
        let by_process: BTreeMap<String, f64> = now
            .by_process
            .into_iter()
            .map(|(name, seconds)| {
                let before = self.before.by_process.get(&name).copied().unwrap_or(0.0);
                (name, seconds - before)
            })
            .collect();
        let driver = now.driver - self.before.driver;
        let others = now.machine - self.before.machine - driver - by_process.values().sum::<f64>();
        let available = self.started.elapsed().as_secs_f64() * cores();
        Ok(Used { by_process, driver, others_share: (others / available).max(0.0) })
    }
}

/// Waits until other processes use less than a tenth of the CPU, at most for `limit`. Returns their last share.
pub async fn quiet(pids: Vec<(String, i32)>, limit: Duration) -> anyhow::Result<f64> {
    let deadline = Instant::now() + limit;
    loop {
        let meter = Meter::start(pids.clone())?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let share = meter.used()?.others_share;
        if share < 0.1 || Instant::now() > deadline {
            return Ok(share);
        }
    }
}

/// The largest resident memory that one of these processes has had, in MB, and its name.
pub fn peak_memory(pids: &[(String, i32)]) -> (u64, String) {
    let peak = |(name, pid): &(String, i32)| {
        let status = process::Process::new(*pid).ok()?.status().ok()?;
        Some((status.vmhwm? / 1024, name.clone()))
    };
    pids.iter().filter_map(peak).max().unwrap_or_default()
}

fn snapshot(pids: &[(String, i32)]) -> anyhow::Result<Snapshot> {
    let ticks = procfs::ticks_per_second() as f64;
    let stats: Vec<process::Stat> = process::all_processes()
        .context("listing the processes")?
        .filter_map(|process| process.ok()?.stat().ok())
        .collect();
    let seconds = |root: i32| {
        let mut tree = BTreeSet::from([root]);
        // Process ids are not sorted by age, so parents are searched until no descendant is added.
        while stats.iter().any(|stat| tree.contains(&stat.ppid) && tree.insert(stat.pid)) {}
        let in_tree = stats.iter().filter(|stat| tree.contains(&stat.pid));
        in_tree.map(|stat| own(stat) + dead_children(stat)).sum::<f64>() / ticks
    };
    let by_process: BTreeMap<String, f64> =
        pids.iter().map(|(name, pid)| (name.clone(), seconds(*pid))).collect();
    // The servers and services are children of this program.
    let children: f64 = by_process.values().sum();
    let me = i32::try_from(std::process::id())?;
    let driver = seconds(me) - children;
    let cpu = KernelStats::current().context("reading the CPU time of the machine")?.total;
    let busy = cpu.user + cpu.nice + cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0);
    Ok(Snapshot { by_process, driver, machine: busy as f64 / ticks })
}

fn own(stat: &process::Stat) -> f64 {
    (stat.utime + stat.stime) as f64
}

fn dead_children(stat: &process::Stat) -> f64 {
    (stat.cutime + stat.cstime) as f64
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}
