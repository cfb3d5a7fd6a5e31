//! The process behind the board's buttons: this program itself, which serves `stack buttons` until it is stopped.

use crate::daemon::Daemon;
use crate::environment;
use crate::error::{During, Result};
use crate::process::Launch;
use crate::ready::Ready;
use std::path::Path;

/// The name of the process.
pub const NAME: &str = "buttons";

/// The variables that say where the system of this checkout is, and those of Java, which it may start.
const PLACES: [&str; 5] = ["CHECKOUT", "STACK_DATA", "JAVA_HOME", "MAVEN_OPTS", "M2_HOME"];

/// Returns the daemon, which answers on this port of the loopback address.
pub fn daemon(port: u16, run: &Path) -> Result<Daemon> {
    let mut environment = environment::basics();
    let place = |name: &str| Some((name.to_owned(), std::env::var_os(name)?));
    environment.extend(PLACES.into_iter().filter_map(place));
    let launch = Launch {
        program: std::env::current_exe().during(|| "asking for this program's path".into())?,
        arguments: vec![NAME.into()],
        environment,
        folder: None,
        user: None,
    };
    Ok(Daemon::new(NAME, run, launch, Ready::Http(format!("http://127.0.0.1:{port}/live"))))
}
