//! The `.sqlx` folders: what `sqlx::query!` needs to know of the databases to check the queries without one. They are
//! written by compiling each crate against a private Postgres that has its migrations, one database a service.

use crate::error::{During, Error, Result};
use crate::home::{Home, create_dir, remove_dir};
use crate::postgres::{self, Durability};
use crate::scratch::Scratch;
use crate::{maven, ports, random};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// A crate with checked queries.
#[derive(Debug)]
pub struct Checked {
    /// The package.
    pub name: String,
    dir: PathBuf,
    /// The environment variable that its `sqlx.toml` names.
    variable: String,
}

/// All crates that have a `sqlx.toml`, or those of them that were named.
pub fn crates(home: &Home, named: &[String]) -> Result<Vec<Checked>> {
    let mut found = Vec::new();
    for folder in ["crates", "services"] {
        let listing = fs::read_dir(home.root().join(folder)).during(|| format!("listing {folder}/"))?;
        let dirs = listing.filter_map(std::result::Result::ok).map(|entry| entry.path());
        found.extend(dirs.filter_map(checked));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(unknown) = named.iter().find(|name| !found.iter().any(|checked| checked.name == **name)) {
        return Err(Error::Machine(format!("there is no crate `{unknown}` with a sqlx.toml")));
    }
    found.retain(|checked| named.is_empty() || named.contains(&checked.name));
    Ok(found)
}

fn checked(dir: PathBuf) -> Option<Checked> {
    let settings = fs::read_to_string(dir.join("sqlx.toml")).ok()?;
    let variable = settings.lines().find_map(|line| line.trim().strip_prefix("database-url-var"))?;
    let variable = variable.split('"').nth(1)?.to_owned();
    Some(Checked { name: dir.file_name()?.to_str()?.to_owned(), dir, variable })
}

/// A private Postgres with one migrated database a service.
#[derive(Debug)]
pub struct Databases {
    /// Service and URL.
    urls: Vec<(String, String)>,
    daemon: crate::Daemon,
    _scratch: Scratch,
}

impl Databases {
    /// Starts it, and applies the migrations as the files say now.
    pub async fn start(home: &Home) -> Result<Self> {
        let scratch = Scratch::new(home)?;
        let installed = maven::install(home, |_| ()).await?;
        let (port, password) = (ports::free()?, random::hex(16)?);
        let settings = postgres::Settings {
            port,
            data: scratch.reachable().join("postgres"),
            run: scratch.dir(),
            password: &password,
            durability: Durability::Kill,
        };
        let daemon = postgres::prepare(&installed, &settings).await?;
        let admin = postgres::admin_url(port, &password);
        let mut databases = Self { urls: Vec::new(), daemon, _scratch: scratch };
        databases.daemon.start().await?;
        for service in home.services()? {
            let url = postgres::with_database(&admin, &format!("check_{service}"))?;
            create(&admin, &format!("check_{service}")).await?;
            migrate(home, &service, &url).await?;
            databases.urls.push((service, url));
        }
        Ok(databases)
    }

    /// Writes the folder of one crate, beside its `Cargo.toml` or below `into`.
    pub async fn write(&self, home: &Home, checked: &Checked, into: Option<&Path>) -> Result<PathBuf> {
        let folder = into.map_or_else(|| checked.dir.join(".sqlx"), |dir| dir.join(&checked.name));
        // Written beside, then moved: whoever compiles meanwhile finds a whole folder.
        let draft = home.data("sqlx").join(format!("{}-{}", checked.name, std::process::id()));
        remove_dir(&draft)?;
        create_dir(&draft)?;
        let touched = fs::File::open(checked.dir.join("src/lib.rs"));
        touched
            .and_then(|file| file.set_modified(std::time::SystemTime::now()))
            .during(|| "touching lib.rs".into())?;
        let mut cargo = Command::new("cargo");
        cargo
            .args(["check", "--quiet", "--all-targets", "--package", &checked.name])
            .current_dir(home.root());
        cargo.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", &draft);
        // Its own variable alone: the crates below it go on using what is written, and write nothing here.
        cargo.envs(self.url(&checked.variable).map(|url| (&checked.variable, url)));
        let status = cargo.kill_on_drop(true).status().await.during(|| "starting cargo".into())?;
        if !status.success() {
            remove_dir(&draft)?;
            return Err(Error::Machine(format!("{} does not compile", checked.name)));
        }
        remove_dir(&folder)?;
        folder.parent().map_or(Ok(()), create_dir)?;
        fs::rename(&draft, &folder).during(|| format!("naming {}", folder.display()))?;
        Ok(folder)
    }

    /// `ORDER_DATABASE_URL` is the order service's; the tables of a crate are in all databases.
    fn url(&self, variable: &str) -> Option<&str> {
        let service = variable.trim_end_matches("_DATABASE_URL").to_lowercase();
        let own = self.urls.iter().find(|(name, _)| *name == service).or(self.urls.first());
        own.map(|(_, url)| url.as_str())
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        self.daemon.put_away();
    }
}

/// Whether the committed folder of a crate and a fresh one hold the same.
pub fn same(checked: &Checked, fresh: &Path) -> Result<bool> {
    Ok(contents(&checked.dir.join(".sqlx"))? == contents(fresh)?)
}

fn contents(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let Ok(listing) = fs::read_dir(dir) else {
        return Ok(BTreeMap::new());
    };
    let files = listing.filter_map(std::result::Result::ok).map(|entry| entry.path());
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).during(|| format!("reading {}", path.display()))?;
        Ok((PathBuf::from(path.file_name().unwrap_or_default()), bytes))
    };
    files.map(read).collect()
}

async fn create(admin: &str, database: &str) -> Result<()> {
    let mut connection = PgConnection::connect(admin).await?;
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"))).await?;
    Ok(connection.close().await?)
}

/// The broker's tables and the service's own, each with a record of its own of what is applied.
async fn migrate(home: &Home, service: &str, url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute("CREATE SCHEMA IF NOT EXISTS broker").await?;
    let mut broker = Migrator::new(home.root().join("crates/broker/migrations")).await?;
    broker.dangerous_set_table_name("broker._sqlx_migrations");
    broker.run(&mut connection).await?;
    Migrator::new(home.root().join("migrations").join(service)).await?.run(&mut connection).await?;
    Ok(connection.close().await?)
}
