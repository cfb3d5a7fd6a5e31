//! `notification resend`

use anyhow::Context as _;
use chassis::{Command, Context};
use clap::Args;
use events::values::{OrderId, Sku};
use events::{Channel, NotificationKind};
use time::OffsetDateTime;

use crate::config::Config;
use crate::delivery::resend::{Outcome, next_chunk};
use crate::store::failed::{Failed, Filter};

/// The command, for the service's command line.
pub(crate) fn command() -> Command {
    Command::new("resend", "Send failed messages again, after the cause of the failure is repaired", run)
}

#[derive(Debug, Clone, Args)]
struct Options {
    /// Print the messages and what would happen to each, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only those of this kind, as `order_confirmed`, `order_cancelled`, `order_refunded`, `confirm_subscription` or `back_in_stock`
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<NotificationKind>,
    /// Only those of this channel: smtp or log
    #[arg(long, value_name = "CHANNEL", value_parser = channel)]
    channel: Option<Channel>,
    /// Only those about this order
    #[arg(long, value_name = "ID")]
    order_id: Option<OrderId>,
    /// Only those about this product
    #[arg(long, value_name = "SKU")]
    sku: Option<Sku>,
    /// Only those that failed within this time, as 2h, or since this moment, as 2026-11-25T08:00:00Z
    #[arg(long, value_name = "DURATION|TIME", value_parser = chassis::moment)]
    since: Option<OffsetDateTime>,
    /// Only those whose cause contains this text, as 5.7.1
    #[arg(long, value_name = "TEXT")]
    cause: Option<String>,
}

fn kind(text: &str) -> Result<NotificationKind, String> {
    text.parse::<NotificationKind>().ok().filter(|kind| *kind != NotificationKind::Unknown).ok_or_else(|| {
        "order_confirmed, order_cancelled, order_refunded, confirm_subscription or back_in_stock is expected".to_owned()
    })
}

fn channel(text: &str) -> Result<Channel, String> {
    text.parse::<Channel>()
        .ok()
        .filter(|channel| *channel != Channel::Unknown)
        .ok_or_else(|| "smtp or log is expected".to_owned())
}

async fn run(context: Context<Config>, options: Options) -> anyhow::Result<()> {
    let Options { dry_run, kind, channel, order_id, sku, since, cause } = options;
    let filter = Filter { kind, channel, order_id, sku, since, cause };
    let primary = context.config.primary_channel();
    let (mut resent, mut left, mut after) = (0, 0, None);
    loop {
        let chunk = next_chunk(&context.outbox, &filter, primary, after, dry_run)
            .await
            .context("the messages printed above are done; run the command again for the rest")?;
        for (row, outcome) in &chunk.rows {
            let line = line(row, *outcome);
            // A command that changes something finishes even when nobody reads its output any more.
            if dry_run {
                program::print(line);
            } else {
                program::say(line);
            }
            *(if outcome.is_resent() { &mut resent } else { &mut left }) += 1;
        }
        after = chunk.next;
        if after.is_none() {
            break;
        }
    }
    let messages = if resent == 1 { "message" } else { "messages" };
    match (resent + left, dry_run) {
        (0, _) => program::say("no failed messages"),
        (_, true) => program::say(format_args!(
            "{resent} {messages} would be sent again, {left} left; nothing was changed"
        )),
        (_, false) => program::say(format_args!(
            "{resent} {messages} to be sent again by a running notification, {left} left"
        )),
    }
    Ok(())
}

fn line(row: &Failed, outcome: Outcome) -> String {
    let kind = <&str>::from(row.content.0.kind());
    let recipient = row.recipient().unwrap_or_else(|| "-".to_owned());
    format!("{} {kind} {} {recipient} {outcome} ({})", row.id, row.channel, escape::text(&row.cause))
}
