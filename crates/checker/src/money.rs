//! Money: the gateway's ledger, the payments' events and the orders agree to the cent.

use std::collections::BTreeMap;

use events::PaymentEvent;
use events::values::OrderId;

use crate::facts::{events_of, verbs};
use crate::{Facts, Invariant, tables};

pub(crate) const INVARIANTS: &[Invariant] = &[
    Invariant { name: "ledger-balances", check: ledger_balances },
    Invariant { name: "money-matches-outcome", check: money_matches_outcome },
    Invariant { name: "payment-events-match-ledger", check: events_match_ledger },
    Invariant { name: "payments-follow-their-life", check: payments_follow_their_life },
    Invariant { name: "one-payment-per-order", check: one_payment_per_order },
];

/// The movements of one order in the gateway's ledger, in minor units.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    holds: usize,
    authorized: i64,
    captured: i64,
    captures: usize,
    voided: i64,
    refunded: i64,
}

fn accounts(facts: &Facts<'_>) -> BTreeMap<OrderId, Account> {
    let mut accounts = BTreeMap::<_, Account>::new();
    for row in &facts.history.tables.authorizations {
        let account = accounts.entry(row.reference).or_default();
        if row.answer == "authorized" {
            account.holds += 1;
            account.authorized += row.amount;
        }
        if row.captured_at.is_some() {
            account.captures += 1;
            account.captured += row.amount;
        }
        if row.voided_at.is_some() {
            account.voided += row.amount;
        }
    }
    for refund in &facts.history.tables.refunds {
        accounts.entry(refund.reference).or_default().refunded += refund.amount;
    }
    accounts
}

/// Per order one hold at most, which is captured or voided; refunds give back no more than was captured, of one charge.
fn ledger_balances(facts: &Facts<'_>) -> Vec<String> {
    let balances = |account: &Account| {
        account.holds <= 1
            && account.captures <= 1
            && account.authorized == account.captured + account.voided
            && account.refunded <= account.captured
    };
    let mut found: Vec<String> = accounts(facts)
        .iter()
        .filter(|(_, account)| !balances(account))
        .map(|(id, account)| format!("order {id}: {account:?}"))
        .collect();
    let charges = &facts.history.tables.authorizations;
    let has_a_charge = |refund: &&tables::Refund| {
        charges.iter().any(|row| {
            row.id == refund.charge_id && row.reference == refund.reference && row.captured_at.is_some()
        })
    };
    let refunds = facts.history.tables.refunds.iter();
    found.extend(
        refunds.filter(|refund| !has_a_charge(refund)).map(|refund| format!("{refund:?} has no charge")),
    );
    found
}

/// A confirmed order has paid its total, a cancelled one nothing.
fn money_matches_outcome(facts: &Facts<'_>) -> Vec<String> {
    let accounts = accounts(facts);
    let kept = |id| accounts.get(id).map_or(0, |account| account.captured - account.refunded);
    let due = |row: &tables::Order| if row.status == "confirmed" { row.total } else { 0 };
    let wrong = facts.rows.iter().filter(|(id, row)| kept(id) != due(row));
    let mut found: Vec<String> = wrong
        .map(|(id, row)| {
            format!("order {id} is {} with a total of {}, and {} was kept", row.status, row.total, kept(id))
        })
        .collect();
    let unknown = accounts.keys().filter(|id| !facts.rows.contains_key(id));
    found.extend(unknown.map(|id| format!("the gateway knows order {id}, which does not exist")));
    found
}

/// The amounts that a payment's events name are those of the ledger.
fn events_match_ledger(facts: &Facts<'_>) -> Vec<String> {
    let (accounts, none) = (accounts(facts), Account::default());
    let mut found = Vec::new();
    for (id, events) in &facts.payments {
        let account = id.parse().ok().and_then(|id| accounts.get(&id)).unwrap_or(&none);
        let mut claimed = Account { holds: account.holds, captures: account.captures, ..Account::default() };
        for published in events {
            let amount = published.event.amount().amount;
            match &published.event {
                PaymentEvent::Authorized(_) => claimed.authorized += amount,
                PaymentEvent::Captured(_) => claimed.captured += amount,
                PaymentEvent::Voided(_) => claimed.voided += amount,
                PaymentEvent::Refunded(_) => claimed.refunded += amount,
                PaymentEvent::Declined(_) | PaymentEvent::CaptureFailed(_) => {}
            }
        }
        // A hold whose answer was lost, of an order that was cancelled meanwhile, is voided without `payment.authorized`.
        if claimed.authorized == 0 {
            claimed.authorized = claimed.voided;
        }
        if claimed != *account {
            found.push(format!("order {id}: the events say {claimed:?}, the ledger {account:?}"));
        }
    }
    let is_silent = |id| events_of(&facts.payments, id).is_empty();
    let silent = accounts.iter().filter(|(id, account)| account.authorized > 0 && is_silent(*id));
    found.extend(silent.map(|(id, account)| format!("order {id} has {account:?} and no event")));
    found
}

/// A payment's events, in order, are a life that the payment service knows, and its row is at the end.
fn payments_follow_their_life(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for row in &facts.history.tables.payments {
        let types = verbs(events_of(&facts.payments, &row.id));
        let lives = match types[..] {
            [.., last] => last == row.status,
            [] => row.status == "pending",
        };
        let known = matches!(
            types[..],
            ["authorized", "captured" | "voided"]
                | ["authorized", "captured", "refunded"]
                | ["authorized", "capture_failed", "voided"]
                | ["declined" | "voided"]
        );
        if !(lives && known) {
            found.push(format!("payment {} is {}, its events are {types:?}", row.id, row.status));
        }
    }
    found
}

/// Each order has one payment with its total, and no payment is without an order.
fn one_payment_per_order(facts: &Facts<'_>) -> Vec<String> {
    let mut payments = BTreeMap::<OrderId, Vec<i64>>::new();
    for row in &facts.history.tables.payments {
        payments.entry(row.id).or_default().push(row.amount);
    }
    let mut found = Vec::new();
    for (id, row) in &facts.rows {
        let amounts = payments.remove(id).unwrap_or_default();
        if amounts != [row.total] {
            found.push(format!("order {id} of {} has payments of {amounts:?}", row.total));
        }
    }
    found.extend(payments.keys().map(|id| format!("payment {id} has no order")));
    found
}
