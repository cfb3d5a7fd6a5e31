//! Private parsers, for the targets in `fuzz/`.

use super::head::Heads;

/// Follows the bytes of a connection, cut into pieces of this size. Returns whether its first request is malformed, and whether
/// the connection is in a head and in a request afterwards.
pub fn heads(bytes: &[u8], piece: usize) -> [bool; 3] {
    let mut heads = Heads::default();
    bytes.chunks(piece.max(1)).for_each(|piece| heads.feed(piece));
    [heads.is_malformed(0), heads.is_in_head(), heads.is_in_request()]
}
