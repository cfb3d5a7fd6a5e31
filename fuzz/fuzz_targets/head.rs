//! The heads of HTTP requests. The sizes of the pieces in which the bytes arrive make no difference.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (usize, &[u8])| {
    let (piece, bytes) = data;
    let whole = web::server::fuzzing::heads(bytes, bytes.len());
    assert_eq!(web::server::fuzzing::heads(bytes, piece % 64), whole);
});
