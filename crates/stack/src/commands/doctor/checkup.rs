//! What can be seen without an order: the machine, the servers, and what each service says of itself.

use super::{Doctor, PATIENCE, fine, shortened};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use stack::ready::Ready;
use stack::settled;
use std::collections::BTreeSet;
use std::time::Instant;
use time::OffsetDateTime;

/// With less, Kafka and Postgres may stop in the middle of a write.
const DISK_MIB: u64 = 1024;
/// Reservations, leases and links live by the clock.
const CLOCK: time::Duration = time::Duration::seconds(2);

impl Doctor {
    /// Returns whether Kafka and Postgres answer.
    pub(super) async fn check_up(&mut self) -> anyhow::Result<bool> {
        self.disk()?;
        let postgres = self.postgres().await?;
        let kafka = self.kafka().await;
        for service in self.home.services()? {
            self.service(&service).await?;
            if postgres && kafka {
                // What is wrong with one must not hide the others.
                if let Err(error) = self.queues(&service).await {
                    self.wrong(format_args!("{service}: {error}"));
                }
            }
        }
        Ok(postgres && kafka)
    }

    fn disk(&mut self) -> anyhow::Result<()> {
        let free = stack::home::free_mib(&self.home.data(""))?;
        if free < DISK_MIB {
            self.wrong(format_args!("only {free} MiB are free on the disk; at least {DISK_MIB} are needed"));
        } else {
            fine(format_args!("the disk has {} GiB left", free / 1024));
        }
        Ok(())
    }

    async fn postgres(&mut self) -> anyhow::Result<bool> {
        let url = self.local.postgres_url(&self.home)?;
        if let Err(why) = Ready::Postgres(url.clone()).ask().await {
            self.wrong(format_args!("Postgres does not answer: {why}; ./scripts/start postgres"));
            return Ok(false);
        }
        let mut connection = PgConnection::connect(&url).await?;
        let theirs: OffsetDateTime =
            sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut connection).await?;
        connection.close().await?;
        let off = OffsetDateTime::now_utc() - theirs;
        if off.abs() > CLOCK {
            self.wrong(format_args!(
                "the clocks of this machine and of Postgres' differ by {off:.0}: set them by NTP"
            ));
        } else {
            fine("Postgres answers, and its clock is ours");
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

    /// What it says at its ops port, check by check; one that has just been started gets a moment.
    async fn service(&mut self, name: &str) -> anyhow::Result<()> {
        let url = format!("{}/health/ready", self.ops_url(name)?);
        let deadline = Instant::now() + PATIENCE;
        let bad = loop {
            let Ok(answer) = self.client.get(&url).send().await else {
                self.wrong(format_args!(
                    "{name} does not answer at {url}: ./scripts/start {name}; why it ended: ./scripts/logs {name}"
                ));
                return Ok(());
            };
            let bad = complaints(&answer.json().await.unwrap_or_default());
            if bad.is_empty() || Instant::now() > deadline {
                break bad;
            }
            tokio::time::sleep(PATIENCE / 20).await;
        };
        if bad.is_empty() {
            fine(format_args!("{name} is ready and reads its topics"));
        }
        for what in bad {
            self.wrong(format_args!("{name}: {what}"));
        }
        Ok(())
    }

    /// What piles up: an outbox that is not published, records that are not read, dead letters.
    async fn queues(&mut self, service: &str) -> anyhow::Result<()> {
        let obstacles = self.obstacles(service).await?;
        // Twice: what is on its way just now is no trouble.
        let before = self.waiting(service).await?;
        if before.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(PATIENCE / 5).await;
        let stuck = self.waiting(service).await?.into_iter().filter(|what| before.contains(what));
        let stuck = stuck.filter(|what| !obstacles.iter().any(|told| what.ends_with(told)));
        let (dead, unread): (Vec<_>, Vec<_>) = stuck.partition(|what| what.contains("dead letter"));
        for what in dead {
            self.wrong(format_args!(
                "{what}, and it does not get less; see what they are: ./scripts/run {service} redrive --dry-run"
            ));
        }
        if !unread.is_empty() {
            self.wrong(format_args!("{}; it does not get less", shortened(unread).join(", ")));
        }
        Ok(())
    }

    /// Topics that it cannot read on in, and the command that helps.
    async fn obstacles(&mut self, service: &str) -> anyhow::Result<BTreeSet<&'static str>> {
        let url = self.local.service(&self.home, service)?.access.migrate_database_url;
        let positions = settled::positions(&url, &self.local.brokers(), &self.local.topic_prefix).await?;
        let found = positions.iter().filter_map(|position| Some((&position.topic, position.obstacle()?)));
        let mut told = BTreeSet::new();
        for (topic, obstacle) in found.collect::<BTreeSet<_>>() {
            let (what, command) = obstacle.explain(service, topic);
            told.insert(what);
            self.wrong(format_args!("{service}: topic {topic} {what}; ./scripts/run {command}"));
        }
        Ok(told)
    }

    pub(super) async fn waiting(&self, service: &str) -> anyhow::Result<Vec<String>> {
        let url = self.local.service(&self.home, service)?.access.migrate_database_url;
        Ok(settled::look(service, &url, &self.local.brokers(), &self.local.topic_prefix).await?.waiting)
    }
}

/// What a service finds wrong, in words: `/health/ready` as crates/chassis answers it.
fn complaints(said: &Value) -> Vec<String> {
    let checks = said["checks"].as_object().into_iter().flatten();
    let bad = checks.filter(|(_, found)| found["ok"] != true);
    bad.map(|(check, found)| format!("{check}: {}", words(&found["detail"]))).collect()
}

fn words(detail: &Value) -> String {
    let Some(fields) = detail.as_object() else {
        return detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
    };
    let stopped = detail["stopped"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut words: Vec<&str> = stopped.chain(detail["stuck"].as_str()).collect();
    if detail["reached"] == false {
        words.push("Kafka does not answer it");
    } else if fields.contains_key("partitions") && detail["partitions"].is_null() {
        words.push("it has not been let into its group yet");
    }
    if words.is_empty() { detail.to_string() } else { words.join("; ") }
}
