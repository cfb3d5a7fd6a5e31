//! The headers of a record. What is read is written and read again unchanged.
//!
//! Input: lines of name, `=` and value.

#![no_main]

use envelope::Headers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|byte| *byte == b'\n');
    let pairs: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| {
            let end = line.iter().position(|byte| *byte == b'=')?;
            Some((&line[..end], &line[end + 1..]))
        })
        .collect();
    let get = |wanted: &str| pairs.iter().find(|pair| pair.0 == wanted.as_bytes()).map(|pair| pair.1);
    let Ok(headers) = Headers::read(get) else { return };
    let written = headers.pairs();
    let again =
        Headers::read(|wanted| written.iter().find(|pair| pair.0 == wanted).map(|pair| pair.1.as_bytes()));
    assert_eq!(again.unwrap(), headers);
});
