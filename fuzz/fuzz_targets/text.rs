//! Addresses, names, SKUs and other texts of clients. What is accepted is accepted again unchanged, belongs to a mailbox, and needs
//! no escape in a log.

#![no_main]

use events::values::{EmailAddress, PaymentMethod, ProductName, Sku};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<EmailAddress>() {
        assert_eq!(address.expose().parse::<EmailAddress>().as_ref(), Ok(&address));
        assert_eq!(address.mailbox().mailbox(), address.mailbox());
        assert_eq!(escape::text(address.expose()), address.expose());
    }
    if let Ok(address) = EmailAddress::from_older(text) {
        assert_eq!(EmailAddress::from_older(address.expose()), Ok(address));
    }
    if let Ok(sku) = text.parse::<Sku>() {
        assert_eq!(sku.as_str().parse::<Sku>(), Ok(sku.clone()));
        assert_eq!(escape::text(sku.as_str()), sku.as_str());
    }
    let _ = text.parse::<ProductName>();
    let _ = text.parse::<PaymentMethod>();
    assert_eq!(escape::text(&escape::text(text)), escape::text(text));
});
