//! A private Postgres: a cluster of its own with a generated admin password (scram, no trust), on 127.0.0.1 alone.

use crate::daemon::Daemon;
use crate::error::{During, Error, Result};
use crate::home::{create_dir, remove_dir, remove_file, set_mode, write_private};
use crate::maven::Installed;
use crate::process::Launch;
use crate::process_table::{anybody_works_in, look_up};
use crate::ready::Ready;
use crate::user::{Unprivileged, unprivileged};
use crate::{environment, program};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// The administrator's name.
const ADMIN: &str = "postgres";

/// How long the parent of a killed process has to notice.
const NOTICING: Duration = Duration::from_secs(1);

/// Whether it must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As Postgres comes.
    PowerCut,
    /// Survives a kill -9, and is faster: for tests.
    Kill,
}

/// What one private Postgres is made of.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Where it listens.
    pub port: u16,
    /// The cluster's folder, one that Postgres' user can reach.
    pub data: PathBuf,
    /// Where its pid and log files go.
    pub run: &'a Path,
    /// The administrator's password.
    pub password: &'a str,
    /// What it must survive.
    pub durability: Durability,
}

/// Creates the cluster where there is none yet, and describes the server on it.
pub async fn prepare(installed: &Installed, settings: &Settings<'_>) -> Result<Daemon> {
    let user = unprivileged()?;
    if settings.data.join("PG_VERSION").exists() {
        bury(&settings.data).await?;
    } else {
        init(installed, settings, user).await?;
    }
    let launch = Launch {
        program: installed.postgres.join("bin/postgres"),
        arguments: arguments(settings),
        environment: environment::postgres(),
        folder: None,
        user,
    };
    let url = admin_url(settings.port, settings.password);
    Ok(Daemon::new("postgres", settings.run, launch, Ready::Postgres(url)).stopped_by(Signal::SIGINT))
}

/// Makes the cluster of a killed server free. Postgres refuses to start while the process that its lock file names exists,
/// and a killed one exists until its parent has noticed: usually at once, in a container without an init process never.
async fn bury(data: &Path) -> Result<()> {
    let lock = data.join("postmaster.pid");
    let holder = || fs::read_to_string(&lock).ok()?.lines().next()?.trim().parse().ok().and_then(look_up);
    let deadline = Instant::now() + NOTICING;
    while holder().is_some_and(|holder| holder.zombie) {
        // Its sessions end by themselves when they notice; until then the memory that they share is in use.
        if Instant::now() > deadline && !anybody_works_in(data) {
            return remove_file(&lock);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The administrator's URL of a private server.
pub fn admin_url(port: u16, password: &str) -> String {
    format!("postgres://{ADMIN}:{password}@127.0.0.1:{port}/postgres")
}

/// The same server, user and password, another database.
pub fn with_database(url: &str, database: &str) -> Result<String> {
    let mut url = parse(url)?;
    url.set_path(database);
    Ok(url.into())
}

/// A Postgres URL, taken apart.
pub fn parse(url: &str) -> Result<reqwest::Url> {
    // The URL holds a password: the message must not.
    let refused = |error| {
        Error::Machine(format!("a Postgres URL looks like postgres://user:password@host/db: {error}"))
    };
    reqwest::Url::parse(url).map_err(refused)
}

/// Into a draft first: an interrupted `initdb` leaves nothing that looks like a cluster.
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
    let done = program::run("creating a Postgres cluster (initdb)", &mut initdb).await;
    fs::remove_file(&password).during(|| "removing the password file".into())?;
    done?;
    fs::rename(&draft, &settings.data).during(|| format!("naming {}", settings.data.display()))
}

fn hand_over(path: &Path, owner: Unprivileged) -> Result<()> {
    let to = (Some(owner.uid), Some(owner.gid));
    std::os::unix::fs::chown(path, to.0, to.1).during(|| format!("chown {}", path.display()))
}

fn arguments(settings: &Settings<'_>) -> Vec<OsString> {
    let mut arguments = vec!["-D".into(), settings.data.clone().into_os_string()];
    let port = settings.port.to_string();
    let mut set = vec![
        ("listen_addresses", "127.0.0.1"),
        ("port", port.as_str()),
        // TCP with a password is the only door.
        ("unix_socket_directories", ""),
        ("max_connections", "300"),
        ("max_wal_size", "256MB"),
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
    use super::bury;
    use crate::process_table::look_up;

    #[tokio::test]
    async fn the_lock_of_a_killed_server_that_nobody_waits_for_is_removed() {
        let data = std::env::temp_dir().join(format!("notifyme-bury-{}", std::process::id()));
        std::fs::create_dir_all(&data).unwrap();
        let lock = data.join("postmaster.pid");
        // A process that has ended and whose parent does not ask how: a zombie, until the end of this test.
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(ended.id()).unwrap();
        while !look_up(pid).unwrap().zombie {
            tokio::task::yield_now().await;
        }
        std::fs::write(&lock, format!("{pid}\n{}\n", data.display())).unwrap();
        bury(&data).await.unwrap();
        assert!(!lock.exists());

        let living = std::process::id();
        std::fs::write(&lock, format!("{living}\n")).unwrap();
        bury(&data).await.unwrap();
        assert!(lock.exists(), "a server that runs keeps its lock");
        ended.wait().unwrap();
        std::fs::remove_dir_all(&data).unwrap();
    }
}
