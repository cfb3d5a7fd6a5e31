//! Detects characters that a reader cannot see, so that texts that look alike are equal.

use escape::is_invisible;
use icu_properties::props::{
    BinaryProperty, CanonicalCombiningClass, Emoji, EmojiModifier, ExtendedPictographic, GeneralCategory,
    Script,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether `c` is a space other than that of ASCII, such as U+00A0 or U+3000.
pub(super) fn is_foreign_space(c: char) -> bool {
    c != ' ' && category(c) == GeneralCategory::SpaceSeparator
}

/// Whether `c` has no public meaning: it is unassigned, or for private use.
pub(super) fn is_undefined(c: char) -> bool {
    matches!(category(c), GeneralCategory::Unassigned | GeneralCategory::PrivateUse)
}

/// Whether `c` is a joiner (U+200C, U+200D), which some scripts require.
pub(super) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether every character of `text` is visible or changes the shape of its neighbours.
pub(super) fn is_visible(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).all(|index| shows(&chars, index))
}

/// Removes the characters that [`is_visible`] does not allow.
pub(super) fn visible(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).filter(|index| shows(&chars, *index)).map(|index| chars[index]).collect()
}

fn shows(chars: &[char], index: usize) -> bool {
    let c = chars[index];
    if is_undefined(c) {
        return false;
    }
    let before = index.checked_sub(1).map(|index| chars[index]);
    let after = chars.get(index + 1).copied();
    !is_invisible(c) || before.is_some_and(|before| shapes(before, c, after))
}

/// Whether the invisible `c` changes the shape of its neighbours: a presentation selector of an emoji, a joiner
/// within an emoji, or a joiner where Arabic, Syriac, Mongolian and Indic scripts need it (compare RFC 5892, appendix
/// A).
fn shapes(before: char, c: char, after: Option<char>) -> bool {
    match c {
        '\u{fe0e}' | '\u{fe0f}' => has::<Emoji>(before),
        '\u{200d}' if after.is_some_and(has::<ExtendedPictographic>) => {
            before == '\u{fe0f}' || has::<ExtendedPictographic>(before) || has::<EmojiModifier>(before)
        }
        _ if is_joiner(c) => {
            combining_class(before) == CanonicalCombiningClass::Virama
                || after.is_some_and(|after| is_cursive(before) && script(before) == script(after))
        }
        _ => false,
    }
}

fn is_cursive(c: char) -> bool {
    [Script::Arabic, Script::Syriac, Script::Mongolian].contains(&script(c))
}

fn has<P: BinaryProperty>(c: char) -> bool {
    CodePointSetData::new::<P>().contains(c)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::new().get(c)
}

fn combining_class(c: char) -> CanonicalCombiningClass {
    CodePointMapData::new().get(c)
}

fn script(c: char) -> Script {
    CodePointMapData::new().get(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_found() {
        for c in "\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\
                  \u{2066}\u{2069}\u{2800}\u{3164}\u{fe00}\u{feff}\u{fff9}\u{e0001}\u{e0100}"
            .chars()
        {
            assert!(is_invisible(c), "{c:?}");
            assert!(!is_visible(&format!("Blue{c}mug")), "{c:?}");
            assert_eq!(visible(&format!("Blue{c}mug")), "Bluemug", "{c:?}");
        }
        for c in ['\u{e000}', '\u{378}', '\u{10ffff}'] {
            assert!(is_undefined(c) && !is_visible(&c.to_string()), "{c:?}");
        }
        for c in ['\u{a0}', '\u{2003}', '\u{3000}'] {
            assert!(is_foreign_space(c), "{c:?}");
        }
    }

    #[test]
    fn characters_that_shape_their_neighbours_are_kept() {
        for text in [
            "Grüße, 你好, Привет",
            "Love \u{2764}\u{fe0f}",
            "\u{1f469}\u{1f3fd}\u{200d}\u{1f373} apron",
            "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
            "1\u{fe0f}\u{20e3}",
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{915}\u{94d}\u{200d}\u{937}",
        ] {
            assert!(is_visible(text), "{text:?}");
        }
        for text in ["\u{200d}a", "a\u{200c}b", "a\u{fe0f}", "\u{645}\u{200c}", "\u{1f469}\u{200d}"] {
            assert!(!is_visible(text), "{text:?}");
        }
    }
}
