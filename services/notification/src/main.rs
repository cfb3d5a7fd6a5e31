//! The notification service's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run(&notification::service())
}
