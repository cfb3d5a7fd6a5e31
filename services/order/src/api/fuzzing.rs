//! Private parsers, for the targets in `fuzz/`.

use chassis::settings::TokenKeys;

use super::place::PlaceOrder;
use crate::tokens::Tokens;

/// Parses the body of `POST /orders`; `true` when it is valid.
pub fn body(body: &[u8]) -> bool {
    web::json::parse::<PlaceOrder>(body).is_ok()
}

/// Whether the text passes for the token that cancels an order. The order's id is nil.
pub fn token(presented: &str) -> bool {
    let tokens = Tokens::new(TokenKeys { current: &[1; 32], previous: Some(&[2; 32]) });
    tokens.may_cancel(uuid::Uuid::nil().into(), presented)
}
