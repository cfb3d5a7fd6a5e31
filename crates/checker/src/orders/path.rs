//! The history of an order as a path of the state table of the order service.

use envelope::Event;
use events::values::OrderId;
use events::{CancelReason, OrderEvent};
use order::machine::{Decision, Input, State, Status};

use crate::facts::{Log, events_of};
use crate::{Facts, tables};

/// Each order's history, applied to the state machine, leads to the order's row.
pub(crate) fn histories_follow_the_state_table(facts: &Facts<'_>) -> Vec<String> {
    // A restored database notes what it recovers as facts, without the decisions that led there.
    if facts.history.republished {
        return Vec::new();
    }
    let wrong = |row: &&tables::Order| follow(facts, row).err();
    facts.rows.values().filter_map(|row| Some(format!("order {}: {}", row.id, wrong(row)?))).collect()
}

fn follow(facts: &Facts<'_>, row: &tables::Order) -> Result<(), String> {
    let reason = row.reason.as_deref().map(str::parse).transpose().map_err(|_| "its reason is unknown")?;
    let mut entries = row.history.iter().map(|entry| entry.r#type.as_str());
    if entries.next() != Some("order.placed.v1") {
        return Err("its history does not begin with order.placed.v1".to_owned());
    }
    let (mut state, mut decided) = (State::PLACED, None);
    for entry in entries {
        if entry.starts_with("order.") {
            let decision = match decided.take() {
                Some(decision) => decision,
                None => by_itself(&mut state, reason).ok_or_else(|| format!("{entry} has no cause"))?,
            };
            publishes(facts, row.id, entry, decision)?;
        } else {
            if let Some(decision) = decided {
                return Err(format!("{decision:?} was decided, and {entry} follows"));
            }
            (state, decided) = state.step(input(facts, row.id, entry)?);
        }
    }
    if let Some(decision) = decided {
        return Err(format!("{decision:?} was decided, and nothing follows"));
    }
    let end = Status::from_columns(&row.status, reason).map(|status| State {
        status,
        payment: row.payment.parse().unwrap_or(State::PLACED.payment),
        stock: row.stock.parse().unwrap_or(State::PLACED.stock),
    });
    if end == Some(state) {
        Ok(())
    } else {
        Err(format!("its history leads to {state:?}, its row is {end:?}"))
    }
}

/// A cancellation that no answer caused: by the customer, or since the order has expired.
fn by_itself(state: &mut State, reason: Option<CancelReason>) -> Option<Decision> {
    [Input::CancelledByCustomer, Input::Expired].into_iter().find_map(|input| {
        let (next, decision) = state.step(input);
        let is_it = decision.is_some() && decision == reason.map(Decision::Cancel);
        is_it.then(|| *state = next)?;
        decision
    })
}

/// Checks that the order published this decision.
fn publishes(facts: &Facts<'_>, id: OrderId, entry: &str, decision: Decision) -> Result<(), String> {
    let is_it = |event: &OrderEvent| match (event, decision) {
        (OrderEvent::Confirmed(_), Decision::Confirm) => true,
        (OrderEvent::Cancelled(cancelled), Decision::Cancel(reason)) => cancelled.reason == reason,
        _ => false,
    };
    let event = find(&facts.orders, id, entry).filter(|event| is_it(event));
    event.map(|_| ()).ok_or_else(|| format!("{decision:?} was decided, and {entry} does not say so"))
}

fn input(facts: &Facts<'_>, id: OrderId, entry: &str) -> Result<Input, String> {
    let payment = find(&facts.payments, id, entry).map(Input::from);
    let input = payment.or_else(|| find(&facts.reservations, id, entry).map(Input::from));
    input.ok_or_else(|| format!("its history has {entry}, which nobody published"))
}

fn find<'f, E: Event>(log: &'f Log<'_, E>, id: OrderId, ce_type: &str) -> Option<&'f E> {
    events_of(log, &id).iter().map(|published| &published.event).find(|event| event.ce_type() == ce_type)
}
