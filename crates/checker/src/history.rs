//! The history of a run, as the collector reads it after the run. serde writes a history to a file and reads it again.

use std::collections::BTreeSet;

use events::values::{DeliveryId, OrderId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tables::Tables;

/// All that is known of a run. Times are milliseconds since its start, by one clock.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    /// The requests of all clients, in the order in which they were sent.
    pub calls: Vec<Call>,
    /// All records of all topics, per partition in the order of their offsets.
    pub records: Vec<Record>,
    /// The tables of all databases, read when the system was idle.
    pub tables: Tables,
    /// The mails that clients sent to the mail server, in the order of their arrival.
    pub mails: Vec<Mail>,
    /// The records that the run wrote itself, and that every consumer of their topic must reject.
    pub injected: BTreeSet<Location>,
    /// The times at which the system was idle: every earlier request had taken effect.
    pub idle_at: Vec<u64>,
    /// The number of events that may have cut a mail in flight: a crash, a freeze, a cut connection.
    pub interruptions: usize,
    /// Whether topics or databases were replaced during the run, so that a repetition may have been published anew.
    pub republished: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    pub request: Request,
    /// The time before it was sent.
    pub sent: u64,
    /// The time after the answer arrived; `None`: the client has none, and the request may or may not have taken effect.
    pub answered: Option<u64>,
    /// The status of the answer; 0 without one.
    pub status: u16,
    pub answer: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// `POST /orders`; each attempt is a call of its own.
    Place {
        /// The idempotency key, the same for all attempts.
        key: String,
        body: Value,
    },
    /// `GET /orders/{id}`
    Read(OrderId),
    /// `POST /orders/{id}/cancel`
    Cancel(OrderId),
    /// `POST /products/{sku}/restock`
    Restock {
        sku: String,
        quantity: i64,
        /// The idempotency key, the same for all attempts.
        key: String,
    },
    /// `POST /subscriptions`
    Subscribe { email: String, sku: String },
    /// `POST /subscriptions/unsubscribe`
    Unsubscribe { email: String, sku: String },
    /// `POST /erasures` of the notification service
    EraseContact { email: String },
    /// `POST /erasures` of the order service, once the notification service has accepted the same
    Erase { email: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The topic, without the system's prefix.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    /// The value; `None` for a tombstone.
    pub value: Option<String>,
    pub headers: Vec<(String, String)>,
}

/// The topic, partition and offset of a record.
pub type Location = (String, i32, i64);

/// A mail that the notification service sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub to: String,
    /// The delivery that its header `Message-ID` names.
    pub delivery: DeliveryId,
    /// Whether the mail is about an order; otherwise it is about a subscription.
    pub about_order: bool,
    pub accepted: bool,
    pub at: u64,
}

impl Record {
    pub fn place(&self) -> Location {
        (self.topic.clone(), self.partition, self.offset)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }
}

impl Call {
    /// The answer as JSON; null when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.answer).unwrap_or_default()
    }
}
