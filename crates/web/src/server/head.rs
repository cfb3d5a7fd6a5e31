//! Finds heads with lines that end in a bare LF, which the HTTP parser accepts. A client can smuggle a request past a
//! proxy when the parsers of the proxy and of this server split lines differently.
//!
//! It follows the bytes of a connection from head to head, up to the first chunked body: a request with one is the
//! last of its connection.

/// The bytes of a line that are kept: enough for `content-length` and its value.
const KEPT: usize = 64;

/// The position of a connection's next byte within a request, and the malformed head found so far.
#[derive(Debug, Default)]
pub(super) struct Heads {
    place: Place,
    /// The number of complete heads.
    complete: u64,
    /// The number, from 0, of the first malformed head.
    malformed: Option<u64>,
}

#[derive(Debug)]
enum Place {
    Head(Head),
    /// Within a body, with the number of bytes that are still to come.
    Body(u64),
    /// After a body of unknown length; the rest is not followed.
    Unknown,
}

#[derive(Debug, Default)]
struct Head {
    /// Whether the request line has been read.
    started: bool,
    bare: bool,
    line: Vec<u8>,
    /// The length of the line so far, including the bytes that are not kept.
    length: usize,
    previous: u8,
    body: Length,
}

/// The length of the body, as the head gives it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    Bytes(u64),
    /// Chunked, or not readable.
    Unknown,
}

impl Default for Place {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl Heads {
    /// Reads the next bytes of the connection.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.place {
                Place::Unknown => return,
                Place::Body(left) => {
                    let part = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= part as u64;
                    bytes = &bytes[part..];
                    if *left == 0 {
                        self.place = Place::default();
                    }
                }
                Place::Head(head) => {
                    bytes = rest;
                    if head.feed(first) {
                        if head.bare {
                            self.malformed.get_or_insert(self.complete);
                        }
                        self.complete += 1;
                        self.place = match head.body {
                            Length::None | Length::Bytes(0) => Place::default(),
                            Length::Bytes(length) => Place::Body(length),
                            Length::Unknown => Place::Unknown,
                        };
                    }
                }
            }
        }
    }

    /// Whether the head of request number `index`, from 0, is malformed.
    pub(super) fn is_malformed(&self, index: u64) -> bool {
        self.malformed == Some(index)
    }

    /// Whether a head has begun but not ended.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(&self.place, Place::Head(head) if head.started || head.length > 0)
    }

    /// Whether the client may still be sending a request.
    pub(super) fn is_in_request(&self) -> bool {
        self.is_in_head() || !matches!(self.place, Place::Head(_))
    }
}

impl Head {
    /// Reads a byte and returns whether the head ends with it.
    fn feed(&mut self, byte: u8) -> bool {
        if byte != b'\n' {
            if self.line.len() < KEPT {
                self.line.push(byte);
            }
            self.length += 1;
            self.previous = byte;
            return false;
        }
        let ends_in_crlf = self.previous == b'\r' && self.length > 0;
        self.bare |= !ends_in_crlf;
        let is_empty = self.length == usize::from(ends_in_crlf);
        if is_empty && self.started {
            return true;
        }
        // Empty lines before the request line do not count (RFC 9112, section 2.2).
        if !is_empty {
            self.header();
            self.started = true;
        }
        (self.length, self.previous) = (0, 0);
        self.line.clear();
        false
    }

    fn header(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let Some((name, value)) = line.split_once(':').filter(|_| self.started) else { return };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            self.body = Length::Unknown;
        } else if name.eq_ignore_ascii_case("content-length") && self.body != Length::Unknown {
            self.body = value.trim().parse().map_or(Length::Unknown, Length::Bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the state after `bytes`, fed in pieces of `size`.
    fn fed(bytes: &str, size: usize) -> Heads {
        let mut heads = Heads::default();
        bytes.as_bytes().chunks(size).for_each(|piece| heads.feed(piece));
        heads
    }

    #[test]
    fn a_bare_line_feed_is_seen_in_a_head_and_not_in_a_body() {
        let good = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let posted = "POST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH:  5 \r\n\r\na\nb\n\n";
        for (bytes, complete, malformed) in [
            (good.to_owned(), 1, None),
            (format!("\r\n{good}{posted}{good}"), 3, None),
            (format!("{posted}GET / HTTP/1.1\nHost: x\r\n\r\n"), 2, Some(1)),
            (format!("{good}GET / HTTP/1.1\r\nHost: x\n\r\n"), 2, Some(1)),
            ("GET / HTTP/1.1\r\nHost: x\r\n\n".to_owned(), 1, Some(0)),
            (format!("\n{good}"), 1, Some(0)),
            (format!("{posted}{posted}"), 2, None),
        ] {
            for size in [1, 2, 7, 1000] {
                let heads = fed(&bytes, size);
                assert_eq!((heads.complete, heads.malformed), (complete, malformed), "{bytes:?} by {size}");
                assert!(!heads.is_in_request(), "{bytes:?}");
            }
        }
    }

    #[test]
    fn an_incomplete_request_is_recognised() {
        assert!(fed("GET / HT", 100).is_in_head());
        assert!(fed("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", 100).is_in_request());
        assert!(fed("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 100).is_in_request());
        assert!(!fed("", 100).is_in_request() && !fed("\r\n\r\n", 100).is_in_head());
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic_and_the_size_of_pieces_does_not_matter(bytes in "[\r\na: 0-9]{0,80}", size in 1_usize..20) {
            let (whole, pieces) = (fed(&bytes, 1000), fed(&bytes, size));
            prop_assert_eq!(whole.complete, pieces.complete);
            prop_assert_eq!(whole.malformed, pieces.malformed);
        }
    }
}
