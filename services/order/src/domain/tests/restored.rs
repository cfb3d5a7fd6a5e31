//! The databases of order, payment and inventory are restored from older copies, at any moment and several times: money and
//! goods end where the order requires it, whether order's and inventory's copies are rolled forward or not. Payment's must
//! be, since a payment without a known authorization is voided without a call to the gateway.

use envelope::{Arrival, Cleanup, Generation};
use proptest::prelude::*;

use super::*;

/// A topic: the events of the one order, oldest first.
type Log<T> = Vec<(Sequence, T)>;

/// The gateway's ledger, which no restore changes.
#[derive(Debug, Default)]
struct Ledger {
    /// The answer to the first request; a repetition gets the same answer.
    declined: Option<bool>,
    held: bool,
    captured: usize,
    refunded: usize,
}

/// The database of a service that reads one or two topics and publishes one.
#[derive(Debug, Clone, Default)]
struct Database<S> {
    state: S,
    /// The position in each topic, and the last sequence applied.
    read: [(usize, Sequence); 2],
    version: u64,
}

fn sequence(number: u64, generation: i32) -> Sequence {
    let generation = Generation::from_i32(generation).unwrap();
    Sequence::from_i64(i64::try_from(number).unwrap()).unwrap().of(generation)
}

/// The next event that the reader did not apply before.
fn next<T: Clone>((position, last_sequence): &mut (usize, Sequence), log: &Log<T>) -> Option<T> {
    let (sequence, event) = log.get(*position)?.clone();
    *position += 1;
    let arrival = sequence.arrival(*last_sequence, Cleanup::Delete);
    *last_sequence = sequence.max(*last_sequence);
    (arrival != Arrival::Repeated).then_some(event)
}

#[derive(Debug, Clone, Copy, Default)]
struct Paying {
    goal: usize,
    state: Option<Payment>,
}

struct World {
    orders: Log<OrderEvent>,
    payments: Log<Payment>,
    stocks: Log<Stock>,
    order: Database<Option<Order>>,
    payment: Database<Paying>,
    inventory: Database<Option<Stock>>,
    copies: (Database<Option<Order>>, Database<Paying>, Database<Option<Stock>>),
    generations: [i32; 3],
    ledger: Ledger,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    PaymentReads,
    PaymentWorks { declines: bool, capture_fails: bool },
    InventoryWorks { rejects: bool },
    OrderReadsPayment,
    OrderReadsReservation,
    CustomerCancels,
    Expires,
    Copy(usize),
    RestoreOrder { forward: bool, cancels_before: bool },
    RestorePayment,
    RestoreInventory { forward: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let flags = || any::<(bool, bool)>();
    prop_oneof![
        4 => Just(Step::PaymentReads),
        4 => flags().prop_map(|(declines, capture_fails)| Step::PaymentWorks {
            declines, capture_fails: capture_fails && declines,
        }),
        6 => any::<bool>().prop_map(|rejects| Step::InventoryWorks { rejects }),
        4 => Just(Step::OrderReadsPayment),
        4 => Just(Step::OrderReadsReservation),
        1 => Just(Step::CustomerCancels),
        1 => Just(Step::Expires),
        2 => (0_usize..3).prop_map(Step::Copy),
        1 => flags().prop_map(|(forward, cancels_before)| Step::RestoreOrder { forward, cancels_before }),
        1 => Just(Step::RestorePayment),
        1 => any::<bool>().prop_map(|forward| Step::RestoreInventory { forward }),
    ]
}

impl World {
    fn open() -> Self {
        let (mut order, event) = Order::place(placed());
        order.entries.clear();
        let order = Database { state: Some(order), ..Database::default() };
        Self {
            orders: vec![(sequence(1, 0), event)],
            payments: Log::new(),
            stocks: Log::new(),
            copies: (order.clone(), Database::default(), Database::default()),
            order,
            payment: Database::default(),
            inventory: Database::default(),
            generations: [0; 3],
            ledger: Ledger::default(),
        }
    }

    fn order(&mut self) -> &mut Order {
        self.order.state.as_mut().unwrap()
    }

    fn publish(&mut self, event: Option<OrderEvent>) {
        let (version, generation) = (self.order().version.number(), self.generations[0]);
        self.orders.extend(event.map(|event| (sequence(version, generation), event)));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::PaymentReads => {
                if let Some(event) = next(&mut self.payment.read[0], &self.orders) {
                    let goal = match event {
                        OrderEvent::Placed(_) => 1,
                        OrderEvent::Confirmed(_) => 2,
                        OrderEvent::Cancelled(_) => 3,
                    };
                    self.payment.state.goal = self.payment.state.goal.max(goal);
                }
            }
            Step::PaymentWorks { declines, capture_fails } => self.pay(declines, capture_fails),
            Step::InventoryWorks { rejects } => self.store(rejects),
            Step::OrderReadsPayment => {
                if let Some(payment) = next(&mut self.order.read[0], &self.payments) {
                    let event = self.order().apply_payment(&payment_event(payment), NOW);
                    self.publish(event);
                }
            }
            Step::OrderReadsReservation => {
                if let Some(stock) = next(&mut self.order.read[1], &self.stocks) {
                    let event = self.order().apply_reservation(&stock_event(stock), NOW);
                    self.publish(event);
                }
            }
            Step::CustomerCancels => {
                let event = self.order().cancel(NOW);
                self.publish(event);
            }
            Step::Expires => {
                let event = self.order().expire(NOW);
                self.publish(event);
            }
            Step::Copy(0) => self.copies.0 = self.order.clone(),
            Step::Copy(1) => self.copies.1 = self.payment.clone(),
            Step::Copy(_) => self.copies.2 = self.inventory.clone(),
            Step::RestoreOrder { forward, cancels_before } => self.restore_order(forward, cancels_before),
            Step::RestorePayment => {
                self.payment = self.copies.1.clone();
                self.generations[1] += 1;
                for (sequence, payment) in &self.payments {
                    if sequence.number() > self.payment.version {
                        self.payment.version = sequence.number();
                        self.payment.state.state = Some(*payment);
                    }
                }
            }
            Step::RestoreInventory { forward } => {
                self.inventory = self.copies.2.clone();
                self.generations[2] += 1;
                for (sequence, stock) in self.stocks.iter().filter(|_| forward) {
                    if sequence.number() > self.inventory.version {
                        self.inventory.version = sequence.number();
                        self.inventory.state = Some(*stock);
                    }
                }
            }
        }
    }

    /// The copy may have served requests without Kafka before it was recognised as a copy; its decisions are in its outbox.
    fn restore_order(&mut self, forward: bool, cancels_before: bool) {
        self.order = self.copies.0.clone();
        let early = if cancels_before { self.order().cancel(NOW) } else { None };
        let early = early.map(|event| (self.order().version.number(), event));
        for (sequence, event) in self.orders.clone().into_iter().filter(|_| forward) {
            if sequence.number() > self.order().version.number() {
                self.order().version = sequence.of(Generation::FIRST);
                self.order().recover(&event, NOW);
            }
        }
        self.generations[0] += 1;
        let generation = self.generations[0];
        self.orders.extend(early.map(|(number, event)| (sequence(number, generation), event)));
    }

    /// Makes one call to the gateway, which has no effect twice.
    fn pay(&mut self, declines: bool, capture_fails: bool) {
        use Payment::{Authorized, Captured, Declined, Failed, Refunded, Voided};
        let ledger = &mut self.ledger;
        let was_charged = ledger.captured > 0;
        let next = match (self.payment.state.goal, self.payment.state.state) {
            (1 | 2, None) if ledger.declined == Some(true) => Declined,
            (1 | 2, None) if ledger.declined == Some(false) => Authorized,
            (1 | 2, None) => {
                ledger.declined = Some(declines);
                ledger.held = !declines;
                if declines { Declined } else { Authorized }
            }
            (2, Some(Authorized)) if capture_fails && !was_charged => Failed,
            (2, Some(Authorized)) => {
                ledger.held = false;
                ledger.captured = 1;
                Captured
            }
            (3, None) => Voided,
            (3, Some(Authorized | Failed | Captured)) => {
                ledger.held = false;
                ledger.refunded = ledger.captured;
                if was_charged { Refunded } else { Voided }
            }
            _ => return,
        };
        self.payment.state.state = Some(next);
        self.payment.version += 1;
        self.payments.push((sequence(self.payment.version, self.generations[1]), next));
    }

    fn store(&mut self, rejects: bool) {
        use Stock::{Committed, Rejected, Released, Reserved};
        let Some(event) = next(&mut self.inventory.read[0], &self.orders) else { return };
        let next = match (event, self.inventory.state) {
            (OrderEvent::Placed(_), None) if rejects => Rejected,
            (OrderEvent::Placed(_), None) => Reserved,
            (OrderEvent::Confirmed(_), Some(Reserved)) => Committed,
            (OrderEvent::Cancelled(_), None | Some(Reserved | Committed)) => Released,
            _ => return,
        };
        self.inventory.state = Some(next);
        self.inventory.version += 1;
        self.stocks.push((sequence(self.inventory.version, self.generations[2]), next));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn money_and_goods_end_where_the_order_requires_it(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::open();
        // In the end every service works until nothing moves.
        let rest = [
            Step::PaymentReads, Step::PaymentWorks { declines: false, capture_fails: false },
            Step::InventoryWorks { rejects: false }, Step::OrderReadsPayment, Step::OrderReadsReservation,
        ];
        for step in steps.into_iter().chain(rest.into_iter().cycle().take(600)) {
            world.step(step);
        }
        let State { status, .. } = world.order().state;
        let World { ledger, inventory, payment, .. } = &world;
        prop_assert!(ledger.captured <= 1 && ledger.refunded <= ledger.captured);
        match status {
            Status::Placed => prop_assert!(false, "still waiting: {payment:?} {inventory:?}"),
            Status::Confirmed => {
                prop_assert_eq!((ledger.captured, ledger.refunded), (1, 0), "{:?} {:?}", payment, inventory);
                prop_assert_eq!(inventory.state, Some(Stock::Committed));
            }
            Status::Cancelled(_) => {
                prop_assert!(!ledger.held && ledger.captured == ledger.refunded, "{ledger:?} {payment:?}");
                prop_assert!(matches!(inventory.state, Some(Stock::Rejected | Stock::Released)), "{inventory:?}");
            }
        }
    }
}
