//! In every order of goals and outcomes of calls, money moves at most once and ends where the order requires it.

mod remote;
mod restored;

use envelope::Sequence;
use events::values::{CustomerId, Money, OrderId};
use events::{CancelReason, OrderCancelled, OrderPlaced, PaymentEvent};
use proptest::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use self::remote::Remote;
use super::{Failure, Goal, Payment, Request, Status, Trigger};

/// The fate of a call.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The gateway answers.
    Answered,
    /// The gateway does not accept the call.
    Refused,
    /// The call has its effect, and the answer is lost.
    AnswerLost,
    /// The call is in flight for longer than its timeout.
    Delayed,
    /// The worker dies, or is frozen past its lease, before the call has its effect.
    CrashedBefore,
    /// The worker dies, or is frozen past its lease, after the call had its effect.
    CrashedAfter,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Pursue(Goal),
    Work(Fate),
    /// The oldest call in flight arrives.
    Arrive,
}

struct World {
    remote: Remote,
    payment: Payment,
    events: Vec<PaymentEvent>,
    in_flight: Vec<Request>,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Pursue(goal) => {
                let event = self.payment.pursue(goal, NOW);
                self.events.extend(event);
            }
            Step::Work(fate) => self.work(fate),
            Step::Arrive if self.in_flight.is_empty() => {}
            Step::Arrive => {
                let _ = self.remote.ask(&self.in_flight.remove(0));
            }
        }
    }

    fn work(&mut self, fate: Fate) {
        // The database does this when a payment is claimed.
        let unresolved = std::mem::replace(&mut self.payment.started, self.payment.operation.is_some());
        let Some(request) = self.payment.request(unresolved) else { return };
        let outcome = match fate {
            Fate::Answered => self.remote.ask(&request),
            Fate::Refused => Err(Failure::Unavailable),
            Fate::AnswerLost => {
                let _ = self.remote.ask(&request);
                Err(Failure::Unknown)
            }
            Fate::Delayed => {
                self.in_flight.push(request);
                Err(Failure::Unknown)
            }
            Fate::CrashedBefore => return self.in_flight.push(request),
            Fate::CrashedAfter => {
                let _ = self.remote.ask(&request);
                return;
            }
        };
        let event = self.payment.resolve(unresolved, outcome, NOW);
        self.events.extend(event);
    }

    fn amount(&self, of: fn(&PaymentEvent) -> Option<Money>) -> i64 {
        self.events.iter().filter_map(of).map(|money| money.amount).sum()
    }

    fn check(&self) {
        let Payment { goal, status, .. } = self.payment;
        assert!(self.payment.operation.is_none() && !self.payment.started, "not at rest");
        assert!(match goal {
            Goal::Authorized => matches!(status, Status::Authorized | Status::Declined),
            Goal::Captured => matches!(status, Status::Captured | Status::CaptureFailed | Status::Declined),
            Goal::Reversed => matches!(status, Status::Voided | Status::Refunded | Status::Declined),
        });

        self.check_the_money();
    }

    fn check_the_history(&self) {
        let rebuilt = self.payment.published(&self.payment.new_entries);
        let sequences = rebuilt.iter().map(|(sequence, ..)| sequence.to_i64());
        assert!(sequences.eq(1..=self.payment.version.to_i64()));
        assert!(
            rebuilt.iter().map(|(.., event)| event).eq(&self.events),
            "the rebuilt events are the published ones"
        );
    }

    fn check_the_money(&self) {
        let Payment { goal, status, .. } = self.payment;
        let answers = |event: &&PaymentEvent| {
            matches!(event, PaymentEvent::Voided(_) | PaymentEvent::Refunded(_) | PaymentEvent::Declined(_))
        };
        let answers = self.events.iter().filter(answers).count();
        assert_eq!(answers, usize::from(goal == Goal::Reversed || status == Status::Declined));

        let authorized = self.amount(|event| match event {
            PaymentEvent::Authorized(event) => Some(event.amount),
            _ => None,
        });
        let captured = self.amount(|event| match event {
            PaymentEvent::Captured(event) => Some(event.amount),
            _ => None,
        });
        let voided = self.amount(|event| match event {
            PaymentEvent::Voided(event) => Some(event.amount),
            _ => None,
        });
        let refunded = self.amount(|event| match event {
            PaymentEvent::Refunded(event) => Some(event.amount),
            _ => None,
        });
        let open = matches!(status, Status::Authorized | Status::CaptureFailed);
        let open = if open { self.payment.amount.amount } else { 0 };
        assert_eq!(authorized, captured + voided + open);
        assert!(refunded <= captured);
        self.check_the_gateway([open, captured, voided, refunded].map(|amount| amount > 0));
    }

    fn check_the_gateway(&self, published: [bool; 4]) {
        let holds: Vec<_> = self.remote.holds.values().collect();
        assert!(holds.len() <= 1, "authorized twice");
        let hold = holds.first().map_or([false; 4], |hold| {
            assert!(hold.refunds <= 1, "refunded twice");
            let open = !hold.captured && !hold.voided;
            [open, hold.captured, hold.voided, hold.refunds == 1]
        });
        assert_eq!(hold, published, "open, captured, voided, refunded: the gateway and the events");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        3 => Just(Fate::Answered),
        1 => Just(Fate::Refused),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Delayed),
        1 => Just(Fate::CrashedBefore),
        1 => Just(Fate::CrashedAfter),
    ];
    prop_oneof![
        1 => Just(Step::Pursue(Goal::Captured)),
        1 => Just(Step::Pursue(Goal::Reversed)),
        6 => fate.prop_map(Step::Work),
        2 => Just(Step::Arrive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn money_moves_once_and_ends_where_the_order_requires_it(
        steps in prop::collection::vec(step(), 0..24),
        declines in any::<bool>(),
        refuses_capture in any::<bool>(),
        failures in 0_u8..3,
    ) {
        let mut world = World {
            remote: Remote { declines, refuses_capture, failures, ..Remote::default() },
            payment: Payment::of_placed(&order(), placed(), NOW),
            events: Vec::new(),
            in_flight: Vec::new(),
        };
        for step in steps {
            world.step(step);
        }
        // The faults end. The calls in flight may arrive before or after all others.
        for _ in 0..12 {
            world.step(Step::Work(Fate::Answered));
        }
        while !world.in_flight.is_empty() {
            world.step(Step::Arrive);
        }
        world.check();
        world.check_the_history();
    }
}

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn order() -> OrderPlaced {
    OrderPlaced {
        order_id: OrderId::from(Uuid::nil()),
        customer_id: CustomerId::from(Uuid::nil()),
        items: Vec::new(),
        total: Money { amount: 1299, currency: "EUR".parse().unwrap() },
        payment_method: "pm_card_visa".parse().unwrap(),
        notify_me: false,
        claim: None,
        placed_at: NOW,
    }
}

fn cancellation() -> OrderCancelled {
    let OrderPlaced { order_id, customer_id, items, total, notify_me, .. } = order();
    let reason = CancelReason::CustomerRequest;
    OrderCancelled { order_id, customer_id, reason, items, total, short: Vec::new(), notify_me }
}

fn placed() -> Trigger {
    trigger(1, "order.placed.v1")
}

fn trigger(sequence: i64, event_type: &'static str) -> Trigger {
    let id = Uuid::from_u128(sequence.unsigned_abs().into());
    Trigger { id, event_type, sequence: Sequence::from_i64(sequence).unwrap(), traceparent: None }
}

#[test]
fn a_payment_that_was_never_started_is_voided_without_a_call() {
    let mut payment = Payment::of_placed(&order(), placed(), NOW);
    let event = payment.on_cancelled(trigger(2, "order.cancelled.v1"), NOW).unwrap();
    let PaymentEvent::Voided(voided) = &event else { panic!("{event:?}") };
    assert_eq!(voided.amount.amount, 0);
    assert_eq!((payment.status, payment.request(false)), (Status::Voided, None));
    assert_eq!(payment.version, Sequence::NONE.next());
    assert_eq!(payment.cause(&event).event_id, payment.causes.cancelled);

    let (mut closed, same) = Payment::of_cancelled(&cancellation(), trigger(2, "order.cancelled.v1"), NOW);
    assert_eq!(event, same);
    closed.on_placed(&order(), placed(), NOW);
    assert_eq!(closed.on_confirmed(trigger(3, "order.confirmed.v1"), NOW), None);
    assert_eq!((closed.status, closed.goal, closed.request(false)), (Status::Voided, Goal::Reversed, None));
}
