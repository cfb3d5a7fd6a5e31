//! Printing to a reader that may have gone, as `head` does: `println!` and `eprintln!` panic then.

use std::fmt::Display;
use std::io::Write as _;

/// Prints a line, and goes on when nobody reads any more: for a command that does something beside printing.
pub fn say(line: impl Display) {
    _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line, and ends the process quietly when nobody reads any more: for a command whose lines are its purpose.
pub fn print(line: impl Display) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a line to standard error, and goes on when nobody reads any more.
pub fn complain(line: impl Display) {
    _ = writeln!(std::io::stderr(), "{line}");
}
