//! The board service.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run(&board::service())
}
