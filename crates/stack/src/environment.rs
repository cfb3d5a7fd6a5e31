//! What the programs that are started here get of this process's environment: chosen variables, not all. A variable that
//! somebody set for psql, for another Java program or for their own language must not change a server or a service.

use std::ffi::OsString;

/// Where programs, their libraries, temporary files and certificates are, whether a panic shows where it was, and whether
/// colours are wanted.
const BASICS: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "RUST_BACKTRACE",
    "NO_COLOR",
];

/// How Maven reaches its repositories: proxies and trust stores stand in its own options.
const MAVEN: [&str; 4] = ["JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS", "M2_HOME"];

/// For every program.
pub(crate) fn basics() -> Vec<(String, OsString)> {
    taken(&BASICS)
}

/// For Postgres: messages and dates that do not depend on who started it.
pub(crate) fn postgres() -> Vec<(String, OsString)> {
    with(basics(), &[("LC_ALL", "C"), ("TZ", "UTC")])
}

/// For Kafka and its tools: no options of other Java programs, a language in which `classic` has its usual capital
/// letters (in Turkish it has not), and UTF-8 in the names of files.
pub fn kafka() -> Vec<(String, OsString)> {
    with(basics(), &[("LC_ALL", "C.UTF-8"), ("TZ", "UTC")])
}

/// For Maven.
pub(crate) fn maven() -> Vec<(String, OsString)> {
    let mut variables = with(basics(), &[("LC_ALL", "C.UTF-8")]);
    variables.extend(taken(&MAVEN));
    variables
}

fn taken(names: &[&str]) -> Vec<(String, OsString)> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?))).collect()
}

fn with(mut variables: Vec<(String, OsString)>, more: &[(&str, &str)]) -> Vec<(String, OsString)> {
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))));
    variables
}
