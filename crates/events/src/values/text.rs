//! Short texts with rules: SKUs, product names, payment methods.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Invalid;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, schema($($schema:tt)*), $allowed:expr, $message:literal $(,)?) => {
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
                let allowed: fn(&str) -> bool = $allowed;
                if allowed(&text) { Ok(Self(text)) } else { Err(Invalid($message)) }
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
    /// A stock keeping unit: what the shop calls a product. It is a Kafka key and stands in URLs.
    Sku,
    schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "MUG-BLUE"),
    |text| text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
    "must be 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit"
);

text!(
    /// What a product is called.
    ProductName,
    schema(min_length = 1, max_length = 200, example = "Blue mug"),
    |text| (1..=200).contains(&text.chars().count())
        && !text.trim().is_empty()
        && !text.contains(char::is_control),
    "must be 1 to 200 characters without control characters"
);

text!(
    /// The gateway's name for a way to pay (`pm_card_visa`).
    PaymentMethod,
    schema(min_length = 1, max_length = 64, example = "pm_card_visa"),
    |text| (1..=64).contains(&text.chars().count()) && !text.contains(char::is_control),
    "must be 1 to 64 characters without control characters"
);

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
