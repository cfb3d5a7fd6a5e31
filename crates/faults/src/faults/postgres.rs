//! Faults of Postgres and of the network to it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use system_tests::Random;
use tokio::time::sleep;

use super::between;
use crate::proxy::Mode;
use crate::site::Site;

pub(super) async fn kill(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    site.shop.system.postgres().kill();
    site.interrupt();
    between(random, 0, 3_000).await;
    Ok(site.shop.system.postgres().start().await?)
}

pub(super) async fn freeze(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    site.shop.system.postgres().freeze();
    site.interrupt();
    between(random, 1_000, 8_000).await;
    site.shop.system.postgres().thaw();
    Ok(())
}

pub(super) async fn cut(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    for _ in 0..8 {
        site.postgres()?.set(Mode::Cut);
        site.interrupt();
        between(random, 1, 200).await;
        site.postgres()?.set(Mode::Pass);
        between(random, 1, 600).await;
    }
    Ok(())
}

pub(super) async fn commit_lost(site: &Site, _: &mut Random) -> anyhow::Result<()> {
    site.interrupt();
    site.postgres()?.set_for(Mode::LoseCommits, Duration::from_secs(3)).await;
    Ok(())
}

/// Opens connections, as a service role may, until Postgres refuses one.
pub(super) async fn full(site: &Site, _: &mut Random) -> anyhow::Result<()> {
    let url = site.shop.system.database_url("payment");
    let (started, mut taken) = (Instant::now(), Vec::new());
    site.interrupt();
    while started.elapsed() < Duration::from_secs(4) {
        match PgConnection::connect(url).await {
            Ok(connection) => taken.push(connection),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
    Ok(())
}

pub(super) async fn lock(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let tables = [
        ("order", "orders"),
        ("payment", "payments"),
        ("inventory", "stock"),
        ("notification", "deliveries"),
    ];
    let (service, table) = *random.pick(&tables);
    let mut stranger = PgConnection::connect(site.shop.system.database_url(service)).await?;
    let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    // Like any other client, the stranger may have to wait for the lock, or be the victim of a deadlock.
    if sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut stranger).await.is_ok() {
        site.interrupt();
        sleep(Duration::from_secs(5)).await;
    }
    Ok(())
}

pub(super) async fn cancel(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let service = site.any_service(random);
    let mut stranger = PgConnection::connect(site.shop.system.service_database_url(&service)).await?;
    let (started, others) = (
        Instant::now(),
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
        WHERE usename = current_user AND pid <> pg_backend_pid() AND state <> 'idle'",
    );
    site.interrupt();
    while started.elapsed() < Duration::from_secs(3) {
        sqlx::query(others).execute(&mut stranger).await?;
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

pub(super) async fn disk_full(site: &Site, _: &mut Random) -> anyhow::Result<()> {
    let [_, disk] = site.disks.as_ref().context("no disk to fill")?;
    disk.fill()?;
    site.interrupt();
    sleep(Duration::from_secs(3)).await;
    disk.free()?;
    // Postgres ends when it cannot write its log (WAL); its operator starts it again.
    Ok(site.shop.system.postgres().start().await?)
}
