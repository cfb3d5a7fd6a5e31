//! `doctor`: checks everything that an order needs, then places an order, follows it hop by hop and cancels it. Prints
//! each problem with a remedy; the exit status is 1 when there is a problem.

mod checkup;
mod findings;
mod trial;

use crate::local::Local;
use crate::screen::print;
use findings::{Doctor, TIMEOUT};
use reqwest::Client;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The customer of the trial order, who gets its mails when SMTP is configured.
    #[arg(long, default_value = "doctor@example.com")]
    email: String,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let local = Local::load()?;
    let client = Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let token = local.secret("ADMIN_TOKEN")?;
    let mut doctor = Doctor { local, client, token, complaints: 0 };
    if doctor.check_up().await? {
        doctor.try_an_order(&arguments.email).await?;
    } else {
        print("no trial order: it would be refused, or wait until Kafka and Postgres answer");
    }
    match doctor.complaints {
        0 => return Ok(ExitCode::SUCCESS),
        1 => print("\nsomething is wrong: 1 problem"),
        many => print(format_args!("\nsomething is wrong: {many} problems")),
    }
    Ok(ExitCode::FAILURE)
}
