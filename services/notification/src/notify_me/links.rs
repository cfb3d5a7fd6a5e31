//! The links in messages: what a recipient can do about them, without an account.

use std::collections::BTreeMap;

use events::values::{Sku, SubscriptionId};
use serde::Serialize;

use super::tokens::{Grant, Tokens};
use crate::deliver::content::Content;

/// Makes links.
#[derive(Clone)]
pub(crate) struct Linker {
    pub tokens: Tokens,
    /// How this service is reached from outside, without a slash at the end.
    pub public_url: String,
}

/// The links of one message, those that it has.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Links {
    pub confirm: Option<String>,
    pub unsubscribe: Option<String>,
    /// No more of any product.
    pub refuse: Option<String>,
    pub again: Option<String>,
    /// To the shop, by way of this service: it counts the click.
    pub shop: Option<String>,
    /// Of an order's short lines: not to be told after all, or to be told.
    pub undo: BTreeMap<Sku, String>,
    pub notify_me: BTreeMap<Sku, String>,
}

impl Linker {
    /// The links of a message.
    pub(crate) fn links(&self, content: &Content) -> Links {
        let mut links = Links::default();
        match content {
            Content::ConfirmSubscription { subscription_id, round, quantity, until, .. } => {
                let grant = Grant::Confirm(*subscription_id, *round, *quantity, *until);
                links.confirm = Some(self.page("subscriptions/confirm", &grant));
                links.unsubscribe = Some(self.unsubscribe(*subscription_id));
                links.refuse = Some(self.page("subscriptions/refuse", &Grant::Refuse(*subscription_id)));
            }
            Content::BackInStock { subscription_id, .. } => {
                let claim = self.tokens.issue(&Grant::Claim(*subscription_id));
                links.shop = Some(format!("{}/c/{claim}", self.public_url));
                links.again = Some(self.page("subscriptions/join", &Grant::Again(*subscription_id)));
                links.unsubscribe = Some(self.unsubscribe(*subscription_id));
                links.refuse = Some(self.page("subscriptions/refuse", &Grant::Refuse(*subscription_id)));
            }
            Content::OrderCancelled { order_id, short, .. } => {
                for line in short {
                    let (to, link) = if let Some(id) = line.subscription {
                        (&mut links.undo, self.unsubscribe(id))
                    } else {
                        let offer = Grant::Offer(*order_id, line.sku.clone(), line.wanted);
                        (&mut links.notify_me, self.page("subscriptions/join", &offer))
                    };
                    to.insert(line.sku.clone(), link);
                }
            }
            Content::OrderConfirmed { .. } | Content::OrderRefunded { .. } => {}
        }
        links
    }

    fn unsubscribe(&self, id: SubscriptionId) -> String {
        self.page("subscriptions/unsubscribe", &Grant::Unsubscribe(id))
    }

    fn page(&self, path: &str, grant: &Grant) -> String {
        format!("{}/{path}?token={}", self.public_url, self.tokens.issue(grant))
    }
}
