//! A small catalogue, put in through the operator's door once, so that there is something to order: four products with
//! stock and one that is sold out.

use crate::local::Local;
use crate::screen::Step;
use reqwest::{Client, Response};
use serde_json::json;
use stack::{Home, settled};
use std::time::{Duration, Instant};

/// SKU, name, price in cents, stock.
const CATALOGUE: [(&str, &str, u32, u32); 5] = [
    ("mug-stoneware", "Stoneware mug", 1450, 200),
    ("lamp-brass", "Brass desk lamp", 8900, 25),
    ("chair-oak", "Oak chair", 18900, 12),
    ("notebook-linen", "Linen notebook, A5", 1290, 500),
    ("pen-limited", "Fountain pen, limited edition", 14900, 0),
];

/// The one of them that is sold out.
pub(crate) const SOLD_OUT: &str = "pen-limited";
/// One that is not.
pub(crate) const IN_STOCK: &str = "mug-stoneware";

/// The service that is asked.
pub(crate) const OWNER: &str = "inventory";

/// Whether the catalogue has been put into these databases.
pub(crate) fn is_done(home: &Home, local: &Local) -> bool {
    local.seed_marker(home).exists()
}

/// Puts the catalogue in unless that has been done, and waits until these services have published and read it all: the
/// order service knows the prices then.
pub(crate) async fn once(home: &Home, local: &Local, services: &[String]) -> anyhow::Result<()> {
    if is_done(home, local) {
        return Ok(());
    }
    let step = Step::begin("putting a small catalogue in");
    let client = Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let (inventory, token) = (local.doors(home, OWNER)?.url(), local.admin_token(home)?);
    for (sku, name, cents, stock) in CATALOGUE {
        let product = format!("{inventory}/products/{sku}");
        let price = json!({"name": name, "price": {"amount": cents, "currency": "EUR"}});
        done(client.put(&product).bearer_auth(&token).json(&price).send().await?).await?;
        if stock > 0 {
            let restock = client.post(format!("{product}/restock")).bearer_auth(&token);
            // Repeated after an interruption, it counts once.
            let restock = restock.header("Idempotency-Key", format!("catalogue-{sku}"));
            done(restock.json(&json!({"quantity": stock})).send().await?).await?;
        }
    }
    wait_until_read(home, local, services).await?;
    std::fs::create_dir_all(home.data("seeded"))?;
    std::fs::write(local.seed_marker(home), "")?;
    step.done(format_args!("{} products, {SOLD_OUT} sold out", CATALOGUE.len()));
    Ok(())
}

async fn done(response: Response) -> anyhow::Result<()> {
    let (url, status) = (response.url().clone(), response.status());
    anyhow::ensure!(status.is_success(), "{url}: {status}: {}", response.text().await.unwrap_or_default());
    Ok(())
}

/// Until each has published what it had to and read what there is; a while at most, since somebody else may be publishing.
async fn wait_until_read(home: &Home, local: &Local, services: &[String]) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let mut waiting = Vec::new();
        for name in services {
            let service = local.service(home, name)?;
            let url = &service.access.migrate_database_url;
            waiting.extend(settled::look(name, url, &service.brokers, &local.topic_prefix).await?.waiting);
        }
        if waiting.is_empty() || Instant::now() > deadline {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
