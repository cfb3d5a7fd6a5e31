//! What an order costs, by the service's own copy of the catalogue.

use std::collections::HashMap;

use events::Item;
use events::values::{Money, ProductName, Quantity, Sku};

/// A line as the customer asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The product.
    pub(crate) sku: Sku,
    /// How many.
    pub(crate) quantity: Quantity,
}

/// What can be ordered, of the products asked for.
pub(crate) type Catalogue = HashMap<Sku, Offer>;

/// A product that can be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// What it is called.
    pub(crate) name: ProductName,
    /// What one costs.
    pub(crate) price: Money,
}

/// An order's lines with their prices, each SKU once, and their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Priced {
    /// In the order in which they were asked for.
    pub(crate) items: Vec<Item>,
    /// The sum.
    pub(crate) total: Money,
}

/// Why a line cannot be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Unknown or delisted.
    #[error("is no product that can be ordered")]
    NotListed,
    /// The items of an order share one currency.
    #[error("is priced in another currency than the items before it")]
    OtherCurrency,
    /// The quantity, or the sum of the order, is beyond what money and quantities can hold.
    #[error("makes the order too large")]
    TooLarge,
}

/// Prices `wanted`, a SKU asked for twice added up; or the index of each line that is refused, and why.
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
    fn a_sku_asked_for_twice_is_added_up_where_it_first_stood() {
        let priced = price(&[wanted("A", 1), wanted("B", 2), wanted("A", 3)], &catalogue()).unwrap();
        let items: Vec<_> =
            priced.items.iter().map(|item| (item.sku.as_str(), item.quantity.get())).collect();
        assert_eq!(items, [("A", 4), ("B", 2)]);
        assert_eq!(priced.total.amount, 410);
    }

    #[test]
    fn every_line_at_fault_is_named() {
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
