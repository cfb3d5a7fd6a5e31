//! Output to a pipe whose reader may have exited, such as `head`; `println!` and `eprintln!` would panic.

use std::fmt::Display;
use std::io::Write as _;

/// Prints a line, and continues if the pipe is closed: for a command that does more than print.
pub fn say(line: impl Display) {
    _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line, and exits with code 0 if the pipe is closed: for a command that only prints.
pub fn print(line: impl Display) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a line to standard error, and continues if the pipe is closed.
pub fn complain(line: impl Display) {
    _ = writeln!(std::io::stderr(), "{line}");
}
