//! `.data/env`: the addresses and secrets of the running system for other tools: `. .data/env; kcat -b $KAFKA_BROKERS`.

use crate::local::Local;
use stack::{Guard, home};
use std::fmt::Write as _;

/// Writes the file, readable by its owner only. The variables are not exported: a later `up` in the same shell must not
/// mistake them for external servers.
pub(crate) fn write(local: &Local) -> anyhow::Result<()> {
    let mut variables = vec![
        ("KAFKA_BROKERS".to_owned(), local.brokers()),
        ("TOPIC_PREFIX".to_owned(), local.topic_prefix.clone()),
        ("POSTGRES_URL".to_owned(), local.postgres_url()?),
        ("ADMIN_TOKEN".to_owned(), local.secret("ADMIN_TOKEN")?),
        ("TOKEN_KEY".to_owned(), local.secret("TOKEN_KEY")?),
    ];
    variables.extend(local.login(Guard::ADMIN)?);
    for name in local.home.services()? {
        let upper = name.to_uppercase();
        variables.push((format!("{upper}_DATABASE_URL"), local.service(&name)?.access.database_url));
        variables.push((format!("{upper}_URL"), local.endpoints(&name)?.url()));
    }
    let mut text = String::new();
    for (name, value) in variables {
        _ = writeln!(text, "{name}={}", quoted(&value));
    }
    Ok(home::write_private(&local.home.data("env"), &text)?)
}

/// Quotes a value so that a shell reads it as one word.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/@%+".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_back_the_quoted_value() {
        for value in ["", "plain:1@x/y", "a b", "it's $HOME `id`", "a&b;c"] {
            let script = format!("value={}; printf %s \"$value\"", quoted(value));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }
}
