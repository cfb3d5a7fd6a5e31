//! The key of the services that make tokens. It is no setting of every service: who has it can make valid tokens, so a
//! service that makes none is not given it.

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::SettingError;

const SHORTEST_KEY: usize = 16;

/// `TOKEN_KEY`; a service that makes tokens flattens it into its own settings.
#[derive(Debug, Clone, Args)]
pub struct TokenKey {
    /// The key that tokens in links and answers are made with: at least 16 characters, the same for all instances
    #[arg(long, env, value_parser = super::secret, hide_env_values = true, value_name = "KEY")]
    token_key: Option<SecretString>,
}

impl TokenKey {
    /// The bytes of `TOKEN_KEY`, or what is missing.
    pub fn bytes(&self) -> Result<&[u8], SettingError> {
        let key = self.token_key.as_ref().ok_or(SettingError::Missing { name: "TOKEN_KEY" })?;
        let key = key.expose_secret().as_bytes();
        if key.len() < SHORTEST_KEY {
            Err(SettingError::ShortKey { shortest: SHORTEST_KEY })
        } else {
            Ok(key)
        }
    }
}
