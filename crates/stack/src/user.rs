//! The user that runs Postgres, which refuses to run as root.

use crate::error::{Error, Result};

/// The user of the Postgres processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unprivileged {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Returns `nobody` when this program runs as root; else `None`, which means this program's own user.
pub(crate) fn unprivileged() -> Result<Option<Unprivileged>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    match nix::unistd::User::from_name("nobody") {
        Ok(Some(user)) => Ok(Some(Unprivileged { uid: user.uid.as_raw(), gid: user.gid.as_raw() })),
        _ => Err(Error::Machine(
            "Postgres does not run as root, and there is no user `nobody` to run it as".into(),
        )),
    }
}
