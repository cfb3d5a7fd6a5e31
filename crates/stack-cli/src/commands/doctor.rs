//! `doctor`: checks everything that an order needs, then places an order, follows it hop by hop and cancels it. Prints
//! each problem with a remedy; the exit status is 1 when there is a problem.

mod checkup;
mod trial;

use crate::local::Local;
use crate::screen::print;
use reqwest::Client;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

/// The timeout of a request; a service answers within 3 s even when its own dependencies do not.
const TIMEOUT: Duration = Duration::from_secs(5);

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

fn fine(what: impl Display) {
    print(format_args!("✓ {what}"));
}

/// Returns the first 3 lines and the number of the others: a stopped service has a lag on each of its partitions.
fn shortened(mut lines: Vec<String>) -> Vec<String> {
    const FEW: usize = 3;
    let more = lines.len().saturating_sub(FEW);
    lines.truncate(FEW);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

struct Doctor {
    local: Local,
    client: Client,
    token: String,
    complaints: usize,
}

impl Doctor {
    fn wrong(&mut self, what: impl Display) {
        self.complaints += 1;
        print(format_args!("✗ {what}"));
    }

    fn url(&self, service: &str) -> anyhow::Result<String> {
        if self.local.home.is_container() {
            return Ok(format!("http://{service}:8080"));
        }
        Ok(self.local.endpoints(service)?.url())
    }

    fn ops_url(&self, service: &str) -> anyhow::Result<String> {
        if self.local.home.is_container() {
            return Ok(format!("http://{service}:9080"));
        }
        Ok(self.local.endpoints(service)?.ops_url())
    }
}
