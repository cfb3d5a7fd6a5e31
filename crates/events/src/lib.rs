//! The shop's domain vocabulary: the values that its services exchange, and the events of each topic.
//!
//! Values are parsed once, at the edge, and trusted inside. Fields of events may be added, never renamed or retyped:
//! `golden/` holds one JSON file per event type, and a test fails when one changes or an older one no longer parses.
//!
//! Each text is typed once. An event's type is the serde name of its variant ([`envelope::Event::ce_type`] returns it). An
//! enum that a database stores as text derives strum's `IntoStaticStr` and `EnumString`, here and in the services:
//! `<&str>::from(value)` writes it, `parse()` reads it.

#![allow(missing_docs, reason = "most fields are what their names say")]

mod customers;
mod notifications;
mod orders;
mod payments;
mod products;
mod reservations;
mod stock;
pub mod values;

pub use customers::{CUSTOMERS, CustomerErased, CustomerEvent, CustomerRegistered};
pub use notifications::{
    Channel, Delivery, DeliveryFailed, NOTIFICATIONS, NotificationEvent, NotificationKind,
    SubscriptionConfirmed, SubscriptionConverted,
};
pub use orders::{CancelReason, Item, ORDERS, OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced};
pub use payments::{
    DeclineReason, PAYMENTS, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined,
    PaymentEvent, PaymentRefunded, PaymentVoided,
};
pub use products::{PRODUCTS, Product, ProductEvent};
pub use reservations::{
    Line, RESERVATIONS, ReservationEvent, ShortLine, StockCommitted, StockRejected, StockReleased,
    StockReserved,
};
pub use stock::{STOCK, StockEvent, StockLevel};
