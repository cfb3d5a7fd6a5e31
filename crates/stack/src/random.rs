//! Random secrets and names from the system's generator.

use crate::error::{Error, Result};
use std::fmt::Write as _;

/// Returns this many random bytes as lower-case hexadecimal digits.
pub fn hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(|error| Error::Machine(format!("no random numbers: {error}")))?;
    Ok(buffer.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    }))
}
