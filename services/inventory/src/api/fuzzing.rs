//! Private parsers, for the targets in `fuzz/`.

use super::products::PutProduct;
use super::stock::{Restock, StockTake};

/// Parses the body of an operator's request as each of its kinds; `true` when one is valid.
pub fn body(body: &[u8]) -> bool {
    web::json::parse::<PutProduct>(body).is_ok()
        || web::json::parse::<Restock>(body).is_ok()
        || web::json::parse::<StockTake>(body).is_ok()
}
