//! The key and payload of a record, as every topic's event. What parses is encoded and parsed again unchanged.
//!
//! Input: type, a line break, key, a line break, payload.

#![no_main]

use envelope::Event;
use events::*;
use libfuzzer_sys::fuzz_target;

fn parse<E: Event + PartialEq + std::fmt::Debug>(ce_type: &str, key: &str, payload: &[u8]) {
    let _ = E::parse(ce_type, key, None);
    let Ok(event) = E::parse(ce_type, key, Some(payload)) else { return };
    let (again, value) = event.encode().unwrap();
    assert_eq!(E::parse(&again, &event.key(), value.as_deref()).unwrap(), event);
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (Some(ce_type), Some(key)) = (text(), text()) else { return };
    let payload = parts.next().unwrap_or_default();
    parse::<OrderEvent>(ce_type, key, payload);
    parse::<PaymentEvent>(ce_type, key, payload);
    parse::<ReservationEvent>(ce_type, key, payload);
    parse::<StockEvent>(ce_type, key, payload);
    parse::<ProductEvent>(ce_type, key, payload);
    parse::<CustomerEvent>(ce_type, key, payload);
    parse::<NotificationEvent>(ce_type, key, payload);
});
