//! The passwords and keys of one system: generated once, kept in a file for its owner's eyes alone.

use crate::error::{During, Error, Result};
use crate::home::write_private;
use crate::random;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Named secrets; one that is asked for the first time is made up.
#[derive(Debug, Default)]
pub struct Secrets {
    values: BTreeMap<String, String>,
    file: Option<PathBuf>,
}

impl Secrets {
    /// Those of this file, which need not exist yet.
    pub fn open(file: &Path) -> Result<Self> {
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
            read => read.during(|| format!("reading {}", file.display()))?,
        };
        let unreadable =
            |error| Error::Machine(format!("{} is damaged ({error}); remove it", file.display()));
        Ok(Self { values: serde_json::from_str(&text).map_err(unreadable)?, file: Some(file.to_path_buf()) })
    }

    /// 32 random bytes in hexadecimal digits, always the same for one name.
    pub fn get(&mut self, name: &str) -> Result<String> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        let value = random::hex(32)?;
        self.values.insert(name.to_owned(), value.clone());
        if let Some(file) = &self.file {
            let text = serde_json::to_string_pretty(&self.values)
                .map_err(|error| Error::Machine(error.to_string()))?;
            write_private(file, &text)?;
        }
        Ok(value)
    }
}
