//! Operators' tokens: `ADMIN_TOKEN`, `ADMIN_TOKEN_PREVIOUS` and `OPERATOR_TOKENS`.

use std::collections::HashMap;

use secrecy::{ExposeSecret, SecretString};

use super::{Common, SettingError, long_enough, values};

/// The name of the operator with the `ADMIN_TOKEN`.
const ADMIN: &str = "admin";

/// Returns each token with the name of its operator.
pub(super) fn all(common: &Common) -> Result<Vec<(String, SecretString)>, SettingError> {
    let mut found = Vec::new();
    let single =
        [("ADMIN_TOKEN", &common.admin_token), ("ADMIN_TOKEN_PREVIOUS", &common.admin_token_previous)];
    for (setting, token) in single {
        if let Some(token) = token {
            long_enough(setting, token)?;
            found.push((ADMIN.to_owned(), token.clone()));
        }
    }
    if let Some(list) = &common.operator_tokens {
        found.extend(named(list.expose_secret())?);
    }
    let mut owners = HashMap::new();
    for (number, (name, token)) in found.iter().enumerate() {
        // The audit log must name one operator for a token.
        if owners.insert(token.expose_secret(), name).is_some_and(|owner| owner != name) {
            let number = number + 1 - found.iter().filter(|(name, _)| name == ADMIN).count();
            return Err(SettingError::Operator { number, problem: "has the token of another operator" });
        }
    }
    Ok(found)
}

/// Parses the entries of `OPERATOR_TOKENS`.
fn named(list: &str) -> Result<Vec<(String, SecretString)>, SettingError> {
    let entries = list.split([',', '\n', '\r']).map(str::trim).filter(|entry| !entry.is_empty());
    let read = |(index, entry): (usize, &str)| {
        let refused = |problem| SettingError::Operator { number: index + 1, problem };
        let (name, token) = entry.split_once(':').ok_or_else(|| refused("has no name"))?;
        let name = values::instance(name.trim()).map_err(|_| refused("has an invalid name"))?;
        if name == ADMIN {
            return Err(refused("has the name admin, which belongs to ADMIN_TOKEN"));
        }
        let token = SecretString::from(token.trim());
        long_enough("OPERATOR_TOKENS", &token).map_err(|_| refused("has a token that is too short"))?;
        Ok((name, token))
    };
    entries.enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn names(list: &str) -> Result<Vec<String>, String> {
        let read = named(list).map_err(|error| error.to_string())?;
        Ok(read.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn each_entry_names_an_operator() {
        let list = format!("ada:{TOKEN}1, bob : {TOKEN}2\n\nada:{TOKEN}:3\r\n");
        assert_eq!(names(&list), Ok(vec!["ada".to_owned(), "bob".to_owned(), "ada".to_owned()]));
        assert_eq!(names(""), Ok(vec![]));
    }

    #[test]
    fn an_error_names_the_entry_and_not_the_token() {
        for (list, problem) in [
            (TOKEN.to_owned(), "entry 1 has no name"),
            (format!("ada:{TOKEN},b b:{TOKEN}2"), "entry 2 has an invalid name"),
            (format!("admin:{TOKEN}"), "entry 1 has the name admin, which belongs to ADMIN_TOKEN"),
            ("ada:0123456789abcde".to_owned(), "entry 1 has a token that is too short"),
        ] {
            let message = names(&list).unwrap_err();
            assert!(message.contains(problem) && !message.contains("0123"), "{message}");
        }
    }
}
