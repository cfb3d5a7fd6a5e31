//! Faults of Kafka and of the network to it.

use std::time::Duration;

use anyhow::Context as _;
use system_tests::Random;
use tokio::time::sleep;

use super::between;
use crate::proxy::Mode;
use crate::site::Site;

pub(super) async fn kill(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    site.shop.system.kafka().kill();
    between(random, 0, 3_000).await;
    Ok(site.shop.system.kafka().start().await?)
}

pub(super) async fn freeze(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    site.shop.system.kafka().freeze();
    between(random, 1_000, 12_000).await;
    site.shop.system.kafka().thaw();
    Ok(())
}

pub(super) async fn slow(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let mode = Mode::Delay(Duration::from_millis(20 + random.below(180)));
    site.kafka()?.set_for(mode, Duration::from_secs(5)).await;
    Ok(())
}

pub(super) async fn cut(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    for _ in 0..8 {
        site.kafka()?.set(Mode::Cut);
        between(random, 1, 200).await;
        site.kafka()?.set(Mode::Pass);
        between(random, 1, 600).await;
    }
    Ok(())
}

pub(super) async fn one_way(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    site.kafka()?.set(*random.pick(&[Mode::HoldRequests, Mode::HoldAnswers]));
    between(random, 2_000, 10_000).await;
    site.kafka()?.set(Mode::Pass);
    Ok(())
}

pub(super) async fn disk_full(site: &Site, _: &mut Random) -> anyhow::Result<()> {
    let [disk, _] = site.disks.as_ref().context("no disk to fill")?;
    disk.fill()?;
    sleep(Duration::from_secs(3)).await;
    disk.free()?;
    // Kafka ends when it cannot write its log; its operator starts it again.
    Ok(site.shop.system.kafka().start().await?)
}
