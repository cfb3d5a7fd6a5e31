//! `token`: prints only the operator's token, for `$(./scripts/token)`.

use crate::local::Local;
use crate::screen::print;
use stack::Home;

pub(crate) fn run() -> anyhow::Result<()> {
    let home = Home::find()?;
    print(Local::load(&home)?.admin_token(&home)?);
    Ok(())
}
