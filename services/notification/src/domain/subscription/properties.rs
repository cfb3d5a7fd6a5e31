use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A subscription as the database keeps it: the status, the place on the waitlist, and the orders that suspend it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Model {
    status: Status,
    place: Option<usize>,
    purchases: BTreeSet<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Event(Event),
    OrderConfirmed(u8),
    OrderCancelled(u8),
}

impl Model {
    fn new() -> Self {
        Self { status: Status::Pending, place: None, purchases: BTreeSet::new() }
    }

    fn apply(&mut self, step: Step, now: usize) {
        match step {
            Step::Event(event) => {
                if let Ok(status) = self.status.on(event) {
                    self.status = status;
                    if status == Status::Waiting {
                        self.place.get_or_insert(now);
                    }
                }
            }
            Step::OrderConfirmed(order) => {
                self.purchases.insert(order);
            }
            Step::OrderCancelled(order) => {
                self.purchases.remove(&order);
            }
        }
    }

    /// Its place on the waitlist; `None` when a wave passes it over.
    fn in_line(&self) -> Option<usize> {
        self.place.filter(|_| self.status == Status::Waiting && self.purchases.is_empty())
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => select(Event::VARIANTS).prop_map(Step::Event),
        1 => (0..3_u8).prop_map(Step::OrderConfirmed),
        1 => (0..3_u8).prop_map(Step::OrderCancelled),
    ];
    prop::collection::vec(step, 0..40)
}

/// A subscription after any history.
fn any_model() -> impl Strategy<Value = Model> {
    steps().prop_map(|steps| {
        let mut model = Model::new();
        for (now, step) in steps.into_iter().enumerate() {
            model.apply(step, now);
        }
        model
    })
}

proptest! {
    #[test]
    fn an_ended_subscription_comes_back_only_when_its_failed_message_is_sent_again(
        mut model in any_model(), event in select(Event::VARIANTS),
    ) {
        let ended = !model.status.is_active() && model.status != Status::Notified;
        let before = model.status;
        model.apply(Step::Event(event), 100);
        if ended && model.status.is_active() {
            prop_assert_eq!((before, event), (Status::Lapsed, Event::Resent));
        }
    }

    #[test]
    fn no_event_makes_an_unconfirmed_subscription_notified_or_converted(event in select(Event::VARIANTS)) {
        let after = Status::Pending.on(event);
        prop_assert!(!matches!(after, Ok(Status::Notified | Status::Converted | Status::Bought)));
    }

    #[test]
    fn a_refusal_an_unsubscription_and_an_erasure_leave_nothing_active(
        model in any_model(), event in select(&[Event::Refused, Event::Unsubscribed, Event::Erased][..]),
    ) {
        let mut after = model.clone();
        after.apply(Step::Event(event), 100);
        prop_assert!(!after.status.is_active());
        prop_assert!(after.in_line().is_none());
    }

    #[test]
    fn erased_and_merged_are_final(event in select(Event::VARIANTS)) {
        for status in [Status::Erased, Status::Merged] {
            prop_assert!(matches!(status.on(event), Err(NotApplicable) | Ok(Status::Erased)));
            prop_assert!(event != Event::Merged || status.on(event).is_err());
        }
    }

    #[test]
    fn a_confirmed_purchase_suspends_and_its_cancellation_restores_the_old_place(model in any_model()) {
        let mut suspended = model.clone();
        suspended.apply(Step::OrderConfirmed(9), 100);
        prop_assert_eq!(suspended.in_line(), None);
        suspended.apply(Step::OrderCancelled(9), 101);
        prop_assert_eq!(suspended.in_line(), model.in_line());
        prop_assert_eq!(suspended, model);
    }

    #[test]
    fn only_the_first_confirmation_gives_a_place(model in any_model(), steps in steps()) {
        let mut later = model.clone();
        for step in steps {
            later.apply(step, 100);
        }
        prop_assert!(model.place.is_none() || later.place == model.place);
    }

    #[test]
    fn repeating_an_event_changes_nothing(mut model in any_model(), event in select(Event::VARIANTS)) {
        // Sending again is a way back: what follows it may happen again.
        prop_assume!(event != Event::Resent);
        model.apply(Step::Event(event), 100);
        let once = model.clone();
        model.apply(Step::Event(event), 101);
        prop_assert_eq!(model, once);
    }
}

#[test]
fn a_purchase_ends_no_subscription_that_could_not_expire() {
    for source in Event::ExpiredAfterPurchase.sources() {
        assert!(Event::Expired.sources().contains(&source), "{source}");
    }
}

#[test]
fn every_status_is_read_as_it_is_stored() {
    for status in Status::VARIANTS {
        assert_eq!(status.as_str().parse(), Ok(*status));
    }
    assert!("asleep".parse::<Status>().is_err());
}

#[test]
fn the_database_knows_the_same_statuses() {
    let schema = include_str!("../../../../../migrations/notification/0002_notify_me.sql");
    let constraint = schema.split_once("state           text").unwrap().1.split_once(")),").unwrap().0;
    let stored: BTreeSet<&str> = constraint.split('\'').skip(1).step_by(2).collect();
    assert_eq!(stored, Status::VARIANTS.iter().map(|status| status.as_str()).collect());

    let functions = include_str!("../../../../../migrations/notification/0012_statuses.sql");
    let active = Status::VARIANTS.iter().filter(|status| status.is_active()).map(|status| status.as_str());
    let list = format!("state IN ('{}')", active.collect::<Vec<_>>().join("', '"));
    assert!(functions.contains(&list), "is_active: {list}");
    assert!(functions.contains(&format!("state = '{}'", Status::Waiting.as_str())), "waiting_line");
    assert!(functions.contains(&format!("consent = '{}'", Consent::Order.as_str())), "waiting_line");
}

#[test]
fn the_older_subscription_goes_on_unless_only_the_new_one_is_confirmed() {
    use Status::{Pending, Waiting};
    assert_eq!(survivor(Waiting, Waiting), Survivor::Known);
    assert_eq!(survivor(Pending, Pending), Survivor::Known);
    assert_eq!(survivor(Pending, Waiting), Survivor::Known);
    assert_eq!(survivor(Waiting, Pending), Survivor::New);
}
