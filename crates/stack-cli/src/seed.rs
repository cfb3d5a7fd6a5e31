//! The sample catalogue, created once through the operator's API: four products in stock and one that is sold out.

use crate::local::Local;
use crate::screen::Step;
use reqwest::{Client, Response};
use serde_json::json;
use std::time::{Duration, Instant};

/// SKU, name, price in cents, stock.
const CATALOGUE: [(&str, &str, u32, u32); 5] = [
    ("mug-stoneware", "Stoneware mug", 1450, 200),
    ("lamp-brass", "Brass desk lamp", 8900, 25),
    ("chair-oak", "Oak chair", 18900, 12),
    ("notebook-linen", "Linen notebook, A5", 1290, 500),
    ("pen-limited", "Fountain pen, limited edition", 14900, 0),
];

pub(crate) const SOLD_OUT: &str = "pen-limited";
pub(crate) const IN_STOCK: &str = "mug-stoneware";

pub(crate) const OWNER: &str = "inventory";

pub(crate) fn is_done(local: &Local) -> bool {
    local.seed_marker().exists()
}

/// Creates the catalogue unless it exists, and waits until these services have published and consumed everything: then
/// the order service knows the prices.
pub(crate) async fn once(local: &Local, services: &[String]) -> anyhow::Result<()> {
    if is_done(local) {
        return Ok(());
    }
    let step = Step::begin("creating a sample catalogue");
    let client = Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let (inventory, token) = (local.endpoints(OWNER)?.url(), local.secret("ADMIN_TOKEN")?);
    for (sku, name, cents, stock) in CATALOGUE {
        let product = format!("{inventory}/products/{sku}");
        let price = json!({"name": name, "price": {"amount": cents, "currency": "EUR"}});
        done(client.put(&product).bearer_auth(&token).json(&price).send().await?).await?;
        if stock > 0 {
            let restock = client.post(format!("{product}/restock")).bearer_auth(&token);
            // The key makes a retry after an interruption safe.
            let restock = restock.header("Idempotency-Key", format!("catalogue-{sku}"));
            done(restock.json(&json!({"quantity": stock})).send().await?).await?;
        }
    }
    wait_until_read(local, services).await?;
    std::fs::create_dir_all(local.home.data("seeded"))?;
    std::fs::write(local.seed_marker(), "")?;
    step.done(format_args!("{} products, {SOLD_OUT} sold out", CATALOGUE.len()));
    Ok(())
}

async fn done(response: Response) -> anyhow::Result<()> {
    let (url, status) = (response.url().clone(), response.status());
    anyhow::ensure!(status.is_success(), "{url}: {status}: {}", response.text().await.unwrap_or_default());
    Ok(())
}

/// Waits until the backlog of each service is empty, at most 15 s: other clients may keep publishing.
async fn wait_until_read(local: &Local, services: &[String]) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let mut waiting = Vec::new();
        for name in services {
            waiting.extend(local.waiting(name).await?);
        }
        if waiting.is_empty() || Instant::now() > deadline {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
