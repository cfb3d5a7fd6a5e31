//! The hash of a claim. Events carry the hash alone, so that a stolen topic holds no working link.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::given::Invalid;

/// SHA-256 of a claim (the opaque token of a "back in stock" mail), in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimHash(String);

impl ClaimHash {
    /// Hashes `claim`.
    pub fn of(claim: &str) -> Self {
        let digest = Sha256::digest(claim.as_bytes());
        Self(digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    /// The 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClaimHash {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let hex = text.len() == 64
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if hex { Ok(Self(text)) } else { Err(Invalid("must be 64 lower-case hex digits")) }
    }
}

impl From<ClaimHash> for String {
    fn from(hash: ClaimHash) -> Self {
        hash.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sha_256_in_hex() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(ClaimHash::of("abc").as_str(), abc);
    }
}
