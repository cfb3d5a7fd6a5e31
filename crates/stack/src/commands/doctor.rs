//! `doctor`: looks at everything that an order needs, then places one, follows it hop by hop and cancels it again. What is
//! wrong is named with what to do; the exit status says whether anything was.

mod checkup;
mod trial;

use crate::local::Local;
use crate::screen::print;
use reqwest::Client;
use stack::Home;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

/// A service answers within 3 s whatever it waits for itself.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Whom the trial order belongs to: with SMTP set up, its mails go there.
    #[arg(long, default_value = "doctor@example.com")]
    email: String,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let home = Home::find()?;
    let local = Local::load(&home)?;
    let client = Client::builder().timeout(PATIENCE).no_proxy().build()?;
    let token = local.admin_token(&home)?;
    let mut doctor = Doctor { home, local, client, token, complaints: 0 };
    if doctor.check_up().await? {
        doctor.try_an_order(&arguments.email).await?;
    } else {
        print("no order is tried: it would be refused, or wait until both servers answer");
    }
    match doctor.complaints {
        0 => return Ok(ExitCode::SUCCESS),
        1 => print("\none thing is wrong"),
        many => print(format_args!("\n{many} things are wrong")),
    }
    Ok(ExitCode::FAILURE)
}

fn fine(what: impl Display) {
    print(format_args!("✓ {what}"));
}

/// The first few, and how many more: a service that is down has a lag on each of its partitions.
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
    home: Home,
    local: Local,
    client: Client,
    /// The operator's.
    token: String,
    complaints: usize,
}

impl Doctor {
    fn wrong(&mut self, what: impl Display) {
        self.complaints += 1;
        print(format_args!("✗ {what}"));
    }

    fn url(&self, service: &str) -> anyhow::Result<String> {
        if self.home.is_container() {
            return Ok(format!("http://{service}:8080"));
        }
        Ok(self.local.doors(&self.home, service)?.url())
    }

    fn ops_url(&self, service: &str) -> anyhow::Result<String> {
        if self.home.is_container() {
            return Ok(format!("http://{service}:9080"));
        }
        Ok(self.local.doors(&self.home, service)?.ops_url())
    }
}
