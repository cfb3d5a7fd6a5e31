//! A private Postgres: its own cluster with a generated admin password (scram, no trust), only on 127.0.0.1.

use crate::daemon::Daemon;
use crate::error::{During, Error, Result};
use crate::home::{create_dir, remove_dir, remove_file, set_mode, write_private};
use crate::maven::Installed;
use crate::process::{Launch, Unprivileged, unprivileged};
use crate::process_table::{any_process_works_in, look_up};
use crate::ready::Ready;
use crate::{environment, helper};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

const ADMIN: &str = "postgres";

/// The time within which the parent of a killed process must have reaped it.
const REAP_TIMEOUT: Duration = Duration::from_secs(1);

/// The failure that committed data must survive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: the default settings of Postgres.
    PowerCut,
    /// Only a kill -9: faster, for tests.
    #[default]
    Kill,
}

#[derive(Debug)]
pub struct Settings<'a> {
    pub port: u16,
    /// The cluster's folder, which the user of Postgres must be able to reach.
    pub data: PathBuf,
    /// The folder of the pid file and the log file of the process.
    pub run: &'a Path,
    pub password: &'a str,
    pub durability: Durability,
    /// Environment variables of the server, in addition to the usual ones.
    pub environment: &'a [(&'a str, String)],
}

/// Creates the cluster unless it exists, and returns the daemon.
pub async fn prepare(installed: &Installed, settings: &Settings<'_>) -> Result<Daemon> {
    let user = unprivileged()?;
    if settings.data.join("PG_VERSION").exists() {
        release_stale_lock(&settings.data).await?;
    } else {
        init(installed, settings, user).await?;
    }
    let more = settings.environment.iter().map(|(name, value)| ((*name).to_owned(), value.into()));
    let environment = environment::postgres().into_iter().chain(more).collect();
    let program = installed.postgres.join("bin/postgres");
    let launch = Launch { user, ..Launch::new(program, arguments(settings), environment) };
    let url = admin_url(settings.port, settings.password);
    Ok(Daemon::new("postgres", settings.run, launch, Ready::Postgres(url)))
}

/// Removes the lock file of a killed server. Postgres refuses to start while the process that its lock file names
/// exists, and a killed process exists until its parent reaps it: usually at once, in a container without an init
/// process never.
async fn release_stale_lock(data: &Path) -> Result<()> {
    let lock = data.join("postmaster.pid");
    let holder = || fs::read_to_string(&lock).ok()?.lines().next()?.trim().parse().ok().and_then(look_up);
    let deadline = Instant::now() + REAP_TIMEOUT;
    while holder().is_some_and(|holder| holder.zombie) {
        // The sessions of the killed server end by themselves; until then they use its shared memory.
        if Instant::now() > deadline && !any_process_works_in(data) {
            return remove_file(&lock);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

pub fn admin_url(port: u16, password: &str) -> String {
    format!("postgres://{ADMIN}:{password}@127.0.0.1:{port}/postgres")
}

pub fn with_database(url: &str, database: &str) -> Result<String> {
    let mut url = parse(url)?;
    url.set_path(database);
    Ok(url.into())
}

pub(crate) fn parse(url: &str) -> Result<reqwest::Url> {
    // The message must not show the URL, which contains a password.
    let refused = |error| {
        Error::Failed(format!("a Postgres URL has the form postgres://user:password@host/db: {error}"))
    };
    reqwest::Url::parse(url).map_err(refused)
}

/// Creates the cluster in a draft folder and renames it, so that an interrupted `initdb` leaves no broken cluster.
async fn init(installed: &Installed, settings: &Settings<'_>, user: Option<Unprivileged>) -> Result<()> {
    let draft = settings.data.with_extension("draft");
    remove_dir(&draft)?;
    create_dir(&draft)?;
    set_mode(&draft, 0o700)?;
    let password = draft.with_extension("password");
    write_private(&password, settings.password)?;
    if let Some(owner) = user {
        hand_over(&draft, owner)?;
        hand_over(&password, owner)?;
    }
    let mut initdb = Command::new(installed.postgres.join("bin/initdb"));
    initdb.arg("--pgdata").arg(&draft).arg("--pwfile").arg(&password).args(["--username", ADMIN]);
    initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions", "--no-sync"]);
    initdb.env_clear().envs(environment::postgres());
    if let Some(owner) = user {
        initdb.uid(owner.uid).gid(owner.gid);
    }
    let done = helper::run("creating a Postgres cluster (initdb)", &mut initdb).await;
    fs::remove_file(&password).during(|| "removing the password file".into())?;
    done?;
    fs::rename(&draft, &settings.data).during(|| format!("naming {}", settings.data.display()))
}

fn hand_over(path: &Path, owner: Unprivileged) -> Result<()> {
    let chowned = std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid));
    chowned.during(|| format!("chown {}", path.display()))
}

fn arguments(settings: &Settings<'_>) -> Vec<OsString> {
    let mut arguments = vec!["-D".into(), settings.data.clone().into_os_string()];
    let port = settings.port.to_string();
    let mut set = vec![
        ("listen_addresses", "127.0.0.1"),
        ("port", port.as_str()),
        // Connections only over TCP, with a password.
        ("unix_socket_directories", ""),
        ("max_connections", "300"),
        ("jit", "off"),
        ("log_line_prefix", "%m %u@%d "),
    ];
    if settings.durability == Durability::Kill {
        set.extend([("fsync", "off"), ("full_page_writes", "off")]);
    }
    for (name, value) in set {
        arguments.extend(["-c".into(), format!("{name}={value}").into()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::release_stale_lock;
    use crate::process_table::look_up;

    #[tokio::test]
    async fn the_lock_of_a_killed_server_that_its_parent_does_not_reap_is_removed() {
        let data = std::env::temp_dir().join(format!("notifyme-stale-lock-{}", std::process::id()));
        std::fs::create_dir_all(&data).unwrap();
        let lock = data.join("postmaster.pid");
        // A process that has ended and that its parent does not reap: a zombie until the end of this test.
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(ended.id()).unwrap();
        while !look_up(pid).unwrap().zombie {
            tokio::task::yield_now().await;
        }
        std::fs::write(&lock, format!("{pid}\n{}\n", data.display())).unwrap();
        release_stale_lock(&data).await.unwrap();
        assert!(!lock.exists());

        let living = std::process::id();
        std::fs::write(&lock, format!("{living}\n")).unwrap();
        release_stale_lock(&data).await.unwrap();
        assert!(lock.exists(), "a running server keeps its lock");
        ended.wait().unwrap();
        std::fs::remove_dir_all(&data).unwrap();
    }
}
