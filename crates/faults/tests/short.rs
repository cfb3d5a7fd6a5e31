//! A few faults in a row on one system, each with the check of the whole history. `./scripts/faults` runs all of them.

use faults::{FAULTS, Kind, Site};
use system_tests::Random;

/// Faults of different kinds that end soon.
const SHORT: [&str; 3] = ["kill", "poison", "postgres-commit-lost"];
const CUSTOMERS: u64 = 3;
const SEED: u64 = 20;

#[tokio::test]
async fn after_each_fault_the_history_has_no_contradiction() {
    let site = Site::open(CUSTOMERS, Kind::Ordinary).await.unwrap();
    for (number, name) in SHORT.into_iter().enumerate() {
        let fault = FAULTS.iter().find(|fault| fault.name == name).unwrap();
        let broken = async |site: &Site, random: &mut Random| fault.run(site, random).await;
        let outcome = site.round(&format!("r{number}"), broken, SEED + number as u64, true).await.unwrap();
        assert!(outcome.found.is_empty(), "{name}, seed {}: {:#?}", SEED + number as u64, outcome.found);
        let history = outcome.history.unwrap();
        assert!(!history.tables.orders.is_empty() && !history.mails.is_empty(), "{name} had no load");
    }
}
