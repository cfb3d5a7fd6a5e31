//! The settings that the cluster really applies: `migrate` compares them, and the service repeats what does not hold.

use system_tests::{Shop, eventually, run};
use testkit::{System, topics};

#[tokio::test]
async fn a_setting_that_the_cluster_does_not_apply_fails_migrate_until_it_is_accepted() {
    let shop = Shop::with(System::builder().not_started("order")).await;
    let customers = shop.system.topic("customers");
    let weekly =
        [("cleanup.policy", "compact"), ("segment.ms", "604800000"), ("max.compaction.lag.ms", "86400000")];
    topics::configure(shop.system.brokers(), &customers, &weekly).await.unwrap();
    let url = shop.system.database_url("order").to_owned();
    let migrate = async |mode: &str, more: &[&str]| {
        let arguments = ["--topics", mode, "--migrate-database-url", &url, "migrate"];
        run(&shop, "order", &[&arguments, more].concat()).await
    };
    let lost = format!(
        "erasure within three days: not on this cluster, topic {customers}: segment.ms is 604800000 instead of at most 86400000"
    );

    let refused = migrate("verify", &[]).await.unwrap_err();
    assert!(refused.contains(&lost) && refused.contains("order migrate --accept-differences"), "{refused}");
    let accepted = migrate("verify", &["--accept-differences"]).await.unwrap();
    assert!(accepted.contains(&format!("topicName: {customers}")), "{accepted}");

    shop.system.service("order").start().await.unwrap();
    eventually("the service repeats it and consumes", async || {
        let (status, body) = shop.health("order", 1, "consuming").await?;
        let said = body["checks"]["topics"]["detail"].as_array()?.iter().any(|text| *text == lost.as_str());
        (said && status == 200).then_some(())
    })
    .await;

    migrate("manage", &[]).await.unwrap();
    migrate("verify", &[]).await.unwrap();
}
