//! Escapes untrusted text (names, headers, keys, causes), so that it cannot control a terminal or forge a log.
//!
//! It escapes the characters that move the cursor or begin an escape sequence (C0, DEL, C1), end a line (U+2028,
//! U+2029), change the direction of writing (U+202E and similar), or are invisible (zero-width characters, variation
//! selectors, tags). All other characters, of any script, stay unchanged.

use std::borrow::Cow;
use std::fmt::Write as _;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Escapes text for people: `\n`, `\u{202e}`.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| out.extend(c.escape_default()))
}

/// Escapes JSON for a log: the same characters as [`text`], as `\u202e`, so that the JSON keeps its value. `json`
/// must be one value on one line, as `serde_json` writes it.
pub fn json(json: &str) -> Cow<'_, str> {
    escaped(json, |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || !c.is_ascii() && is_invisible(c)
}

/// Whether `c` is invisible: format characters (bidi controls, zero-width characters, the soft hyphen, the byte order
/// mark), variation selectors and all others that Unicode ignores by default, line and paragraph separators, the
/// blank Braille pattern.
pub fn is_invisible(c: char) -> bool {
    use GeneralCategory::{Format, LineSeparator, ParagraphSeparator};
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || matches!(category, Format | LineSeparator | ParagraphSeparator)
        || c == '\u{2800}'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_that_control_a_terminal_are_escaped() {
        for (raw, shown) in [
            ("Grüße, 你好 👋", "Grüße, 你好 👋"),
            ("a\x1b[2Jb\r\n\0", "a\\u{1b}[2Jb\\r\\n\\u{0}"),
            ("\u{202e}\u{2066}\u{200f}\u{61c}", "\\u{202e}\\u{2066}\\u{200f}\\u{61c}"),
            ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
            ("\u{9b}2J\u{85}\u{7f}", "\\u{9b}2J\\u{85}\\u{7f}"),
            ("a\u{200b}b\u{200d}\u{feff}\u{ad}\u{2060}", "a\\u{200b}b\\u{200d}\\u{feff}\\u{ad}\\u{2060}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(text(raw), shown);
        }
    }

    #[test]
    fn escaped_json_keeps_its_value() {
        assert_eq!(json("{\"a\":\"\u{202e}x\u{9b}\u{e0041}\"}"), "{\"a\":\"\\u202ex\\u009b\\udb40\\udc41\"}");
    }

    proptest! {
        #[test]
        fn all_unsafe_characters_and_no_others_are_escaped(raw: String) {
            for shown in [text(&raw), json(&raw)] {
                prop_assert!(!shown.chars().any(is_unsafe));
            }
            let safe: String = raw.chars().filter(|c| !is_unsafe(*c)).collect();
            prop_assert!(matches!(text(&safe), Cow::Borrowed(same) if same == safe));
        }
    }
}
