//! The key of tokens in links and answers. Only services that create tokens have this setting, because a holder of the key
//! can create valid tokens.

use clap::Args;
use secrecy::SecretString;

use super::{SettingError, long_enough};

/// `TOKEN_KEY` and `TOKEN_KEY_PREVIOUS`; a service that creates tokens flattens them into its own settings.
#[derive(Debug, Clone, Args)]
pub struct TokenKey {
    /// Key of the tokens in links and answers: at least 16 characters, the same for all instances
    #[arg(long, env, hide_env_values = true, value_name = "KEY")]
    token_key: Option<SecretString>,

    /// Previous `TOKEN_KEY`: its links and cancel tokens stay valid while it is set
    #[arg(long, env, hide_env_values = true, value_name = "KEY")]
    token_key_previous: Option<SecretString>,
}

/// The keys of tokens: new tokens use the current key, and both keys are accepted.
#[derive(Clone, Copy)]
pub struct TokenKeys<'a> {
    pub current: &'a [u8],
    pub previous: Option<&'a [u8]>,
}

impl TokenKey {
    /// Returns the bytes of both keys; an error when `TOKEN_KEY` is missing or a key is short.
    pub fn keys(&self) -> Result<TokenKeys<'_>, SettingError> {
        let key = self.token_key.as_ref().ok_or(SettingError::Missing { name: "TOKEN_KEY" })?;
        let previous = self.token_key_previous.as_ref();
        let previous = previous.map(|key| long_enough("TOKEN_KEY_PREVIOUS", key)).transpose()?;
        Ok(TokenKeys {
            current: long_enough("TOKEN_KEY", key)?.as_bytes(),
            previous: previous.map(str::as_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: Option<&str>, previous: Option<&str>) -> TokenKey {
        TokenKey { token_key: current.map(Into::into), token_key_previous: previous.map(Into::into) }
    }

    #[test]
    fn both_keys_are_long() {
        let (old, new) = ("the old key is long enough", "the new key is long enough");
        let both = keys(Some(new), Some(old));
        let both = both.keys().unwrap();
        assert_eq!((both.current, both.previous), (new.as_bytes(), Some(old.as_bytes())));
        for (refused, said) in [
            (keys(None, Some(old)), "TOKEN_KEY is not set"),
            (keys(Some("0123456789abcde"), None), "TOKEN_KEY must have at least 16 characters"),
            (keys(Some(new), Some("short")), "TOKEN_KEY_PREVIOUS must have at least 16 characters"),
        ] {
            assert!(refused.keys().err().unwrap().to_string().starts_with(said));
        }
    }
}
