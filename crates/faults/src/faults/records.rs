//! Records that the services did not write, and logs that are read again.

use anyhow::ensure;
use envelope::Topic;
use events::{CUSTOMERS, ORDERS, PAYMENTS, PRODUCTS, RESERVATIONS, STOCK};
use system_tests::{Forged, Random};

use super::between;
use crate::site::Site;

/// A topic and a type of its events.
const TARGETS: [(Topic, &str); 6] = [
    (ORDERS, "order.placed.v1"),
    (PAYMENTS, "payment.authorized.v1"),
    (RESERVATIONS, "stock.reserved.v1"),
    (STOCK, "stock.changed.v1"),
    (PRODUCTS, "product.listed.v1"),
    (CUSTOMERS, "customer.registered.v1"),
];

/// Writes a record that every consumer must reject.
async fn inject(site: &Site, topic: &str, forged: Forged) {
    let (partition, offset) = site.shop.publish(&forged).await;
    site.record().injected.insert((topic.to_owned(), partition, offset));
}

fn key(random: &mut Random) -> String {
    format!("poison-{:x}", random.below(u64::MAX))
}

pub(super) async fn poison(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let values = ["{}", "", "{\"order_id\":", "[[[[", "null", "\u{0}", "{\"sku\":\"\\u0000\"}"];
    for (Topic { name, owner, .. }, ce_type) in TARGETS {
        let forged = Forged::new(name, &key(random), &format!("/{owner}"), ce_type);
        inject(site, name, forged.with_value(*random.pick(&values))).await;
        between(random, 1, 200).await;
    }
    Ok(())
}

pub(super) async fn foreign(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    for (Topic { name, .. }, ce_type) in TARGETS {
        inject(site, name, Forged::new(name, &key(random), "/stranger", ce_type)).await;
        between(random, 1, 200).await;
    }
    Ok(())
}

pub(super) async fn hostile_headers(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let long = vec![b'9'; 100_000];
    let headers: [(&str, Option<&[u8]>); 8] = [
        ("ce_type", None),
        ("ce_type", Some(&[0xff, 0xfe])),
        ("ce_id", Some(b"../../etc/passwd")),
        ("ce_source", Some(b"")),
        ("ce_sequence", Some(b"-1")),
        ("ce_sequence", Some(&long)),
        ("ce_sequence", Some(b"00000000000000000000")),
        ("ce_generation", Some(b"many")),
    ];
    for (Topic { name, owner, .. }, ce_type) in TARGETS {
        for (header, value) in headers {
            let forged = Forged::new(name, &key(random), &format!("/{owner}"), ce_type);
            inject(site, name, forged.with_header(header, value)).await;
        }
        between(random, 1, 200).await;
    }
    Ok(())
}

pub(super) async fn oversized(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let (Topic { name, owner, .. }, ce_type) = *random.pick(&TARGETS);
    let forged = Forged::new(name, &key(random), &format!("/{owner}"), ce_type);
    inject(site, name, forged.with_value("x".repeat(990_000))).await;
    Ok(())
}

pub(super) async fn rewind(site: &Site, random: &mut Random) -> anyhow::Result<()> {
    let service = site.any_service(random);
    let topics = stack::backlog::topics(site.shop.system.database_url(&service)).await?;
    let topic = random.pick(&topics);
    let arguments = ["rewind", topic, "--to", "beginning"];
    let output = site.shop.system.command(&service).args(arguments).output().await?;
    ensure!(output.status.success(), "{service} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    between(random, 500, 2_000).await;
    Ok(())
}
