//! Metrics for Prometheus. Every crate counts with the `metrics` macros; this module stores the values and renders them,
//! together with the process's own (memory, CPU, open files).

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio_util::sync::CancellationToken;

/// Buckets in seconds, from a local acknowledgement to a gateway's time-out.
const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Buckets of batch sizes: records or requests in one transaction.
const BATCH: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

#[derive(Clone)]
pub(crate) struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("batch_size".to_owned()), &BATCH)
}

/// Installs the recorder of metrics for the whole process.
pub(crate) fn install() -> Result<Metrics, BuildError> {
    let handle = builder()?.install_recorder()?;
    let process = Collector::default();
    process.describe();
    broker::describe_metrics();
    Ok(Metrics { handle, process })
}

impl Metrics {
    /// Renders all metrics in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Bounds the memory of histograms between two scrapes, until `stop`.
    pub(crate) async fn upkeep(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(Duration::from_secs(5));
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_batches_are_histograms() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("http_request_seconds", "method" => "GET").record(0.003);
            metrics::histogram!("consumer_batch_size").record(3);
        });
        let text = recorder.handle().render();
        assert!(text.contains(r#"http_request_seconds_bucket{method="GET",le="0.005"} 1"#), "{text}");
        assert!(text.contains(r#"consumer_batch_size_bucket{le="5"} 1"#), "{text}");
    }
}
