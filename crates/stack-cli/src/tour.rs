//! The text that `up` prints when everything is ready: the addresses, and commands to try.

use crate::local::{BOARD, Local};
use crate::screen::say;
use crate::seed::{IN_STOCK, SOLD_OUT};

pub(crate) fn print(local: &Local, detached: bool) -> anyhow::Result<()> {
    let address = |name| anyhow::Ok(format!("http://localhost:{}", local.endpoints(name)?.http));
    let (board, order, inventory) = (address(BOARD)?, address("order")?, address("inventory")?);
    say(format_args!(
        "\nopen {board}   the shop, and a live board of the events with buttons that kill and start processes"
    ));
    say("\nReady:");
    for name in local.home.services()? {
        let endpoints = local.endpoints(&name)?;
        say(format_args!(
            "  {name:<13} http://localhost:{}   manual: /docs   metrics: :{}/metrics",
            endpoints.http, endpoints.ops
        ));
    }
    say(format_args!(
        "  {:<13} {}   Postgres: . .data/env; psql $ORDER_DATABASE_URL",
        "Kafka",
        local.brokers()
    ));
    say("\nTry, in another terminal:");
    say(format_args!("  curl -s {inventory}/products"));
    say(format_args!("  {}", place(&order, IN_STOCK, "pm_card_visa", "")));
    say(format_args!("  curl -s {order}/orders/ID                      # confirmed; the mail is in the log"));
    say(format_args!("  {}", place(&order, IN_STOCK, "pm_card_chargeDeclined", "")));
    say(format_args!("  {}", place(&order, SOLD_OUT, "pm_card_visa", ",\"notify_me\":true")));
    say(format_args!(
        "  curl -s {inventory}/products/{SOLD_OUT}/restock -H \"authorization: Bearer $(./scripts/token)\" \
         -H 'content-type: application/json' -d '{{\"quantity\":3}}'"
    ));
    say("  ./scripts/events --from-beginning          # the records; ./scripts/groups shows the lag");
    say(
        "  ./scripts/kill payment                     # order again, look at the lag, then ./scripts/start payment",
    );
    say(if detached {
        "\nThe system runs in the background: ./scripts/logs -f shows the logs, ./scripts/down stops it."
    } else {
        "\nCtrl-C stops everything. The logs:"
    });
    Ok(())
}

fn place(order: &str, sku: &str, method: &str, more: &str) -> String {
    format!(
        "curl -s {order}/orders -H 'content-type: application/json' -d '{{\"email\":\"ada@example.com\",\
         \"items\":[{{\"sku\":\"{sku}\",\"quantity\":1}}],\"payment_method\":\"{method}\"{more}}}'"
    )
}
