//! The load and the checks of the fault suite (`./scripts/faults`) on a cluster that a test breaks.

use std::sync::Arc;
use std::time::Duration;

use faults::{Outcome, Site};
use system_tests::{Random, Shop};
use testkit::Servers;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const CUSTOMERS: u64 = 6;

/// Runs a system on three brokers under load, breaks it, and checks its whole history: what clients saw, all topics from
/// their beginning, all databases, the gateway's ledger, and all mails. Prints a row for docs/cluster.md.
pub(crate) async fn under_load(what: &str, broken: impl AsyncFnOnce(&Shop, &Servers)) {
    under_load_on(Servers::three_brokers().await.unwrap(), what, broken).await;
}

/// Does the same on these three brokers.
pub(crate) async fn under_load_on(
    servers: Arc<Servers>,
    what: &str,
    broken: impl AsyncFnOnce(&Shop, &Servers),
) {
    let site = Site::on(Arc::clone(&servers), CUSTOMERS).await.unwrap();
    let broken = async |site: &Site, _: &mut Random| {
        broken(&site.shop, &servers).await;
        Ok(())
    };
    let outcome = site.round("cluster", broken, 1, true).await.unwrap();
    assert!(outcome.found.is_empty(), "{what}: {:#?}", outcome.found);
    let history = outcome.history.as_ref().unwrap();
    println!(
        "| {what} | {} | {} | {:.1} s | {:.1} s |",
        history.tables.orders.len(),
        history.records.len(),
        longest_confirmation(&outcome).as_secs_f64(),
        outcome.recovery.as_secs_f64(),
    );
}

/// The longest time from an order to its confirmation. Cards that decline, fail or time out are not counted.
fn longest_confirmation(outcome: &Outcome) -> Duration {
    let orders = outcome.history.iter().flat_map(|history| &history.tables.orders);
    let plain = orders.filter(|order| order.payment_method == "pm_card_visa");
    let took = plain.filter_map(|order| {
        let at = |name: &str| {
            let entry = order.history.iter().find(|entry| entry.r#type == name)?;
            OffsetDateTime::parse(&entry.at, &Rfc3339).ok()
        };
        (at("order.confirmed.v1")? - at("order.placed.v1")?).try_into().ok()
    });
    took.max().unwrap_or_default()
}
