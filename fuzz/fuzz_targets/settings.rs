//! Settings from the environment.
//!
//! Input: lines of name, `=` and value.

#![no_main]

use connection::Connection;
use libfuzzer_sys::fuzz_target;
use web::{Origins, TrustedProxies};

fuzz_target!(|text: &str| {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let variables = pairs.map(|(name, value)| (format!("KAFKA_{name}"), value.to_owned()));
    if let Err(error) = Connection::of_variables(variables) {
        assert!(error.to_string().contains("KAFKA_"), "the message names the setting: {error}");
    }
    let _ = text.parse::<TrustedProxies>();
    let _ = text.parse::<Origins>();
});
