//! Downloads the servers with Maven, once: Kafka's jars and the binaries of Postgres, pinned in `servers/pom.xml` and
//! unpacked under `.data/servers/`. All systems of this checkout share them.

use crate::error::{During, Error, Result};
use crate::home::{Home, PASSABLE, create_dir, create_private_dir, remove_dir, remove_file, set_mode};
use crate::secrets::hex;
use crate::{environment, helper};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tokio::process::Command;

#[derive(Debug, Clone)]
pub struct Installed {
    pub kafka: PathBuf,
    /// The folder that contains the `bin/` of Postgres.
    pub postgres: PathBuf,
}

/// Downloads and unpacks the servers of `servers/pom.xml` unless they are installed. Calls `note` before a download.
pub async fn install(home: &Home, note: impl Fn(&str)) -> Result<Installed> {
    let home = &home.usual();
    let pom = home.root().join("crates/stack/servers/pom.xml");
    let wanted = fs::read_to_string(&pom).during(|| format!("reading {}", pom.display()))?;
    let stamp = format!("{}\n{wanted}", platform()?);
    let jars = home.data("servers");
    create_dir(&home.data(""))?;
    let binaries = home.reachable(&jars)?;
    let installed = Installed { kafka: jars.join("kafka"), postgres: binaries.join("postgres") };
    let done = || {
        fs::read_to_string(jars.join("stamp")).is_ok_and(|had| had == stamp)
            && installed.postgres.join("bin/postgres").exists()
    };
    if done() {
        return Ok(installed);
    }
    let _only_one = lock(home).await?;
    if !done() {
        note("downloading Kafka and Postgres with Maven (once)");
        fetch(&pom, &jars, &binaries).await?;
        fs::write(jars.join("stamp"), &stamp).during(|| "recording the installed versions".into())?;
    }
    Ok(installed)
}

async fn fetch(pom: &Path, jars: &Path, binaries: &Path) -> Result<()> {
    remove_dir(jars)?;
    create_dir(jars)?;
    let plain = std::env::temp_dir().join(format!("notifyme-{}", hex(8)?));
    create_private_dir(&plain)?;
    let fetched = package(pom, jars, &plain).await;
    remove_dir(&plain)?;
    fetched?;
    // Maven copies the modes of the files.
    helper::run("chmod", Command::new("chmod").args(["-R", "go-rwx"]).arg(jars)).await?;
    unpack(&jars.join("archive"), &binaries.join("postgres")).await?;
    remove_dir(&jars.join("archive"))?;
    remove_dir(&jars.join("maven"))
}

/// Runs Maven in the folder `plain`, with a symbolic link to `jars`: Maven reads a backslash in the checkout's path as
/// a slash and would write to another folder.
async fn package(pom: &Path, jars: &Path, plain: &Path) -> Result<()> {
    let (description, servers) = (plain.join("pom.xml"), plain.join("servers"));
    fs::copy(pom, &description).during(|| format!("copying {}", pom.display()))?;
    symlink(jars, &servers).during(|| format!("linking {}", jars.display()))?;
    let mut maven = Command::new("mvn");
    maven.env_clear().envs(environment::maven()).args(["--quiet", "--batch-mode", "--file"]).arg(description);
    maven.arg(format!("-Dservers={}", servers.display())).arg(format!("-Dpostgres.platform={}", platform()?));
    helper::run("Maven", maven.arg("package")).await
}

async fn unpack(archive: &Path, into: &Path) -> Result<()> {
    let listing = fs::read_dir(archive).during(|| format!("listing {}", archive.display()))?;
    let is_txz = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "txz");
    let file = listing.filter_map(std::result::Result::ok).map(|entry| entry.path()).find(is_txz);
    let file = file.ok_or_else(|| Error::Failed("the Postgres artifact contains no .txz".into()))?;
    remove_dir(into)?;
    create_dir(into)?;
    // Under a plain name in the current folder: GNU tar reads a backslash in a path as the start of an escape.
    let plain = into.join("archive.txz");
    fs::copy(&file, &plain).during(|| format!("copying {}", file.display()))?;
    let mut tar = Command::new("tar");
    tar.args(["-xJpf", "archive.txz", "--no-same-owner"]).current_dir(into);
    helper::run("unpacking Postgres (tar, xz)", &mut tar).await?;
    remove_file(&plain)?;
    // The user of Postgres must read the files whatever the umask is.
    helper::run("chmod", Command::new("chmod").args(["-R", "a+rX"]).arg(into)).await?;
    into.parent().map_or(Ok(()), |dir| set_mode(dir, PASSABLE))
}

/// Returns the platform of this machine as the artifact's name spells it.
fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-amd64"),
        ("linux", "aarch64") => Ok("linux-arm64v8"),
        ("macos", "x86_64") => Ok("darwin-amd64"),
        ("macos", "aarch64") => Ok("darwin-arm64v8"),
        (os, arch) => {
            let hint = "start a Postgres yourself and set POSTGRES_URL";
            Err(Error::Failed(format!("there are no Postgres binaries for {os} on {arch}; {hint}")))
        }
    }
}

/// Waits for the lock, which is held until the file is dropped or this process ends.
async fn lock(home: &Home) -> Result<fs::File> {
    let path = home.data("servers.lock");
    let file = fs::File::create(&path).during(|| format!("creating {}", path.display()))?;
    let waiting = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    let locked = waiting.await.map_err(std::io::Error::other);
    locked.and_then(|locked| locked).during(|| format!("locking {}", path.display()))
}
