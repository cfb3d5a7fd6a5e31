//! History that is rewritten: a database from an older copy, records that are deleted unread, a topic that is created again.
//! Each is repaired as the documentation tells an operator (docs/restore.md, docs/broker.md), and then nothing is missing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use checker::tables::Position;
use envelope::{Cleanup, Topic};
use events::{CUSTOMERS, ORDERS, PAYMENTS, PRODUCTS, RESERVATIONS, STOCK};
use system_tests::Random;
use tokio::time::sleep;

use super::between;
use crate::site::{STOPPING, Site};

/// The services whose events and rows bring everything back. After a restore of notification, unsubscriptions are missing
/// (docs/restore.md).
const RESTORED: [&str; 3] = ["order", "payment", "inventory"];
const TOPICS: [Topic; 6] = [ORDERS, PAYMENTS, RESERVATIONS, STOCK, PRODUCTS, CUSTOMERS];
/// The time within which a service reports what happened, or is idle.
const WITHIN: Duration = Duration::from_mins(1);

pub(super) async fn restore(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let (system, service) = (&site.shop.system, *random.pick(&RESTORED));
    let daemon = system.service(service);
    daemon.stop(STOPPING).await;
    system.back_up(service).await?;
    daemon.start().await?;
    between(random, 1_000, 5_000).await;
    {
        // A lost database takes the events with it that it had not published yet; no repair brings those back.
        let _held = site.hold_load().await;
        idle(site).await?;
        daemon.stop(STOPPING).await;
        system.restore(service).await?;
        daemon.spawn()?;
    }
    wait_until_reported(site, service, "ready", "restored --dry-run").await?;
    between(random, 0, 2_000).await;
    daemon.stop(STOPPING).await;
    run(site, service, &["restored"]).await?;
    Ok(daemon.start().await?)
}

pub(super) async fn retention(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let topic = *random.pick(&[ORDERS, PAYMENTS, RESERVATIONS]);
    let service = random.pick(&readers(site, topic).await?).clone();
    let (daemon, stopped) = (site.shop.system.service(&service), Instant::now());
    daemon.kill();
    site.interrupt();
    between(random, 1_000, 4_000).await;
    let _held = site.hold_load().await;
    let unread = all_but_one_idle(site, &service).await?;
    site.keep_records(topic.name, false).await?;
    testkit::topics::delete_records(site.shop.system.brokers(), &site.shop.system.topic(topic.name)).await?;
    let since = format!("{}s", stopped.elapsed().as_secs() + 5);
    // Before the service reads later events of the same keys.
    run(site, topic.owner, &["republish", topic.name, "--since", &since]).await?;
    daemon.start().await?;
    if unread.contains(topic.name) {
        wait_until_reported(site, &service, "consuming", topic.name).await?;
        run(site, &service, &["rewind", topic.name, "--to", "beginning"]).await?;
    }
    Ok(())
}

pub(super) async fn recreate(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let (system, topic) = (&site.shop.system, *random.pick(&TOPICS));
    let readers = readers(site, topic).await?;
    {
        let _held = site.hold_load().await;
        idle(site).await?;
        site.keep_records(topic.name, true).await?;
        stack::topics::delete(system.brokers(), "", &[system.topic(topic.name)]).await?;
        run(site, topic.owner, &["migrate"]).await?;
        for service in &readers {
            wait_until_reported(site, service, "consuming", topic.name).await?;
        }
    }
    between(random, 0, 2_000).await;
    if topic.cleanup == Cleanup::Compact {
        run(site, topic.owner, &["republish", topic.name]).await?;
    }
    for service in &readers {
        run(site, service, &["rewind", topic.name, "--to", "beginning"]).await?;
    }
    Ok(())
}

/// The services that read a topic.
async fn readers(site: &Site, topic: Topic) -> anyhow::Result<Vec<String>> {
    let mut readers = Vec::new();
    for service in site.services() {
        let topics = stack::backlog::topics(site.shop.system.database_url(&service)).await?;
        if topics.iter().any(|name| name == topic.name) {
            readers.push(service);
        }
    }
    Ok(readers)
}

async fn run(site: &Site, service: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = site.shop.system.command(service);
    // `migrate` changes the schema, which the service's own role may not.
    command.env("MIGRATE_DATABASE_URL", site.shop.system.database_url(service));
    let output = command.args(arguments).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{service} {arguments:?} failed: {stdout}{stderr}");
    Ok(())
}

/// Waits until the system has nothing to do.
async fn idle(site: &Site) -> anyhow::Result<()> {
    let (_, left) = site.quiesce().await?;
    ensure!(left.is_empty(), "not idle before the fault: {left:?}");
    Ok(())
}

/// Waits until all services but one have published and read everything. Returns the topics of which that one has records to
/// read.
async fn all_but_one_idle(site: &Site, stopped: &str) -> anyhow::Result<BTreeSet<String>> {
    let is_read = |position: &&Position| position.end == Some(position.next_offset.max(0));
    let started = Instant::now();
    let mut before = None;
    while started.elapsed() < WITHIN {
        let looked = site.look().await?;
        let mut others = looked.tables.brokers.iter().filter(|(service, _)| *service != stopped);
        let is_idle = others.all(|(_, broker)| {
            broker.outbox.is_empty() && broker.positions.iter().all(|position| is_read(&position))
        });
        // Twice the same: no event was between two services that were read one after the other.
        let now = crate::collect::progress(&looked);
        if is_idle && before.as_ref() == Some(&now) {
            let positions =
                looked.tables.brokers.get(stopped).into_iter().flat_map(|broker| &broker.positions);
            let unread = positions.filter(|position| !is_read(position));
            return Ok(unread.map(|position| position.topic.clone()).collect());
        }
        before = is_idle.then_some(now);
        sleep(Duration::from_millis(200)).await;
    }
    bail!("the services beside {stopped} are not idle in time")
}

/// Waits until a health check of a service fails with a message that contains `text`.
async fn wait_until_reported(site: &Site, service: &str, check: &str, text: &str) -> anyhow::Result<()> {
    let (started, mut last) = (Instant::now(), String::new());
    while started.elapsed() < WITHIN {
        if let Some((status, report)) = site.shop.health(service, 1, check).await {
            last = report.to_string();
            if status == 503 && last.contains(text) {
                return Ok(());
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!("{service} does not report {text:?} in time; it says: {last}")
}
