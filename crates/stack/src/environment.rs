//! The variables that child processes inherit from this process's environment: a fixed selection. A variable that the
//! user set for psql, for another Java program or for their locale must not change a server or a service.

use std::ffi::OsString;

/// Paths of programs, libraries, temporary files and certificates; switches for backtraces and colours.
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

/// Maven's own options, which hold proxies and trust stores.
const MAVEN: [&str; 4] = ["JAVA_HOME", "MAVEN_OPTS", "MAVEN_ARGS", "M2_HOME"];

pub fn basics() -> Vec<(String, OsString)> {
    taken(&BASICS)
}

/// Variables for Postgres, with a fixed locale and time zone for its messages and dates.
pub(crate) fn postgres() -> Vec<(String, OsString)> {
    with(basics(), &[("LC_ALL", "C"), ("TZ", "UTC")])
}

/// Variables for Kafka and its tools: no Java options, UTF-8 file names and a fixed locale (under a Turkish one, Java writes
/// `classic` in capitals with a dotted İ, which Kafka does not know).
pub fn kafka() -> Vec<(String, OsString)> {
    with(basics(), &[("LC_ALL", "C.UTF-8"), ("TZ", "UTC")])
}

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
