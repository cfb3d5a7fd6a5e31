//! The JSON bodies of requests: orders, subscriptions, products and stock. A valid one is an object.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let is_valid =
        [order::fuzzing::body(data), notification::fuzzing::body(data), inventory::fuzzing::body(data)];
    if is_valid.contains(&true) {
        assert!(data.trim_ascii().starts_with(b"{"));
    }
});
