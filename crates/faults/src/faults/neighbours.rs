//! Faults of the payment gateway and of the mail server.

use std::time::Duration;

use anyhow::ensure;
use reqwest::Method;
use serde_json::json;
use system_tests::{Random, Reaction};
use tokio::time::sleep;

use super::between;
use crate::site::Site;

async fn gateway(site: &Site, latency_ms: u64, outage: bool) -> anyhow::Result<()> {
    let put = site.request(Method::PUT, "payment", "/gateway");
    let put = site.shop.operator(put).json(&json!({"latency_ms": latency_ms, "outage": outage}));
    let answer = put.send().await?;
    ensure!(answer.status().is_success(), "PUT /gateway: {}", answer.status());
    Ok(())
}

pub(super) async fn gateway_outage(site: &Site, _: &mut Random) -> anyhow::Result<()> {
    gateway(site, 0, true).await?;
    sleep(Duration::from_secs(4)).await;
    gateway(site, 0, false).await
}

pub(super) async fn gateway_slow(site: &Site, _: &mut Random) -> anyhow::Result<()> {
    gateway(site, 3_000, false).await?;
    sleep(Duration::from_secs(5)).await;
    gateway(site, 0, false).await
}

async fn mail(site: &Site, reaction: Reaction, random: &mut Random) -> anyhow::Result<()> {
    site.inbox.react(reaction);
    site.interrupt();
    between(random, 3_000, 5_000).await;
    site.inbox.react(Reaction::Accept);
    Ok(())
}

pub(super) async fn mail_refuses(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    mail(site, Reaction::Reject, random).await
}

pub(super) async fn mail_silent(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    mail(site, Reaction::Silent, random).await
}

pub(super) async fn mail_late(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    site.inbox.slow(Duration::from_secs(2));
    between(random, 3_000, 5_000).await;
    site.inbox.slow(Duration::ZERO);
    Ok(())
}
