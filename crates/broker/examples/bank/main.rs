//! A bank of two services on the broker crate: `till` takes deposits, and `ledger` keeps the accounts.
//!
//! `bank till` and `bank ledger` run one of them, with the settings of the environment (`service.rs`). Type `alice 500` into a
//! till: the ledger's table `accounts` has it a moment later, however often either of them is killed meanwhile. The crate's
//! tests break these two services.

mod events;
mod ledger;
mod service;
mod till;

use std::sync::Arc;

use anyhow::bail;
use broker::{Outbox, Subscription};
use envelope::Event as _;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(service::log_filter()).with_writer(std::io::stderr).init();
    let name = std::env::args().nth(1).unwrap_or_default();
    let settings = service::settings(&name)?;
    let outbox = Outbox::new(service::pool().await?, &settings);
    match name.as_str() {
        "till" => {
            service::migrate(outbox.pool(), till::SCHEMA).await?;
            service::create_topics(&settings, &[events::Deposits::TOPIC]).await?;
            tokio::spawn(read_deposits(outbox.clone()));
            service::run(settings, outbox, Vec::new(), Vec::new()).await
        }
        "ledger" => {
            service::migrate(outbox.pool(), ledger::SCHEMA).await?;
            let topics = [events::Deposits::TOPIC, events::Balances::TOPIC];
            service::create_topics(&settings, &topics).await?;
            let subscriptions = vec![Subscription::new(ledger::Ledger)];
            service::run(settings, outbox, subscriptions, vec![Arc::new(ledger::Ledger)]).await
        }
        _ => bail!("usage: bank till|ledger"),
    }
}

/// Reads lines `ACCOUNT AMOUNT` or `close ACCOUNT`.
async fn read_deposits(outbox: Outbox) -> anyhow::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let Some((account, amount)) = line.split_once(' ') else { continue };
        let mut tx = outbox.begin().await?;
        match account {
            "close" => till::close(&mut tx, amount.trim()).await?,
            account => till::deposit(&mut tx, account, amount.trim().parse()?, "").await?,
        }
        tx.commit().await?;
    }
    Ok(())
}
