//! Short texts with rules: SKUs, names and payment methods.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::given::{Give, Invalid};
use super::visible;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, schema($($schema:tt)*), $read:expr, $message:literal $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, $($schema)*)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                let read: fn(String) -> Option<String> = $read;
                read(text).map(Self).ok_or(Invalid($message))
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// A stock keeping unit: the shop's id of a product. It is a Kafka key and a part of URLs.
    Sku,
    schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "MUG-BLUE"),
    |text| {
        let sound = text.len() <= 64
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        sound.then_some(text)
    },
    "must be 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit"
);

text!(
    /// The name of a product. Invisible characters are removed on reading: earlier versions accepted them, so
    /// databases and topics contain them. From a client they are refused ([`Give`]).
    ProductName,
    schema(min_length = 1, max_length = 200, example = "Blue mug"),
    |text| is_name(&text).then(|| named(visible::visible(&text))),
    "must be 1 to 200 characters without control characters"
);

text!(
    /// The name of the shop, as people read it in a subject, a page or a sender.
    DisplayName,
    schema(min_length = 1, max_length = 200, example = "Blue Shop"),
    |text| (is_name(&text) && visible::is_visible(&text)).then_some(text),
    "must be 1 to 200 characters that can be seen, without control characters"
);

text!(
    /// The gateway's name for a way to pay (`pm_card_visa`). Earlier versions accepted any text of 1 to 64
    /// characters, so databases and topics contain such texts; the rule for clients is stricter ([`Give`]).
    PaymentMethod,
    schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "pm_card_visa"),
    |text| {
        let sound = (1..=64).contains(&text.chars().count()) && !text.contains(char::is_control);
        sound.then_some(text)
    },
    "must be 1 to 64 characters without control characters"
);

fn is_name(text: &str) -> bool {
    (1..=200).contains(&text.chars().count()) && !text.trim().is_empty() && !text.contains(char::is_control)
}

/// Returns a replacement character for a name without any visible character, since a name must not be empty.
fn named(visible: String) -> String {
    if visible.trim().is_empty() { char::REPLACEMENT_CHARACTER.to_string() } else { visible }
}

impl Give for ProductName {
    fn give(text: String) -> Result<Self, Invalid> {
        DisplayName::try_from(text).map(|name| Self(name.0))
    }
}

impl Give for PaymentMethod {
    /// Refuses text that cannot be a gateway's name: an address or a card number would remain after an erasure.
    fn give(text: String) -> Result<Self, Invalid> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if !(1..=64).contains(&text.len()) || !text.bytes().all(is_name) {
            return Err(Invalid("must be 1 to 64 letters, digits, dashes or underscores"));
        }
        if holds_card_number(&text) {
            return Err(Invalid("must be the gateway's name for a way to pay, never a card number"));
        }
        Ok(Self(text))
    }
}

/// Whether `text` contains a card number: 12 to 19 digits, possibly with dashes or underscores between them, that
/// pass Luhn's check (ISO/IEC 7812).
fn holds_card_number(text: &str) -> bool {
    let runs = text.split(|c: char| c.is_ascii_alphabetic());
    runs.map(|run| run.bytes().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0')).collect())
        .any(|digits: Vec<u32>| (12..=19).contains(&digits.len()) && passes_luhn(&digits))
}

fn passes_luhn(digits: &[u32]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(place, digit)| match digit * 2 {
        _ if place % 2 == 0 => *digit,
        double if double > 9 => double - 9,
        double => double,
    });
    weighed.sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sku_is_safe_in_urls_and_keys() {
        for good in ["A", "mug-1", "9.x_y-Z", &"a".repeat(64)] {
            assert!(good.parse::<Sku>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "ä", "a\0", &"a".repeat(65)] {
            assert!(bad.parse::<Sku>().is_err(), "{bad}");
        }
    }

    #[test]
    fn invisible_characters_are_refused_from_clients_and_removed_from_older_names() {
        for good in ["Blue mug", "Grüße \u{2764}\u{fe0f}", "10\u{a0}kg"] {
            assert!(ProductName::give(good.to_owned()).is_ok(), "{good:?}");
            assert_eq!(good.parse::<ProductName>().unwrap().as_str(), good);
        }
        for (older, cleaned) in [
            ("Blue\u{200b} mug\u{feff}", "Blue mug"),
            ("\u{202e}gum eulB", "gum eulB"),
            ("\u{200b}", "\u{fffd}"),
        ] {
            assert!(ProductName::give(older.to_owned()).is_err(), "{older:?}");
            assert_eq!(older.parse::<ProductName>().unwrap().as_str(), cleaned);
        }
        for bad in ["", "  ", "a\nb", &"a".repeat(201)] {
            assert!(
                ProductName::give(bad.to_owned()).is_err() && bad.parse::<ProductName>().is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_clients_payment_method_is_neither_an_address_nor_a_card_number() {
        for good in ["pm_card_visa", "pm_1MqLiJLkdIwHu7ixUEgbFdYF", "4242424242424241", "42", &"a".repeat(64)]
        {
            assert!(PaymentMethod::give(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ada@example.com",
            "pm card",
            "Überweisung",
            &"a".repeat(65),
            "4242424242424242",
            "4242-4242-4242-4242",
            "pm_4242_4242_4242_4242",
            "378282246310005x",
        ] {
            assert!(PaymentMethod::give(bad.to_owned()).is_err(), "{bad}");
        }
        assert!("Überweisung 1".parse::<PaymentMethod>().is_ok(), "an older value is still read");
    }

    proptest! {
        #[test]
        fn no_text_holds_control_characters(text in any::<String>()) {
            let control = text.contains(char::is_control);
            prop_assert!(!control || text.parse::<ProductName>().is_err());
            prop_assert!(!control || text.parse::<PaymentMethod>().is_err());
            prop_assert!(!control || text.parse::<Sku>().is_err());
        }
    }
}
