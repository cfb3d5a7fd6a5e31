//! Prices an order by the service's copy of the catalogue.

use std::collections::HashMap;

use events::Item;
use events::values::{Money, ProductName, Quantity, Sku};

/// A line of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) sku: Sku,
    pub(crate) quantity: Quantity,
}

/// The listed products among the requested ones.
pub(crate) type Catalogue = HashMap<Sku, Offer>;

/// A product that can be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) name: ProductName,
    /// The price of one unit.
    pub(crate) price: Money,
}

/// The priced items of an order, each SKU once, and their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Priced {
    /// In the order of the request.
    pub(crate) items: Vec<Item>,
    pub(crate) total: Money,
}

/// The reason why a line cannot be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The product is unknown or delisted.
    #[error("is not a product that can be ordered")]
    NotListed,
    /// The items of an order have one currency.
    #[error("is priced in another currency than the items before it")]
    OtherCurrency,
    /// The quantity or the sum of the order is out of range.
    #[error("makes the order too large")]
    TooLarge,
}

/// Prices the lines and adds up the quantities of a SKU that is listed twice. The error is the index of each refused line,
/// with the reason.
pub(crate) fn price(wanted: &[Wanted], catalogue: &Catalogue) -> Result<Priced, Vec<(usize, Refusal)>> {
    let mut items: Vec<Item> = Vec::with_capacity(wanted.len());
    let mut total: Option<Money> = None;
    let mut refused = Vec::new();
    for (index, Wanted { sku, quantity }) in wanted.iter().enumerate() {
        let Some(offer) = catalogue.get(sku) else {
            refused.push((index, Refusal::NotListed));
            continue;
        };
        let sum = total.unwrap_or(Money::zero(offer.price.currency));
        if sum.currency != offer.price.currency {
            refused.push((index, Refusal::OtherCurrency));
            continue;
        }
        let known = items.iter().position(|item| item.sku == *sku);
        let before = known.map_or(0, |known| items[known].quantity.get());
        let added = Quantity::try_from(before + quantity.get()).ok();
        let raised = offer.price.times(quantity.get()).and_then(|more| sum.plus(more));
        let (Some(quantity), Some(raised)) = (added, raised) else {
            refused.push((index, Refusal::TooLarge));
            continue;
        };
        total = Some(raised);
        match known {
            Some(known) => items[known].quantity = quantity,
            None => items.push(Item {
                sku: sku.clone(),
                name: offer.name.clone(),
                quantity,
                unit_price: offer.price,
            }),
        }
    }
    match total {
        Some(total) if refused.is_empty() => Ok(Priced { items, total }),
        _ => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(sku: &str, quantity: i64) -> Wanted {
        Wanted { sku: sku.parse().unwrap(), quantity: quantity.try_into().unwrap() }
    }

    fn catalogue() -> Catalogue {
        let offer = |sku: &str, amount, currency: &str| {
            let price = Money { amount, currency: currency.parse().unwrap() };
            (sku.parse().unwrap(), Offer { name: sku.parse().unwrap(), price })
        };
        let dear = 9_007_199_254_740_991;
        Catalogue::from([
            offer("A", 100, "EUR"),
            offer("B", 5, "EUR"),
            offer("U", 1, "USD"),
            offer("D", dear, "EUR"),
        ])
    }

    #[test]
    fn quantities_of_a_sku_are_added_up_at_its_first_line() {
        let priced = price(&[wanted("A", 1), wanted("B", 2), wanted("A", 3)], &catalogue()).unwrap();
        let items: Vec<_> =
            priced.items.iter().map(|item| (item.sku.as_str(), item.quantity.get())).collect();
        assert_eq!(items, [("A", 4), ("B", 2)]);
        assert_eq!(priced.total.amount, 410);
    }

    #[test]
    fn every_refused_line_is_named() {
        let lines = [wanted("X", 1), wanted("A", 1), wanted("U", 1), wanted("D", 1), wanted("Y", 1)];
        let refused = price(&lines, &catalogue()).unwrap_err();
        let expected = [
            (0, Refusal::NotListed),
            (2, Refusal::OtherCurrency),
            (3, Refusal::TooLarge),
            (4, Refusal::NotListed),
        ];
        assert_eq!(refused, expected);
    }
}
