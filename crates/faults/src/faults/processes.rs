//! Faults of the services' processes.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use system_tests::{Random, WrongClock};
use testkit::Daemon;
use tokio::time::sleep;

use super::between;
use crate::site::{STOPPING, Site};

/// The points of the broker at which a process can be held (`PAUSE_AT`, debug builds).
const POINTS: [&str; 4] = ["consumer.received", "consumer.applied", "consumer.committed", "relay.fetched"];
const HOUR: i64 = 3600;

pub(super) async fn kill(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let daemon = site.any(random);
    daemon.kill();
    site.interrupt();
    between(random, 0, 2_000).await;
    Ok(daemon.start().await?)
}

pub(super) async fn kill_all(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let daemons = || site.services().into_iter().map(|service| site.shop.system.service(&service));
    daemons().for_each(Daemon::kill);
    site.interrupt();
    between(random, 0, 1_000).await;
    daemons().try_for_each(Daemon::spawn)?;
    for daemon in daemons() {
        daemon.wait_ready().await?;
    }
    Ok(())
}

pub(super) async fn pause_point(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let (daemon, point) = (site.any(random), *random.pick(&POINTS));
    daemon.kill();
    site.interrupt();
    let before = daemon.output().len();
    daemon.spawn_with(&[("PAUSE_AT", point.to_owned())])?;
    // Without events for this service, the point is not reached; then the kill has no special moment.
    let (started, reached) = (Instant::now(), format!("paused at test point {point};"));
    loop {
        let output = daemon.output();
        // A large log is renamed at the start.
        let new = output.get(before..).unwrap_or(&output);
        if new.contains(&reached) || started.elapsed() > Duration::from_secs(8) {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    daemon.kill();
    site.interrupt();
    Ok(daemon.start().await?)
}

pub(super) async fn second_instance(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let service = site.any_service(random);
    let (first, second) = (site.shop.system.service(&service), site.second(&service));
    second.start().await?;
    between(random, 500, 4_000).await;
    let (killed, other) = if random.below(2) == 0 { (first, second) } else { (second, first) };
    killed.kill();
    site.interrupt();
    between(random, 0, 3_000).await;
    first.start().await?;
    if other.name() == second.name() {
        other.stop(STOPPING).await;
    } else {
        killed.clean_up();
    }
    Ok(())
}

pub(super) async fn freeze(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let daemon = site.any(random);
    daemon.freeze();
    site.interrupt();
    between(random, 500, 12_000).await;
    daemon.thaw();
    Ok(daemon.wait_ready().await?)
}

pub(super) async fn freeze_beside(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let service = site.any_service(random);
    let (first, second) = (site.shop.system.service(&service), site.second(&service));
    second.start().await?;
    between(random, 500, 2_000).await;
    first.freeze();
    site.interrupt();
    between(random, 5_000, 12_000).await;
    first.thaw();
    first.wait_ready().await?;
    second.stop(STOPPING).await;
    Ok(())
}

pub(super) async fn rolling_restart(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    for service in site.services() {
        let (first, second) = (site.shop.system.service(&service), site.second(&service));
        second.start().await?;
        between(random, 0, 500).await;
        first.stop(STOPPING).await;
        first.start().await?;
        second.stop(STOPPING).await;
    }
    Ok(())
}

pub(super) async fn clock(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let daemon = site.any(random);
    let clock = WrongClock::ahead_by(0);
    let environment = clock.environment();
    daemon.stop(STOPPING).await;
    daemon.spawn_with(&environment)?;
    daemon.wait_ready().await?;
    for shift in [HOUR, 0, -HOUR, 0] {
        clock.set_ahead_by(shift);
        between(random, 500, 2_500).await;
    }
    daemon.stop(STOPPING).await;
    daemon.start().await.context("with the right clock")
}
