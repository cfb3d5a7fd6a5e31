//! Whatever the order wants when, and whatever becomes of the calls: money moves at most once, and in the end it is where
//! the order wants it.

mod remote;
mod restored;

use envelope::Sequence;
use events::values::{CustomerId, Money, OrderId};
use events::{CancelReason, OrderCancelled, OrderPlaced, PaymentEvent};
use proptest::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use self::remote::Remote;
use super::{Asked, Failure, Goal, Payment, Request, Status};

/// What becomes of a call.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is answered.
    Answered,
    /// The gateway refuses to take it in.
    Refused,
    /// It has its effect, and the answer is lost.
    AnswerLost,
    /// It is under way for so long that nobody waits for it any more.
    Delayed,
    /// The worker dies, or is frozen past its lease, before the call is sent or on its way...
    CrashedBefore,
    /// ... or after it had its effect.
    CrashedAfter,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Want(Goal),
    Work(Fate),
    /// The oldest call that is still under way arrives.
    Arrive,
}

struct World {
    remote: Remote,
    payment: Payment,
    events: Vec<PaymentEvent>,
    under_way: Vec<Request>,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Want(goal) => {
                let event = self.payment.pursue(goal, NOW);
                self.events.extend(event);
            }
            Step::Work(fate) => self.work(fate),
            Step::Arrive if self.under_way.is_empty() => {}
            Step::Arrive => {
                let _ = self.remote.ask(&self.under_way.remove(0));
            }
        }
    }

    fn work(&mut self, fate: Fate) {
        // The claim, as the database writes it.
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
                self.under_way.push(request);
                Err(Failure::Unknown)
            }
            Fate::CrashedBefore => return self.under_way.push(request),
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
        let rebuilt = self.payment.published(&self.payment.news);
        let sequences = rebuilt.iter().map(|(sequence, ..)| sequence.to_i64());
        assert!(sequences.eq(1..=self.payment.version.to_i64()));
        assert!(rebuilt.iter().map(|(.., event)| event).eq(&self.events), "as it was published");
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

    fn check_the_gateway(&self, told: [bool; 4]) {
        let holds: Vec<_> = self.remote.holds.values().collect();
        assert!(holds.len() <= 1, "authorized twice");
        let hold = holds.first().map_or([false; 4], |hold| {
            assert!(hold.refunds <= 1, "refunded twice");
            let open = !hold.captured && !hold.voided;
            [open, hold.captured, hold.voided, hold.refunds == 1]
        });
        assert_eq!(hold, told, "open, captured, voided, refunded: the gateway, and what was told");
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
        1 => Just(Step::Want(Goal::Captured)),
        1 => Just(Step::Want(Goal::Reversed)),
        6 => fate.prop_map(Step::Work),
        2 => Just(Step::Arrive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn money_moves_once_and_ends_where_the_order_wants_it(
        steps in prop::collection::vec(step(), 0..24),
        declines in any::<bool>(),
        refuses_capture in any::<bool>(),
        failures in 0_u8..3,
    ) {
        let mut world = World {
            remote: Remote { declines, refuses_capture, failures, ..Remote::default() },
            payment: Payment::placed(&order(), asked(1), NOW),
            events: Vec::new(),
            under_way: Vec::new(),
        };
        for step in steps {
            world.step(step);
        }
        // The faults end, and what is still under way may arrive before, or after, all else.
        for _ in 0..12 {
            world.step(Step::Work(Fate::Answered));
        }
        while !world.under_way.is_empty() {
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

fn asked(sequence: i64) -> Asked {
    let id = Uuid::from_u128(sequence.unsigned_abs().into());
    Asked { id, sequence: Sequence::from_i64(sequence).unwrap(), traceparent: None }
}

#[test]
fn what_was_never_started_is_voided_without_a_call() {
    let mut payment = Payment::placed(&order(), asked(1), NOW);
    let event = payment.cancelled(asked(2), NOW).unwrap();
    let PaymentEvent::Voided(voided) = &event else { panic!("{event:?}") };
    assert_eq!(voided.amount.amount, 0);
    assert_eq!((payment.status, payment.request(false)), (Status::Voided, None));
    assert_eq!(payment.version, Sequence::NONE.next());
    assert_eq!(payment.cause(&event).event_id, payment.asked_by.cancelled);

    let (mut closed, same) = Payment::closed(&cancellation(), asked(2), NOW);
    assert_eq!(event, same);
    closed.placed_again(&order(), asked(1), NOW);
    assert_eq!(closed.confirmed(asked(3), NOW), None);
    assert_eq!((closed.status, closed.goal, closed.request(false)), (Status::Voided, Goal::Reversed, None));
}
