//! Tokens of links and of cancellations: none is valid that the service has not made.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    assert!(!order::fuzzing::token(text));
    assert!(!notification::fuzzing::token(text));
});
