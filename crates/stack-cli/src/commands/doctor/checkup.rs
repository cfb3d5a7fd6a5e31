//! The checks without an order: the machine, the servers, the health of each service and its backlog.

use super::findings::{Doctor, TIMEOUT, fine, shortened};
use crate::screen::print;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use stack::backlog;
use stack::ready::Ready;
use std::collections::BTreeSet;
use std::time::Instant;
use time::OffsetDateTime;

/// The free disk space below which Kafka and Postgres may fail in the middle of a write.
const DISK_MIB: u64 = 1024;
/// The maximum clock skew: reservations, leases and links expire by the clock.
const CLOCK: time::Duration = time::Duration::seconds(2);

impl Doctor {
    /// Returns whether Kafka and Postgres answer.
    pub(super) async fn check_up(&mut self) -> anyhow::Result<bool> {
        self.disk()?;
        let postgres = self.postgres().await?;
        let kafka = self.kafka().await;
        for service in self.local.home.services()? {
            self.service(&service).await?;
            if postgres && kafka {
                // A failure of one service must not hide those of the others.
                if let Err(error) = self.queues(&service).await {
                    self.wrong(format_args!("{service}: {error}"));
                }
            }
        }
        Ok(postgres && kafka)
    }

    fn disk(&mut self) -> anyhow::Result<()> {
        let free = stack::home::free_mib(&self.local.home.data(""))?;
        if free < DISK_MIB {
            self.wrong(format_args!("only {free} MiB are free on the disk; at least {DISK_MIB} are needed"));
        } else {
            fine(format_args!("the disk has {} GiB left", free / 1024));
        }
        Ok(())
    }

    async fn postgres(&mut self) -> anyhow::Result<bool> {
        let url = self.local.postgres_url()?;
        if let Err(why) = Ready::Postgres(url.clone()).ask().await {
            self.wrong(format_args!("Postgres does not answer: {why}; ./scripts/start postgres"));
            return Ok(false);
        }
        let mut connection = PgConnection::connect(&url).await?;
        let server_time: OffsetDateTime =
            sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut connection).await?;
        connection.close().await?;
        let skew = OffsetDateTime::now_utc() - server_time;
        if skew.abs() > CLOCK {
            self.wrong(format_args!(
                "the clocks of this machine and of Postgres differ by {skew:.0}: synchronize them with NTP"
            ));
        } else {
            fine("Postgres answers, and its clock agrees with this machine's");
        }
        Ok(true)
    }

    async fn kafka(&mut self) -> bool {
        let brokers = self.local.brokers();
        match Ready::Kafka(brokers.clone()).ask().await {
            Ok(()) => {
                fine(format_args!("Kafka answers at {brokers}"));
                true
            }
            Err(why) => {
                self.wrong(format_args!("Kafka does not answer: {why}; ./scripts/start kafka"));
                false
            }
        }
    }

    /// Reports each failing check of `/health/ready`; retries for 5 s, since a service may have just been started.
    async fn service(&mut self, name: &str) -> anyhow::Result<()> {
        let url = format!("{}/health/ready", self.ops_url(name)?);
        let deadline = Instant::now() + TIMEOUT;
        let (bad, accepted) = loop {
            let Ok(answer) = self.client.get(&url).send().await else {
                self.wrong(format_args!(
                    "{name} does not answer at {url}: ./scripts/start {name}; ./scripts/logs {name} shows why it ended"
                ));
                return Ok(());
            };
            let answer = answer.json().await.unwrap_or_default();
            let bad = complaints(&answer);
            if bad.is_empty() || Instant::now() > deadline {
                break (bad, accepted(&answer));
            }
            tokio::time::sleep(TIMEOUT / 20).await;
        };
        if bad.is_empty() {
            fine(format_args!("{name} is ready and consumes its topics"));
        }
        for what in bad {
            self.wrong(format_args!("{name}: {what}"));
        }
        for what in accepted {
            print(format_args!("! {name}: {what}"));
        }
        Ok(())
    }

    /// Reports what piles up: unpublished outbox rows, unread records, dead letters.
    async fn queues(&mut self, service: &str) -> anyhow::Result<()> {
        let obstacles = self.obstacles(service).await?;
        // Compares two looks 1 s apart: an event in flight is no problem.
        let before = self.local.waiting(service).await?;
        if before.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(TIMEOUT / 5).await;
        let stuck = self.local.waiting(service).await?.into_iter().filter(|what| before.contains(what));
        let stuck = stuck.filter(|what| !obstacles.iter().any(|reported| what.ends_with(reported)));
        let (dead, unread): (Vec<_>, Vec<_>) = stuck.partition(|what| what.contains("dead letter"));
        for what in dead {
            self.wrong(format_args!(
                "{what}, and not decreasing; ./scripts/run {service} redrive --dry-run lists them"
            ));
        }
        if !unread.is_empty() {
            self.wrong(format_args!("{}; not decreasing", shortened(unread).join(", ")));
        }
        Ok(())
    }

    /// Reports the topics that the service cannot continue to read, with the command that helps. Returns the reasons.
    async fn obstacles(&mut self, service: &str) -> anyhow::Result<BTreeSet<&'static str>> {
        let url = self.local.service(service)?.access.migrate_database_url;
        let positions = backlog::positions(&url, &self.local.brokers(), &self.local.topic_prefix).await?;
        let found = positions.iter().filter_map(|position| Some((&position.topic, position.obstacle()?)));
        let mut reported = BTreeSet::new();
        for (topic, obstacle) in found.collect::<BTreeSet<_>>() {
            let (what, command) = obstacle.explain(service, topic);
            reported.insert(what);
            self.wrong(format_args!("{service}: topic {topic} {what}; ./scripts/run {command}"));
        }
        Ok(reported)
    }
}

/// Describes the failing checks in an answer of `/health/ready` (crates/chassis).
fn complaints(answer: &Value) -> Vec<String> {
    let checks = answer["checks"].as_object().into_iter().flatten();
    let bad = checks.filter(|(_, found)| found["ok"] != true);
    bad.map(|(check, found)| format!("{check}: {}", words(&found["detail"]))).collect()
}

/// Returns the promises that do not hold on this cluster, which its operator accepted.
fn accepted(answer: &Value) -> Vec<String> {
    let differences = answer["checks"]["topics"]["detail"].as_array().into_iter().flatten();
    differences.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn words(detail: &Value) -> String {
    let Some(fields) = detail.as_object() else {
        return detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
    };
    let stopped = detail["stopped"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut words: Vec<&str> = stopped.chain(detail["stuck"].as_str()).collect();
    if detail["reached"] == false {
        words.push("the service does not reach Kafka");
    } else if fields.contains_key("partitions") && detail["partitions"].is_null() {
        words.push("the service has not joined its consumer group yet");
    }
    if words.is_empty() { detail.to_string() } else { words.join("; ") }
}
