//! No message is sent to a person after an erasure, and none about a product after unsubscribing from it or buying it.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Facts;
use crate::history::{Call, History, Mail, Request};
use crate::tables::Order;

/// No mail arrives after somebody has left and the system was idle, unless they came back.
pub(crate) fn nobody_is_notified_after_leaving(facts: &Facts<'_>) -> Vec<String> {
    let history = facts.history;
    let deliveries: BTreeMap<_, _> = history.tables.deliveries.iter().map(|row| (row.id, row)).collect();
    let (mut mails, mut requests) =
        (BTreeMap::<&str, Vec<&Mail>>::new(), BTreeMap::<&str, Vec<&Call>>::new());
    for mail in &history.mails {
        mails.entry(&mail.to).or_default().push(mail);
    }
    for call in &history.calls {
        if let Some(email) = address(&call.request) {
            requests.entry(email).or_default().push(call);
        }
    }
    let mut found = Vec::new();
    for call in &history.calls {
        let Some(leaving) = leaving(facts, call) else { continue };
        let Some(effective) = effective_at(history, call) else { continue };
        let (later, requests) = (mails.get(leaving.email), requests.get(leaving.email));
        for mail in later.into_iter().flatten().filter(|mail| mail.at > effective) {
            let about = deliveries.get(&mail.delivery).filter(|row| row.kind == "back_in_stock");
            let about = about.and_then(|row| row.sku.as_deref());
            let concerned = leaving.sku.is_none_or(|sku| about == Some(sku));
            let asks_again = |other: &&Call| {
                let is_later = call.sent < other.sent && other.sent < mail.at;
                is_later && leaving.ends_by(&other.request) || leaving.refused_since(facts, other)
            };
            if concerned && !requests.into_iter().flatten().any(asks_again) {
                found.push(format!("{:?} at {effective} ms, and later {mail:?}", call.request));
            }
        }
    }
    found
}

/// The address that asks for mails.
fn address(request: &Request) -> Option<&str> {
    match request {
        Request::Subscribe { email, .. } => Some(email),
        Request::Place { body, .. } => body["email"].as_str(),
        _ => None,
    }
}

/// Who left: everything (`None`), or the wait for a product.
struct Leaving<'h> {
    email: &'h str,
    sku: Option<&'h str>,
    /// When the order that bought the product was confirmed.
    bought: Option<OffsetDateTime>,
}

fn leaving<'h>(facts: &Facts<'h>, call: &'h Call) -> Option<Leaving<'h>> {
    match &call.request {
        Request::Erase { email } if call.status == 202 => Some(Leaving { email, sku: None, bought: None }),
        Request::Unsubscribe { email, sku } if call.status == 200 => {
            Some(Leaving { email, sku: Some(sku), bought: None })
        }
        Request::Place { body, .. } if call.status == 202 => {
            let row = order(facts, call).filter(|row| row.status == "confirmed")?;
            let [item] = body["items"].as_array()?.as_slice() else { return None };
            let bought = reached(row, "order.confirmed.v1");
            Some(Leaving { email: body["email"].as_str()?, sku: item["sku"].as_str(), bought })
        }
        _ => None,
    }
}

/// The first moment after the answer at which the system was idle.
fn effective_at(history: &History, call: &Call) -> Option<u64> {
    let answered = call.answered?;
    history.idle_at.iter().copied().find(|idle| *idle >= answered)
}

/// The order that a request placed.
fn order<'h>(facts: &Facts<'h>, call: &Call) -> Option<&'h Order> {
    facts.rows.get(&call.json()["id"].as_str()?.parse().ok()?).copied()
}

/// The time of an event in an order's history.
fn reached(order: &Order, event: &str) -> Option<OffsetDateTime> {
    let entry = order.history.iter().find(|entry| entry.r#type == event)?;
    OffsetDateTime::parse(&entry.at, &Rfc3339).ok()
}

impl Leaving<'_> {
    /// Whether another order for the product that asks for such mails was refused after the purchase, or at the same moment (in the
    /// same batch): the customer wanted both.
    fn refused_since(&self, facts: &Facts<'_>, other: &Call) -> bool {
        let Request::Place { body, .. } = &other.request else { return false };
        let refused = order(facts, other).and_then(|order| reached(order, "order.cancelled.v1"));
        let is_later = self.bought.zip(refused).is_some_and(|(bought, refused)| bought <= refused);
        is_later && self.is_wanted(body)
    }

    /// Whether this later request of the same address asks for such mails again.
    fn ends_by(&self, request: &Request) -> bool {
        match request {
            Request::Place { body, .. } => self.sku.is_none() || self.is_wanted(body),
            Request::Subscribe { sku, .. } => self.sku.is_none_or(|left| left == sku),
            _ => false,
        }
    }

    /// Whether an order with this body asks for mails about the product.
    fn is_wanted(&self, body: &Value) -> bool {
        let mut items = body["items"].as_array().into_iter().flatten();
        body["notify_me"] == true && items.any(|item| item["sku"].as_str() == self.sku)
    }
}
