//! The settings of a service, read from the output of `SERVICE --help`, which names the environment variable of each. A
//! service thus gets only its own settings, and this crate keeps no list of them.

use crate::error::{During, Result};
use crate::{environment, helper};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// The prefixes of variables that the libraries of a service read and that `--help` does not list.
const FAMILIES: [&str; 2] = ["OTEL_", "KAFKA_CLIENT_"];

#[derive(Debug, Clone)]
pub struct Manual(Arc<BTreeSet<String>>);

impl Manual {
    /// Runs `--help` of the program, once per process, and parses its output.
    pub fn of(program: &Path) -> Result<Self> {
        static ASKED: Mutex<BTreeMap<PathBuf, Manual>> = Mutex::new(BTreeMap::new());
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manual) = asked.get(program) {
            return Ok(manual.clone());
        }
        let mut command = Command::new(program);
        command.env_clear().envs(environment::basics()).arg("--help");
        let output = command.output().during(|| format!("asking {} for its settings", program.display()))?;
        let manual = Self::parse(&helper::successful(&format!("{} --help", program.display()), &output)?);
        asked.insert(program.to_path_buf(), manual.clone());
        Ok(manual)
    }

    /// Parses the help text: `[env: NAME=]` names a setting, `[file: NAME_FILE]` the variable of a file with its value.
    fn parse(text: &str) -> Self {
        let after = |mark| text.split(mark).skip(1).filter_map(|rest: &str| rest.split(['=', ']']).next());
        Self(Arc::new(after("[env: ").chain(after("[file: ")).map(str::to_owned).collect()))
    }

    pub fn names(&self, variable: &str) -> bool {
        self.0.contains(variable) || FAMILIES.iter().any(|family| variable.starts_with(family))
    }
}

#[cfg(test)]
mod tests {
    use super::Manual;

    #[test]
    fn a_manual_names_settings_and_the_files_of_secrets() {
        let manual = Manual::parse(
            "  --token-key <KEY>\n   The key [file: TOKEN_KEY_FILE]\n\n   [env: TOKEN_KEY]\n   [env: WAVE_FACTOR=]",
        );
        for name in ["TOKEN_KEY", "TOKEN_KEY_FILE", "WAVE_FACTOR", "OTEL_SERVICE_NAME"] {
            assert!(manual.names(name), "{name}");
        }
        assert!(!manual.names("WAVE_FACTOR_FILE") && !manual.names("SMTP_URL"));
    }
}
