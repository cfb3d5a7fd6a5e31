//! A database that was restored from an older copy and rolled forward by the published events has the state from before,
//! and afterwards money still moves at most once.

use std::mem::discriminant;

use proptest::prelude::*;

use super::*;

/// The age of the copy.
#[derive(Debug, Clone, Copy)]
enum Copy {
    /// The copy is older than the order.
    Nothing,
    /// The copy was made after this number of steps.
    After(usize),
}

/// Applies the events that the copy does not have.
fn rolled_forward(copy: Option<&Payment>, events: &[PaymentEvent]) -> Option<Payment> {
    let mut payment = copy.cloned();
    for (index, event) in events.iter().enumerate() {
        let sequence = Sequence::from_i64(i64::try_from(index).unwrap() + 1).unwrap();
        let payment = payment.get_or_insert_with(|| Payment::of_published(event));
        if sequence > payment.version {
            payment.recover(event, sequence, NOW);
        }
    }
    payment
}

/// Reads `orders` again from the position of the copy.
fn read_again(payment: Option<Payment>, goal: Goal) -> (Payment, Option<PaymentEvent>) {
    let payment = match payment {
        Some(mut payment) if payment.seen_orders == Sequence::NONE => {
            payment.on_placed(&order(), placed(), NOW);
            payment
        }
        Some(payment) => payment,
        None => Payment::of_placed(&order(), placed(), NOW),
    };
    let mut payment = payment;
    let event = payment.pursue(goal, NOW);
    (payment, event)
}

/// The event as an earlier version published it.
fn unnamed(mut event: PaymentEvent) -> PaymentEvent {
    if let PaymentEvent::Authorized(authorized) = &mut event {
        authorized.gateway_id = None;
    }
    event
}

fn copy() -> impl Strategy<Value = Copy> {
    prop_oneof![Just(Copy::Nothing), (0..12_usize).prop_map(Copy::After)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_restored_payment_goes_on_where_its_events_end(
        before in prop::collection::vec(step(), 0..12),
        after in prop::collection::vec(step(), 0..16),
        copy in copy(),
        named in any::<bool>(),
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
        let mut copied = None;
        for (index, step) in before.into_iter().enumerate() {
            if matches!(copy, Copy::After(steps) if steps == index) {
                copied = Some(world.payment.clone());
            }
            world.step(step);
        }
        // The outcomes of all calls are known when the database is lost.
        for _ in 0..4 {
            if world.payment.started {
                world.step(Step::Work(Fate::Answered));
            }
        }
        let lost = world.payment.clone();
        if !named {
            world.events = world.events.into_iter().map(unnamed).collect();
        }

        let restored = rolled_forward(copied.as_ref(), &world.events);
        let version = restored.as_ref().map_or(Sequence::NONE, |payment| payment.version);
        prop_assert_eq!(version, lost.version);
        if let (Some(restored), true) = (&restored, named) {
            prop_assert_eq!((restored.status, &restored.gateway_id), (lost.status, &lost.gateway_id));
        }

        let published = world.events.len();
        let (payment, event) = read_again(restored, lost.goal);
        world.payment = payment;
        world.events.extend(event);
        if named && published > 0 {
            prop_assert_eq!(&world.payment.goal, &lost.goal);
            prop_assert_eq!(&world.payment.status, &lost.status);
            // A call whose outcome the copy does not know is resolved first.
            prop_assert!(world.payment.started || world.payment.operation == lost.operation);
            prop_assert_eq!(&world.payment.method, &lost.method);
            prop_assert_eq!(world.events.len(), published, "nothing is published again");
        }
        for step in after {
            world.step(step);
        }
        for _ in 0..12 {
            world.step(Step::Work(Fate::Answered));
        }
        while !world.in_flight.is_empty() {
            world.step(Step::Arrive);
        }
        if named {
            world.check_the_history();
        } else {
            // The worker has repeated the authorization and published the same answers again.
            let mut once = Vec::new();
            world.events.retain(|event| {
                let is_new = !once.contains(&discriminant(event));
                once.push(discriminant(event));
                is_new
            });
        }
        world.check();
    }
}
