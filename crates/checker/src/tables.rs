//! The rows of the four databases, with the columns that invariants read.

use std::collections::BTreeMap;

use events::Item;
use events::values::{CustomerId, DeliveryId, OrderId, SubscriptionId};
use serde::{Deserialize, Serialize};

/// Declares a row: a struct that reads the row's JSON and ignores other columns.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident { $($column:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            $(pub $column: $type,)*
        }
    )*};
}

rows! {
    /// A row of order's `orders`.
    Order {
        id: OrderId, customer_id: CustomerId, items: Vec<Item>, total: i64, payment_method: String, status: String,
        reason: Option<String>, payment: String, stock: String, history: Vec<Entry>, version: i64,
    }
    /// An entry of an order's history.
    Entry { r#type: String, at: String, }
    /// A row of order's `customers`.
    Customer { id: CustomerId, email: Option<String>, merged_into: Option<CustomerId>, version: i64, }
    /// A row of payment's `payments`.
    Payment { id: OrderId, status: String, amount: i64, operation: Option<String>, version: i64, }
    /// A row of the gateway's ledger: an authorization, which may be captured or voided.
    Authorization {
        reference: OrderId, id: String, amount: i64, answer: String, captured_at: Option<String>, voided_at: Option<String>,
    }
    /// A row of the gateway's refunds.
    Refund { reference: OrderId, charge_id: String, amount: i64, }
    /// A row of inventory's `products`.
    Product { sku: String, name: String, amount: i64, listed: bool, version: i64, }
    /// A row of inventory's `stock`.
    Stock {
        sku: String, on_hand: i64, reserved: i64, committed: i64, restocked: i64, corrected: i64, restocks: i64, version: i64,
    }
    /// A row of inventory's `reservations`.
    Reservation { order_id: OrderId, status: String, lines: Vec<events::Line>, version: i64, }
    /// A row of notification's `deliveries`.
    Delivery {
        id: DeliveryId, kind: String, channel: String, order_id: Option<OrderId>, sku: Option<String>,
        subscription_id: Option<SubscriptionId>, restocks: Option<i64>, customer_id: Option<CustomerId>, status: String,
        attempts: i64, token: Option<String>, next_at: Option<String>, version: i64,
    }
    /// A row of notification's `subscriptions`; `email` is known until it is erased.
    Subscription {
        id: SubscriptionId, sku: String, email: Option<String>, quantity: i64, state: String, consent: Option<String>,
        activated_at: Option<String>, queued_at: Option<String>, version: i64,
    }
    /// A row of `broker.outbox`.
    Outbox { id: i64, topic: String, }
    /// A row of `broker.positions`, with the end of the partition's log; `None` when the partition does not exist.
    Position { topic: String, partition: i32, next_offset: i64, end: Option<i64>, }
    /// A row of `broker.dead_letters`.
    DeadLetter { topic: String, partition: i32, log_offset: i64, cause: String, redriven_at: Option<String>, }
    /// A row of `broker.leases`; `live` when it has not expired.
    Lease { name: String, live: bool, }
}

/// The broker's tables of one service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Broker {
    pub outbox: Vec<Outbox>,
    pub positions: Vec<Position>,
    pub dead_letters: Vec<DeadLetter>,
    pub leases: Vec<Lease>,
}

/// The tables of all services.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tables {
    pub orders: Vec<Order>,
    pub customers: Vec<Customer>,
    pub payments: Vec<Payment>,
    pub authorizations: Vec<Authorization>,
    pub refunds: Vec<Refund>,
    pub products: Vec<Product>,
    pub stock: Vec<Stock>,
    pub reservations: Vec<Reservation>,
    pub deliveries: Vec<Delivery>,
    pub subscriptions: Vec<Subscription>,
    /// By service.
    pub brokers: BTreeMap<String, Broker>,
}
