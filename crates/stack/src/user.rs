//! Who runs what: Postgres refuses to run as root.

use crate::error::{Error, Result};

/// The user that Postgres' processes are given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unprivileged {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// `nobody` when this program runs as root, else `None`: this program's own user will do.
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
