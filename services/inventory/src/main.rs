//! The inventory service.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run(&inventory::service())
}
