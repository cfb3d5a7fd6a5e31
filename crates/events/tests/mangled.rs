//! Mangled records: the corpus is `golden/`, changed at random places. No value makes a parser panic, and what parses is
//! encoded and parsed again unchanged. `PROPTEST_CASES=1000000 cargo test --workspace --test mangled` tries more.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::fs;
use std::sync::LazyLock;

use envelope::{Event, Headers, names};
use events::*;
use proptest::prelude::*;

/// Type and JSON of each golden file.
static CORPUS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
    let files = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path());
    let sample = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        (name.split('.').take(3).collect::<Vec<_>>().join("."), fs::read(&path).unwrap())
    };
    files.map(sample).collect()
});

/// A change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Replace(u8),
    Insert(Vec<u8>),
    Remove(usize),
    Truncate,
    /// Repeats the value after itself.
    Double,
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let bytes = || {
        // Input that parsers of JSON, numbers and texts often mishandle.
        let special = [
            "\\u0000",
            "null",
            "-1",
            "1e999",
            "9223372036854775808",
            "{",
            "[[[[",
            "\"",
            "\u{feff}",
            "\\ud800",
            "0.5",
            "\"a\":1,",
        ];
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..8),
            prop::sample::select(special.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        ]
    };
    let change = prop_oneof![
        any::<u8>().prop_map(Change::Replace),
        bytes().prop_map(Change::Insert),
        (1_usize..20).prop_map(Change::Remove),
        Just(Change::Truncate),
        Just(Change::Double),
    ];
    (any::<prop::sample::Index>(), change)
}

fn mangle(mut data: Vec<u8>, changes: &[(prop::sample::Index, Change)]) -> Vec<u8> {
    for (place, change) in changes {
        let at = place.index(data.len() + 1);
        match change {
            Change::Replace(byte) => data.iter_mut().skip(at).take(1).for_each(|known| *known = *byte),
            Change::Insert(bytes) => _ = data.splice(at..at, bytes.iter().copied()),
            Change::Remove(count) => _ = data.drain(at..data.len().min(at + count)),
            Change::Truncate => data.truncate(at),
            Change::Double => data.extend_from_within(..),
        }
    }
    data
}

/// Parses a value; what parses is encoded and parsed again unchanged.
fn parse<E: Event + PartialEq + std::fmt::Debug>(ce_type: &str, data: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(event) = E::parse(ce_type, "key", Some(data)) {
        let (again, value) = event.encode().unwrap();
        prop_assert_eq!(&E::parse(&again, &event.key(), value.as_deref()).unwrap(), &event);
    }
    let _ = E::parse(ce_type, &String::from_utf8_lossy(data), None);
    Ok(())
}

proptest! {
    #[test]
    fn no_value_makes_a_parser_panic(
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 0..4),
    ) {
        let (ce_type, data) = &CORPUS[sample.index(CORPUS.len())];
        let data = mangle(data.clone(), &changes);
        parse::<OrderEvent>(ce_type, &data)?;
        parse::<PaymentEvent>(ce_type, &data)?;
        parse::<ReservationEvent>(ce_type, &data)?;
        parse::<StockEvent>(ce_type, &data)?;
        parse::<ProductEvent>(ce_type, &data)?;
        parse::<CustomerEvent>(ce_type, &data)?;
        parse::<NotificationEvent>(ce_type, &data)?;
    }

    #[test]
    fn no_header_makes_the_reader_panic(
        name in prop::sample::select(vec![
            names::SPEC_VERSION, names::ID, names::SOURCE, names::TYPE, names::TIME, names::SEQUENCE, names::GENERATION,
            names::CAUSATION, names::TRACEPARENT,
        ]),
        changes in prop::collection::vec(change(), 0..4),
        bytes in prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
    ) {
        let pairs = [
            (names::SPEC_VERSION, "1.0"),
            (names::ID, "0198c0de-0000-7000-8000-000000000001"),
            (names::SOURCE, "/order"),
            (names::TYPE, "order.placed.v1"),
            (names::TIME, "2026-11-25T08:00:00Z"),
            (names::SEQUENCE, "00000000000000000001"),
            (names::GENERATION, "1"),
            (names::CAUSATION, "0198c0de-0000-7000-8000-000000000002"),
            (names::TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        let good = pairs.iter().find(|pair| pair.0 == name).unwrap().1;
        let bad = bytes.unwrap_or_else(|| mangle(good.as_bytes().to_vec(), &changes));
        let value = |wanted: &str| {
            let pair = pairs.iter().find(|pair| pair.0 == wanted)?;
            Some(if wanted == name { bad.as_slice() } else { pair.1.as_bytes() })
        };
        if let Ok(headers) = Headers::read(value) {
            let written = headers.pairs();
            let again = Headers::read(|wanted| {
                written.iter().find(|pair| pair.0 == wanted).map(|pair| pair.1.as_bytes())
            });
            prop_assert_eq!(again.unwrap(), headers);
        }
    }
}
