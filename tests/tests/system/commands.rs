//! An operator's commands of a service: redrive, rewind, republish, reconcile.

use system_tests::{Forged, Shop, eventually, run};

/// Checks that a command ignores the variables of psql in the operator's shell.
async fn variables_of_psql_are_ignored(shop: &Shop) {
    let mut redrive = shop.system.command("payment");
    redrive.args(["redrive", "--dry-run"]).env("PGSSLMODE", "require").env("PGSSLROOTCERT", "/nowhere");
    redrive
        .env("PGOPTIONS", "-c search_path=nowhere -c default_transaction_read_only=on")
        .env("PGHOST", "192.0.2.1");
    let output = redrive.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_rewind_or_republish_of_a_running_service_has_no_effect_twice() {
    let shop = Shop::open().await;
    variables_of_psql_are_ignored(&shop).await;
    shop.stock("MUG", 5).await;
    let order = shop.order("MUG", 2, "pm_card_visa").await;
    let before = shop.confirmed(&order.id).await;
    shop.notified(&order.id, "order_confirmed").await;
    shop.system.quiesce().await.unwrap();
    for (service, topic) in [
        ("payment", "orders"),
        ("inventory", "orders"),
        ("notification", "orders"),
        ("order", "payments"),
        ("order", "reservations"),
    ] {
        let said = run(&shop, service, &["rewind", topic, "--to", "beginning"]).await.unwrap();
        assert!(said.starts_with(&format!("{topic}/0 ")) && said.contains(" -> beginning"), "{said}");
    }
    let said = run(&shop, "inventory", &["republish", "products"]).await.unwrap();
    assert!(said.ends_with("products: all appended; a running inventory publishes them\n"), "{said}");
    shop.system.quiesce().await.unwrap();
    assert_eq!(shop.get(&order.id).await, before);
    assert_eq!(shop.available("MUG").await, 3);
    assert_eq!(shop.notifications(&format!("order_id={}", order.id)).await.len(), 1);
}

#[tokio::test]
async fn dead_letters_that_fail_again_stay_until_they_are_discarded() {
    let shop = Shop::open().await;
    shop.system.leave_queues();
    shop.publish(&Forged::new("orders", "nobody's", "/order", "order.placed.v1").with_value("{")).await;

    let redrive = async |arguments: &[&str]| {
        let arguments = [&["redrive"], arguments].concat();
        run(&shop, "payment", &arguments).await.unwrap()
    };
    let found = eventually("the record is a dead letter", async || {
        let said = redrive(&["--dry-run"]).await;
        (said != "no dead letters\n").then_some(said)
    })
    .await;
    assert!(found.starts_with("orders/") && found.contains(" order.placed.v1 would be tried ("), "{found}");
    assert!(found.ends_with("1 dead letter; nothing was changed\n"), "{found}");
    for not_this_one in
        [["--key", "somebody's"], ["--type", "order.confirmed.v1"], ["--since", "2099-01-01T00:00:00Z"]]
    {
        assert_eq!(redrive(&not_this_one).await, "no dead letters\n");
    }
    for _ in 0..2 {
        let said = redrive(&["--topic", "orders", "--key", "nobody's", "--since", "1h"]).await;
        assert!(said.contains(" still dead (the value does not parse"), "{said}");
        assert!(said.ends_with("1 dead letter handled, 1 still dead\n"), "{said}");
    }
    let refused = run(&shop, "payment", &["--kafka-brokers", "127.0.0.1:1", "redrive"]).await.unwrap_err();
    assert!(refused.contains("Kafka does not answer"), "{refused}");
    let said = redrive(&["--discard", "--key", "nobody's"]).await;
    assert!(said.ends_with("1 dead letter discarded\n"), "{said}");
    assert_eq!(redrive(&[]).await, "no dead letters\n");
}

#[tokio::test]
async fn each_command_has_help_and_refuses_wrong_arguments_with_the_valid_ones() {
    let shop = Shop::open().await;
    for (command, contents) in [
        ("redrive", ["--dry-run", "--discard", "--topic", "--type", "--key", "--since"].as_slice()),
        ("rewind", &["<TOPIC>", "--to", "beginning", "an offset", "2026-11-25T08:00:00Z"]),
        ("republish", &["<TOPIC>", "compacted", "--key", "--since", "--unfinished", "--dry-run"]),
        ("reconcile", &["--dry-run", "--older-than", "Exit code 1"]),
        ("restored", &["--dry-run", "docs/restore.md"]),
    ] {
        let manual = run(&shop, "inventory", &[command, "--help"]).await.unwrap();
        for expected in contents {
            assert!(manual.contains(expected), "{expected} in {manual}");
        }
    }
    for (arguments, expected) in [
        (["rewind", "payments", "--to", "end"].as_slice(), "this service consumes; those are: orders"),
        (&["rewind", "orders", "--to", "yesterday"], "beginning, end, an offset or a time such as 2026-"),
        (
            &["rewind", "orders", "--to", "9999"],
            "no partition reaches offset 9999: the longest log ends at 0",
        ),
        (&["rewind", "orders"], "--to <WHERE>"),
        (&["rewind", "orders", "--partition", "99", "--to", "end"], "orders has no partition 99"),
        (&["republish", "orders"], "that this service owns; those are: reservations, products, stock"),
        (&["republish", "reservations"], "--key KEY (may be repeated), --since DURATION|TIME"),
        (
            &["republish", "reservations", "--key", "nobody's"],
            "this service has no rows for these keys of reservations: nobody's",
        ),
        (
            &["republish", "stock", "--key", "NO-SUCH"],
            "this service has no rows for these keys of stock: NO-SUCH",
        ),
        (&["republish", "stock", "--unfinished"], "stock is compacted"),
        (&["reconcile", "--older-than", "soon"], "'--older-than <DURATION>'"),
        (&["redrive", "--topic", "stock"], "this service consumes; those are: orders"),
        (&["redrive", "--since", "soon"], "a duration such as 2h, or a time such as 2026-"),
        (&["--kafka-brokers", "127.0.0.1:1", "rewind", "orders", "--to", "end"], "Kafka does not answer"),
        (&["--log-format", "xml", "check"], "[possible values: pretty, json]"),
    ] {
        let refused = run(&shop, "inventory", arguments).await.unwrap_err();
        assert!(refused.contains(expected), "{arguments:?}: {expected} in {refused}");
    }
    let refused = run(&shop, "notification", &["--smtp-url", "mail.example.com", "check"]).await.unwrap_err();
    assert!(refused.contains("SMTP_URL is not usable"), "{refused}");
    assert_eq!(run(&shop, "notification", &["check"]).await.unwrap(), "");
    assert_eq!(run(&shop, "inventory", &["reconcile"]).await.unwrap(), "nothing has waited for 1m\n");
}
