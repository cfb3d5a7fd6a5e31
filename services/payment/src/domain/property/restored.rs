//! A database that was restored from an older copy: rolled forward by the published events, it knows of the money what was
//! known before, and whatever comes then, money moves at most once.

use std::mem::discriminant;

use proptest::prelude::*;

use super::*;

/// What the copy knows of the payment.
#[derive(Debug, Clone, Copy)]
enum Copy {
    /// It is older than the order.
    Nothing,
    /// It was made after so many steps.
    After(usize),
}

/// The payment as `copy` and the first events have it, with the rest of the events applied.
fn rolled_forward(copy: Option<&Payment>, events: &[PaymentEvent]) -> Option<Payment> {
    let mut payment = copy.cloned();
    for (index, event) in events.iter().enumerate() {
        let sequence = Sequence::from_i64(i64::try_from(index).unwrap() + 1).unwrap();
        let payment = payment.get_or_insert_with(|| Payment::unknown(event));
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
            payment.placed_again(&order(), asked(1), NOW);
            payment
        }
        Some(payment) => payment,
        None => Payment::placed(&order(), asked(1), NOW),
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
            payment: Payment::placed(&order(), asked(1), NOW),
            events: Vec::new(),
            under_way: Vec::new(),
        };
        let mut copied = None;
        for (index, step) in before.into_iter().enumerate() {
            if matches!(copy, Copy::After(steps) if steps == index) {
                copied = Some(world.payment.clone());
            }
            world.step(step);
        }
        // What the gateway was asked is known when the database is lost.
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

        let told = world.events.len();
        let (payment, event) = read_again(restored, lost.goal);
        world.payment = payment;
        world.events.extend(event);
        if named && told > 0 {
            prop_assert_eq!(&world.payment.goal, &lost.goal);
            prop_assert_eq!(&world.payment.status, &lost.status);
            // What the copy does not know the outcome of is settled first.
            prop_assert!(world.payment.started || world.payment.operation == lost.operation);
            prop_assert_eq!(&world.payment.method, &lost.method);
            prop_assert_eq!(world.events.len(), told, "told again");
        }
        for step in after {
            world.step(step);
        }
        for _ in 0..12 {
            world.step(Step::Work(Fate::Answered));
        }
        while !world.under_way.is_empty() {
            world.step(Step::Arrive);
        }
        if named {
            world.check_the_history();
        } else {
            // The worker has asked for the authorization again, and told the same answers again.
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
