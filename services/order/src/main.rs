//! The order service as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run(&order::service())
}
