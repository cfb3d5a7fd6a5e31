//! The common parts of the benchmark and the comparison with a synchronous chain: load on `POST /orders`, latencies, CPU time, and
//! the system under test.

#![expect(clippy::cast_precision_loss, reason = "figures of a benchmark")]
#![expect(missing_docs, reason = "figures are named as what they measure")]

pub mod client;
pub mod cpu;
pub mod latency;
pub mod load;
pub mod shop;

use std::path::Path;

use anyhow::Context as _;

/// The share of the CPU that other processes may use before a run counts as too noisy.
pub const NOISY: f64 = 0.15;

/// Writes a file of a report into the folder `docs`.
pub fn write(docs: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = docs.join(name);
    std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

/// The system, the cores and the memory of this machine.
pub fn machine() -> String {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory =
        memory.map_or(String::new(), |kib| format!(", {:.0} GiB of memory", kib / f64::from(1 << 20)));
    format!("{} {}, {cores} cores{memory}", std::env::consts::OS, std::env::consts::ARCH)
}
