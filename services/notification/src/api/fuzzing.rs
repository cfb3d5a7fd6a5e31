//! Private parsers, for the targets in `fuzz/`.

use chassis::settings::TokenKeys;

use super::subscribe::Form;
use crate::domain::tokens::Tokens;

/// Parses the body of `POST /subscriptions`; `true` when it is valid.
pub fn body(body: &[u8]) -> bool {
    web::json::parse::<Form>(body).is_ok()
}

/// Whether the text passes for a token of a link.
pub fn token(presented: &str) -> bool {
    Tokens::new(TokenKeys { current: &[1; 32], previous: Some(&[2; 32]) }).read(presented).is_some()
}
