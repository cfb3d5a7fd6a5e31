//! With any events, in any order and number: no quantity is negative, nothing gets lost, every order is answered once.

mod restored;

use std::collections::HashMap;

use envelope::Sequence;
use events::values::{CustomerId, Money, OrderId, Sku};
use events::{
    CancelReason, Item, Line, OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, ReservationEvent,
};
use proptest::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Contradiction, Reservation, Shelves, Status, Stock, Warehouse};

const SKUS: [&str; 4] = ["A", "B", "C", "UNKNOWN"];

/// An event or an operator's request.
#[derive(Debug, Clone, Copy)]
enum Step {
    Place(usize),
    Confirm(usize),
    Cancel(usize),
    Restock(usize, i64),
    Count(usize, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = 0..8_usize;
    let step = prop_oneof![
        4 => order.clone().prop_map(Step::Place),
        3 => order.clone().prop_map(Step::Confirm),
        3 => order.prop_map(Step::Cancel),
        2 => (0..3_usize, 1..9_i64).prop_map(|(sku, quantity)| Step::Restock(sku, quantity)),
        1 => (0..3_usize, 0..9_i64).prop_map(|(sku, on_hand)| Step::Count(sku, on_hand)),
    ];
    prop::collection::vec(step, 1..80)
}

/// The lines of eight orders: an index into [`SKUS`] each, in any order, and a quantity.
fn carts() -> impl Strategy<Value = Vec<Vec<(usize, i64)>>> {
    let skus = prop::sample::subsequence(vec![0, 0, 1, 1, 2, 2, 3], 1..4).prop_shuffle();
    let cart = skus.prop_flat_map(|mut skus| {
        let mut kept = Vec::new();
        skus.retain(|sku| {
            !kept.contains(sku) && {
                kept.push(*sku);
                true
            }
        });
        let quantities = prop::collection::vec(1..5_i64, skus.len());
        quantities.prop_map(move |quantities| skus.iter().copied().zip(quantities).collect())
    });
    prop::collection::vec(cart, 8)
}

fn sku(index: usize) -> Sku {
    SKUS[index].parse().unwrap()
}

fn order(index: usize) -> OrderId {
    Uuid::from_u128(index as u128 + 1).into()
}

fn items(cart: &[(usize, i64)]) -> Vec<Item> {
    let price = Money { amount: 100, currency: "EUR".parse().unwrap() };
    let item = |(index, quantity): &(usize, i64)| Item {
        sku: sku(*index),
        name: "Thing".parse().unwrap(),
        quantity: (*quantity).try_into().unwrap(),
        unit_price: price,
    };
    cart.iter().map(item).collect()
}

fn placed(index: usize, cart: &[(usize, i64)]) -> OrderEvent {
    OrderEvent::Placed(OrderPlaced {
        order_id: order(index),
        customer_id: CustomerId::from(Uuid::nil()),
        items: items(cart),
        total: Money::zero("EUR".parse().unwrap()),
        payment_method: "pm_card_visa".parse().unwrap(),
        notify_me: false,
        claim: None,
        placed_at: OffsetDateTime::UNIX_EPOCH,
    })
}

fn confirmed(index: usize) -> OrderEvent {
    OrderEvent::Confirmed(OrderConfirmed {
        order_id: order(index),
        customer_id: CustomerId::from(Uuid::nil()),
        items: Vec::new(),
        total: Money::zero("EUR".parse().unwrap()),
        claim: None,
    })
}

fn cancelled(index: usize) -> OrderEvent {
    OrderEvent::Cancelled(OrderCancelled {
        order_id: order(index),
        customer_id: CustomerId::from(Uuid::nil()),
        reason: CancelReason::CustomerRequest,
        items: Vec::new(),
        total: Money::zero("EUR".parse().unwrap()),
        short: Vec::new(),
        notify_me: false,
    })
}

/// Three products without stock; the fourth SKU has no product.
fn empty() -> Warehouse {
    let shelves = (0..3).map(|index| (sku(index), Stock::default())).collect();
    Warehouse { shelves: Shelves(shelves), ..Warehouse::default() }
}

/// Asserts the schema's constraints, and that the products' sums are those of the orders.
fn assert_adds_up(warehouse: &Warehouse) {
    let held = |status, sku: &Sku| -> i64 {
        let of_status = warehouse.reservations.values().filter(|reservation| reservation.status == status);
        let lines = of_status.flat_map(|reservation| &reservation.lines).filter(|line| line.sku == *sku);
        lines.map(|line| line.quantity.get()).sum()
    };
    for (sku, stock) in &warehouse.shelves.0 {
        assert!(stock.available() >= 0 && stock.reserved >= 0 && stock.committed >= 0, "{sku}: {stock:?}");
        let accounted = stock.available() + stock.reserved + stock.committed;
        assert_eq!(stock.restocked + stock.corrected, accounted, "{sku}: {stock:?}");
        assert_eq!(held(Status::Reserved, sku), stock.reserved, "{sku}");
        assert_eq!(held(Status::Committed, sku), stock.committed, "{sku}");
    }
}

/// Whether `next` may follow the answers to one order so far.
fn may_follow(answers: &[ReservationEvent], next: &ReservationEvent) -> bool {
    use ReservationEvent::{Committed, Rejected, Released, Reserved};
    match (answers, next) {
        ([], Reserved(_) | Rejected(_)) => true,
        ([], Released(released)) => released.lines.is_empty(),
        ([Reserved(held)], Committed(moved)) => held.lines == moved.lines,
        ([Reserved(held)] | [Reserved(held), Committed(_)], Released(moved)) => held.lines == moved.lines,
        _ => false,
    }
}

fn assert_names_exactly_what_is_short(
    before: &HashMap<Sku, i64>,
    event: &OrderEvent,
    answer: &ReservationEvent,
) {
    let OrderEvent::Placed(placed) = event else { return };
    let available = |sku: &Sku| before.get(sku).copied().unwrap_or(0);
    let short: Vec<_> =
        placed.items.iter().filter(|item| available(&item.sku) < item.quantity.get()).collect();
    match answer {
        ReservationEvent::Rejected(rejected) => {
            assert!(!short.is_empty());
            let named = rejected.short.iter().map(|line| (&line.sku, line.wanted, line.available));
            assert!(named.eq(short.iter().map(|item| (&item.sku, item.quantity, available(&item.sku)))));
        }
        ReservationEvent::Reserved(reserved) => {
            assert!(short.is_empty());
            let lines =
                placed.items.iter().map(|item| Line { sku: item.sku.clone(), quantity: item.quantity });
            assert!(reserved.lines.iter().cloned().eq(lines));
        }
        other => panic!("{other:?} answers a placed order"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_adds_up_and_every_order_is_answered_once(carts in carts(), steps in steps()) {
        let mut warehouse = empty();
        let mut answers: HashMap<OrderId, Vec<ReservationEvent>> = HashMap::new();
        for step in steps {
            let event = match step {
                Step::Place(index) => placed(index, &carts[index]),
                Step::Confirm(index) => confirmed(index),
                Step::Cancel(index) => cancelled(index),
                Step::Restock(index, quantity) => {
                    let stock = warehouse.shelves.0.get_mut(&sku(index)).unwrap();
                    stock.restock(quantity.try_into().unwrap()).unwrap();
                    continue;
                }
                Step::Count(index, on_hand) => {
                    let _ = warehouse.shelves.0.get_mut(&sku(index)).unwrap().count(on_hand);
                    continue;
                }
            };
            let available = warehouse.shelves.0.iter().map(|(sku, stock)| (sku.clone(), stock.available()));
            let before = available.collect::<HashMap<_, _>>();
            let order_id = event.order_id();
            let earlier = answers.entry(order_id).or_default();
            match warehouse.apply(&event) {
                Ok(Some(answer)) => {
                    assert!(may_follow(earlier, &answer), "{answer:?} after {earlier:?}");
                    assert_names_exactly_what_is_short(&before, &event, &answer);
                    earlier.push(answer);
                    let version = warehouse.reservations[&order_id].version.to_i64();
                    prop_assert_eq!(version, i64::try_from(earlier.len()).unwrap());
                    let rebuilt = warehouse.reservations[&order_id].published(order_id);
                    let sequences = rebuilt.iter().map(|(sequence, _)| sequence.to_i64());
                    prop_assert!(sequences.eq(1..=version));
                    prop_assert!(rebuilt.iter().map(|(_, event)| event).eq(&*earlier), "the rebuilt events are the published ones");
                }
                Ok(None) => prop_assert!(!earlier.is_empty()),
                Err(error) => {
                    let expected = [Contradiction::NeverPlaced, Contradiction::WasRejected];
                    prop_assert!(expected.contains(&error), "{}", error);
                }
            }
            assert_adds_up(&warehouse);
        }
        // After a cancellation, every order has released all of its goods.
        for index in 0..8 {
            let _ = warehouse.apply(&cancelled(index));
        }
        assert_adds_up(&warehouse);
        for stock in warehouse.shelves.0.values() {
            prop_assert_eq!((stock.reserved, stock.committed), (0, 0));
        }
    }
}

#[test]
fn an_order_that_lists_a_product_twice_is_rejected() {
    let mut warehouse = empty();
    let twice = warehouse.apply(&placed(0, &[(0, 1), (1, 1), (0, 1)]));
    assert_eq!(twice, Err(Contradiction::SkuTwice(sku(0))));
    assert!(warehouse.reservations.is_empty());
}

#[test]
fn an_order_that_is_placed_after_its_cancellation_stays_cancelled() {
    let mut warehouse = empty();
    assert!(warehouse.apply(&cancelled(0)).unwrap().is_some());
    assert_eq!(warehouse.apply(&placed(0, &[(0, 1)])), Ok(None));
    assert_eq!(warehouse.apply(&confirmed(0)), Ok(None));
}
