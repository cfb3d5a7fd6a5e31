//! The links in messages: what a recipient can do without an account.

use std::collections::BTreeMap;

use events::values::{Sku, SubscriptionId};
use serde::Serialize;

use super::content::Content;
use super::tokens::{Grant, Tokens};

#[derive(Clone)]
pub(crate) struct Linker {
    pub tokens: Tokens,
    /// The address of this service from outside, without a slash at the end.
    pub public_url: String,
}

/// The links of one message, as far as its kind has them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Links {
    pub confirm: Option<String>,
    pub unsubscribe: Option<String>,
    /// Refuses mails about every product.
    pub refuse: Option<String>,
    /// Subscribes again.
    pub again: Option<String>,
    /// To the shop, by a page of this service that counts the click.
    pub shop: Option<String>,
    /// For the short lines of an order: ends the subscription, or subscribes.
    pub undo: BTreeMap<Sku, String>,
    pub notify_me: BTreeMap<Sku, String>,
}

impl Linker {
    pub(crate) fn links(&self, content: &Content) -> Links {
        let mut links = Links::default();
        if let Some(id) = content.subscription_id() {
            links.unsubscribe = Some(self.unsubscribe(id));
            links.refuse = Some(self.page("subscriptions/refuse", &Grant::Refuse(id)));
        }
        match content {
            Content::ConfirmSubscription { subscription_id, round, quantity, until, .. } => {
                let grant = Grant::Confirm(*subscription_id, *round, *quantity, *until);
                links.confirm = Some(self.page("subscriptions/confirm", &grant));
            }
            Content::BackInStock { subscription_id, .. } => {
                let claim = self.tokens.issue(&Grant::Claim(*subscription_id));
                links.shop = Some(format!("{}/c/{claim}", self.public_url));
                links.again = Some(self.page("subscriptions/join", &Grant::Again(*subscription_id)));
            }
            Content::OrderCancelled { order_id, short, .. } => {
                for line in short {
                    let (links, link) = if let Some(id) = line.subscription {
                        (&mut links.undo, self.unsubscribe(id))
                    } else {
                        let offer = Grant::Offer(*order_id, line.sku.clone(), line.wanted);
                        (&mut links.notify_me, self.page("subscriptions/join", &offer))
                    };
                    links.insert(line.sku.clone(), link);
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
