//! The passwords and keys of one system: generated once, stored in a file that only its owner may read.

use crate::error::{During, Error, Result};
use crate::home::write_private;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Default)]
pub struct Secrets {
    values: BTreeMap<String, String>,
    file: Option<PathBuf>,
}

impl Secrets {
    /// Opens the secrets of a file, which need not exist yet.
    pub fn open(file: &Path) -> Result<Self> {
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
            read => read.during(|| format!("reading {}", file.display()))?,
        };
        let unreadable = |error| Error::Failed(format!("{} is damaged ({error}); remove it", file.display()));
        Ok(Self { values: serde_json::from_str(&text).map_err(unreadable)?, file: Some(file.to_path_buf()) })
    }

    /// Returns the secret of this name, 32 random bytes as hexadecimal digits; generates and stores it on first use.
    pub fn get(&mut self, name: &str) -> Result<String> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        let value = hex(32)?;
        self.values.insert(name.to_owned(), value.clone());
        if let Some(file) = &self.file {
            let text = serde_json::to_string_pretty(&self.values)
                .map_err(|error| Error::Failed(error.to_string()))?;
            write_private(file, &text)?;
        }
        Ok(value)
    }
}

/// Returns this many random bytes as lower-case hexadecimal digits.
pub fn hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(|error| Error::Failed(format!("no random numbers: {error}")))?;
    Ok(buffer.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    }))
}
