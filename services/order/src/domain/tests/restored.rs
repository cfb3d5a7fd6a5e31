//! Databases of order, payment and inventory are put back to older copies, at any moment and several times: money and goods
//! end where the order says, whether the copies of order and inventory are rolled forward or not. Payment's must be: a
//! payment of which nothing is known is reversed without a call of the gateway.

use envelope::{Arrival, Cleanup, Generation};
use proptest::prelude::*;

use super::*;

/// A topic: what was published of the one order, oldest first.
type Log<T> = Vec<(Sequence, T)>;

/// What a gateway knows, which no restore takes back.
#[derive(Debug, Default)]
struct Ledger {
    /// What it answered to the first request; the same request gets the same answer.
    declined: Option<bool>,
    held: bool,
    captured: usize,
    refunded: usize,
}

/// A part of the system that reads one topic or two and publishes on its own: its database.
#[derive(Debug, Clone, Default)]
struct Database<S> {
    state: S,
    /// How far each topic is read, and the last sequence seen of it.
    read: [(usize, Sequence); 2],
    version: u64,
}

fn sequence(number: u64, generation: i32) -> Sequence {
    let generation = Generation::from_i32(generation).unwrap();
    Sequence::from_i64(i64::try_from(number).unwrap()).unwrap().of(generation)
}

/// The next event that the reader did not apply before.
fn next<T: Clone>((position, seen): &mut (usize, Sequence), log: &Log<T>) -> Option<T> {
    let (sequence, event) = log.get(*position)?.clone();
    *position += 1;
    let arrival = sequence.arrival(*seen, Cleanup::Delete);
    *seen = sequence.max(*seen);
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
enum Turn {
    PaymentReads,
    PaymentWorks { declines: bool, capture_fails: bool },
    InventoryWorks { rejects: bool },
    OrderHearsPayment,
    OrderHearsInventory,
    CustomerCancels,
    TimeIsOver,
    Copy(usize),
    RestoreOrder { forward: bool, cancels_before: bool },
    RestorePayment,
    RestoreInventory { forward: bool },
}

fn turn() -> impl Strategy<Value = Turn> {
    let flags = || any::<(bool, bool)>();
    prop_oneof![
        4 => Just(Turn::PaymentReads),
        4 => flags().prop_map(|(declines, capture_fails)| Turn::PaymentWorks {
            declines, capture_fails: capture_fails && declines,
        }),
        6 => any::<bool>().prop_map(|rejects| Turn::InventoryWorks { rejects }),
        4 => Just(Turn::OrderHearsPayment),
        4 => Just(Turn::OrderHearsInventory),
        1 => Just(Turn::CustomerCancels),
        1 => Just(Turn::TimeIsOver),
        2 => (0_usize..3).prop_map(Turn::Copy),
        1 => flags().prop_map(|(forward, cancels_before)| Turn::RestoreOrder { forward, cancels_before }),
        1 => Just(Turn::RestorePayment),
        1 => any::<bool>().prop_map(|forward| Turn::RestoreInventory { forward }),
    ]
}

impl World {
    fn open() -> Self {
        let (mut order, event) = Order::place(placed());
        order.news.clear();
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

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::PaymentReads => {
                if let Some(event) = next(&mut self.payment.read[0], &self.orders) {
                    let goal = match event {
                        OrderEvent::Placed(_) => 1,
                        OrderEvent::Confirmed(_) => 2,
                        OrderEvent::Cancelled(_) => 3,
                    };
                    self.payment.state.goal = self.payment.state.goal.max(goal);
                }
            }
            Turn::PaymentWorks { declines, capture_fails } => self.pay(declines, capture_fails),
            Turn::InventoryWorks { rejects } => self.store(rejects),
            Turn::OrderHearsPayment => {
                if let Some(payment) = next(&mut self.order.read[0], &self.payments) {
                    let event = self.order().hear_payment(&payment_event(payment), NOW);
                    self.publish(event);
                }
            }
            Turn::OrderHearsInventory => {
                if let Some(stock) = next(&mut self.order.read[1], &self.stocks) {
                    let event = self.order().hear_reservation(&stock_event(stock), NOW);
                    self.publish(event);
                }
            }
            Turn::CustomerCancels => {
                let event = self.order().cancel(NOW);
                self.publish(event);
            }
            Turn::TimeIsOver => {
                let event = self.order().expire(NOW);
                self.publish(event);
            }
            Turn::Copy(0) => self.copies.0 = self.order.clone(),
            Turn::Copy(1) => self.copies.1 = self.payment.clone(),
            Turn::Copy(_) => self.copies.2 = self.inventory.clone(),
            Turn::RestoreOrder { forward, cancels_before } => self.restore_order(forward, cancels_before),
            Turn::RestorePayment => {
                self.payment = self.copies.1.clone();
                self.generations[1] += 1;
                for (sequence, payment) in &self.payments {
                    if sequence.number() > self.payment.version {
                        self.payment.version = sequence.number();
                        self.payment.state.state = Some(*payment);
                    }
                }
            }
            Turn::RestoreInventory { forward } => {
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

    /// The copy may have been served, without Kafka, before it was known to be one: what it decided waited in its outbox.
    fn restore_order(&mut self, forward: bool, cancels_before: bool) {
        self.order = self.copies.0.clone();
        let early = if cancels_before { self.order().cancel(NOW) } else { None };
        let early = early.map(|event| (self.order().version.number(), event));
        for (sequence, event) in self.orders.clone().into_iter().filter(|_| forward) {
            if sequence.number() > self.order().version.number() {
                self.order().version = sequence.of(Generation::FIRST);
                self.order().was_published(&event, NOW);
            }
        }
        self.generations[0] += 1;
        let generation = self.generations[0];
        self.orders.extend(early.map(|(number, event)| (sequence(number, generation), event)));
    }

    /// One call of the gateway, which does nothing twice.
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
    fn money_and_goods_end_where_the_order_says(turns in prop::collection::vec(turn(), 0..60)) {
        let mut world = World::open();
        // In the end everyone works and is heard until nothing moves.
        let rest = [
            Turn::PaymentReads, Turn::PaymentWorks { declines: false, capture_fails: false },
            Turn::InventoryWorks { rejects: false }, Turn::OrderHearsPayment, Turn::OrderHearsInventory,
        ];
        for turn in turns.into_iter().chain(rest.into_iter().cycle().take(600)) {
            world.turn(turn);
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
