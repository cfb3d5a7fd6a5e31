//! The error that ended a producer for good. Without the right to write to any topic, each new producer ends with it, too.

use std::time::{Duration, Instant};

use crate::kafka::KafkaError;
use crate::settings::Settings;

/// The shortest time between two replacements because of the same error.
const AGAIN: Duration = Duration::from_secs(1);

/// How long an error that does not repeat itself counts as the reason why rows wait.
const LASTS: Duration = Duration::from_secs(10);

/// The fatal error of the last producer, until Kafka acknowledges a row.
#[derive(Debug, Default)]
pub(super) struct Fatal(Option<(String, Instant)>);

impl Fatal {
    /// Notes the error, logs it when it is another one than the last, and returns whether the producer must be replaced now.
    pub(super) fn note(&mut self, error: &KafkaError, settings: &Settings) -> bool {
        let why = error.explain(settings);
        let is_known = self.text().is_some_and(|last| *last == why);
        if is_known && self.0.as_ref().is_some_and(|(_, noted)| noted.elapsed() < AGAIN) {
            return false;
        }
        if !is_known {
            tracing::error!("the Kafka producer cannot continue; creating a new one: {why}");
        }
        self.0 = Some((why, Instant::now()));
        true
    }

    /// Forgets the error, because Kafka acknowledged a row.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Returns the error, and what to check.
    pub(super) fn text(&self) -> Option<&String> {
        self.0.as_ref().filter(|(_, noted)| noted.elapsed() < LASTS).map(|(why, _)| why)
    }
}
