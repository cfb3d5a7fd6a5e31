//! Finds a Java runtime for Kafka, which needs version 17 or newer. The version comes from the program itself.

use crate::environment;
use crate::error::{Error, Result};
use std::path::PathBuf;
use std::process::Command;

const NEEDED: u32 = 17;

/// Returns the first Java of `JAVA_HOME` and `PATH` that is new enough.
pub fn find() -> Result<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").and_then(|home| std::path::absolute(home).ok());
    let home = home.map(|home| home.join("bin/java"));
    let candidates: Vec<PathBuf> = home.into_iter().chain([PathBuf::from("java")]).collect();
    let found: Vec<(PathBuf, u32)> = candidates
        .into_iter()
        .filter_map(|java| major_version(&java).map(|version| (java, version)))
        .collect();
    if let Some((java, _)) = found.iter().find(|(_, version)| *version >= NEEDED) {
        return Ok(java.clone());
    }
    let has =
        found.first().map_or("none".to_owned(), |(java, version)| format!("{} is {version}", java.display()));
    Err(Error::Failed(format!(
        "Kafka needs Java {NEEDED} or newer; {has}. Install a Java runtime (see ./scripts/up)"
    )))
}

fn major_version(java: &PathBuf) -> Option<u32> {
    let mut command = Command::new(java);
    // Without JAVA_TOOL_OPTIONS and the like: they may be invalid for this Java, which would also print them.
    let output = command.env_clear().envs(environment::kafka()).arg("-version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stderr))
}

/// Parses the major version: `openjdk version "17.0.15" 2025-04-15` → 17; `java version "1.8.0_402"` → 8.
fn parse_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut numbers = quoted.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    match numbers.next()? {
        1 => numbers.next(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn old_and_new_version_strings_are_parsed() {
        assert_eq!(parse_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(parse_version("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(parse_version("openjdk version \"22-ea\" 2024-03-19"), Some(22));
        assert_eq!(parse_version("java version \"1.8.0_402\""), Some(8));
        assert_eq!(
            parse_version("The operation couldn't be completed. Unable to locate a Java Runtime."),
            None
        );
    }
}
