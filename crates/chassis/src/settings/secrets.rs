//! Extends clap: every secret setting can also come from the file that `NAME_FILE` names (as container secrets do), an
//! empty variable counts as unset, and each service has default ports of its own.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, Command};

use super::SettingError;

/// Completes a service's command; call it before parsing. `port` is the default port of the service on loopback; the ops
/// port is 1000 above.
pub fn complete(command: Command, port: u16) -> Result<Command, SettingError> {
    complete_from(command, port, &|name| std::env::var_os(name))
}

type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn complete_from(command: Command, port: u16, environment: Environment) -> Result<Command, SettingError> {
    let mut failed = None;
    let command = command.mut_args(|arg| {
        let arg = match arg.get_id().as_str() {
            "listen" => arg.required(false).default_value(format!("127.0.0.1:{port}")),
            "ops_listen" => arg.required(false).default_value(format!("127.0.0.1:{}", port + 1000)),
            _ => arg,
        };
        from_environment(arg.clone(), environment).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            arg
        })
    });
    failed.map_or(Ok(command), Err)
}

fn from_environment(arg: Arg, environment: Environment) -> Result<Arg, SettingError> {
    let Some(name) = arg.get_env().and_then(|name| name.to_str()).map(str::to_owned) else { return Ok(arg) };
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let given = set(&name).is_some();
    let secret = arg.is_hide_env_values_set();
    let arg = if secret { mention_file(arg, &name) } else { arg };
    // An empty variable would be an empty value to clap.
    let arg = if !given && environment(&name).is_some() { arg.env(Resettable::Reset) } else { arg };
    match set(&format!("{name}_FILE")).filter(|_| secret) {
        Some(_) if given => Err(SettingError::Twice { name }),
        Some(path) => Ok(arg.default_value(read(name, path.into())?).hide_default_value(true)),
        None => Ok(arg),
    }
}

fn mention_file(arg: Arg, name: &str) -> Arg {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.help(format!("{help} [file: {name}_FILE]"))
}

fn read(name: String, path: PathBuf) -> Result<String, SettingError> {
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Err(SettingError::Empty { name, path }),
        Ok(text) => Ok(text.trim().to_owned()),
        Err(cause) => Err(SettingError::Unreadable { name, path, cause }),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};
    use secrecy::ExposeSecret;

    use super::super::Common;
    use super::*;

    fn command(variables: &[(&str, &str)]) -> Result<Command, SettingError> {
        let command = Common::augment_args(Command::new("order"));
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| OsString::from(v));
        complete_from(command, 8080, &find)
    }

    fn settings(variables: &[(&str, &str)], options: &[&str]) -> Common {
        let line = std::iter::once(&"order").chain(options);
        let matches = command(variables).unwrap().try_get_matches_from(line).unwrap();
        Common::from_arg_matches(&matches).unwrap()
    }

    fn file(name: &str, content: &str) -> String {
        let path = std::env::temp_dir().join(format!("chassis-{name}-{}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let common = settings(&[], &[]);
        assert_eq!((common.listen.to_string().as_str(), common.ops_listen.port()), ("127.0.0.1:8080", 9080));
        assert_eq!((common.topic_partitions, common.outbox_limit), (12, 1_000_000));
        assert_eq!(common.public_url(), "http://127.0.0.1:8080");
        assert_eq!(
            common.database_url().unwrap_err().to_string(),
            "DATABASE_URL is not set (nor DATABASE_URL_FILE); --help explains it"
        );
        assert_eq!(
            settings(&[], &["--topic-retention", "-1"]).topic_retention,
            super::super::Retention::Forever
        );
    }

    #[test]
    fn a_secret_comes_from_its_file() {
        let path = file("token", "  s3cret\n");
        let common = settings(&[("ADMIN_TOKEN_FILE", &path), ("ADMIN_TOKEN", "")], &[]);
        assert_eq!(common.admin_token.unwrap().expose_secret(), "s3cret");
        let help = command(&[("ADMIN_TOKEN_FILE", &path)]).unwrap().render_long_help().to_string();
        assert!(!help.contains("s3cret") && help.contains("[file: ADMIN_TOKEN_FILE]"), "{help}");
    }

    #[test]
    fn errors_name_the_secrets_setting() {
        let refused = |variables: &[(&str, &str)]| command(variables).unwrap_err().to_string();
        let twice = refused(&[("ADMIN_TOKEN", "a"), ("ADMIN_TOKEN_FILE", "b")]);
        assert_eq!(twice, "both ADMIN_TOKEN and ADMIN_TOKEN_FILE are set: set one of them");
        assert!(
            refused(&[("ADMIN_TOKEN_FILE", "/nowhere/key")])
                .starts_with("ADMIN_TOKEN_FILE: cannot read /nowhere/key: ")
        );
        assert!(refused(&[("ADMIN_TOKEN_FILE", &file("empty", "\n"))]).ends_with(" is empty"));
    }

    #[test]
    fn secrets_are_long_and_the_previous_one_is_accepted_too() {
        let (old, new) = ("the old key is long enough", "the new key is long enough");
        let refused =
            |options: &[&str]| settings(&[], options).operators().err().map(|error| error.to_string());
        let short = refused(&["--admin-token", "a"]).unwrap();
        assert!(short.starts_with("ADMIN_TOKEN must have at least 16 characters: openssl"));
        assert!(refused(&["--admin-token-previous", "b"]).unwrap().starts_with("ADMIN_TOKEN_PREVIOUS must"));
        let shared = ["--admin-token-previous", old, "--operator-tokens", &format!("ada:{old}")];
        assert!(refused(&shared).unwrap().contains("entry 1 has the token of another operator"));

        let operators = settings(&[], &["--admin-token", new, "--admin-token-previous", old]).operators();
        let operators = operators.unwrap();
        assert!(operators.matches(new) && operators.matches(old) && !operators.matches("neither of the two"));
    }

    #[test]
    fn only_secrets_come_from_files() {
        // A test run does not set this variable.
        assert_eq!(settings(&[("OUTBOX_LIMIT_FILE", "/nowhere")], &[]).outbox_limit, 1_000_000);
    }
}
