//! Output to a pipe whose reader may have exited, such as `head`; `println!` and `eprintln!` would panic.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::sync::Once;

/// Prints a line, and continues if the pipe is closed: for a command that does more than print.
pub fn say(line: impl Display) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        report(&error);
    }
}

/// Prints a line, and exits with code 0 if the pipe is closed: for a command that only prints.
pub fn print(line: impl Display) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        report(&error);
        std::process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
    }
}

/// Reports output that is lost for another reason than a closed pipe, such as a full disk, once.
fn report(error: &io::Error) {
    static ONCE: Once = Once::new();
    if error.kind() != ErrorKind::BrokenPipe {
        ONCE.call_once(|| complain(format_args!("cannot write to standard output: {error}")));
    }
}

/// Prints a line to standard error, and continues if the pipe is closed.
pub fn complain(line: impl Display) {
    _ = writeln!(io::stderr(), "{line}");
}
