//! The `.sqlx` folders: the query data with which `sqlx::query!` checks queries without a database. They are written by
//! compiling each crate against a private Postgres with one migrated database per service.

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
    /// The name of the package.
    pub name: String,
    dir: PathBuf,
    /// The environment variable that its `sqlx.toml` names.
    variable: String,
}

/// Returns the named crates with a `sqlx.toml`; all such crates when none is named.
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

impl Checked {
    fn folder(&self) -> PathBuf {
        self.dir.join(".sqlx")
    }
}

fn checked(dir: PathBuf) -> Option<Checked> {
    let settings = fs::read_to_string(dir.join("sqlx.toml")).ok()?;
    let variable = settings.lines().find_map(|line| line.trim().strip_prefix("database-url-var"))?;
    let variable = variable.split('"').nth(1)?.to_owned();
    Some(Checked { name: dir.file_name()?.to_str()?.to_owned(), dir, variable })
}

/// A private Postgres with one migrated database per service.
#[derive(Debug)]
pub struct Databases {
    /// The services and the URLs of their databases.
    urls: Vec<(String, String)>,
    daemon: crate::Daemon,
    _scratch: Scratch,
}

impl Databases {
    /// Starts Postgres and applies the current migrations.
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
            environment: &[],
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

    /// Writes the query data of all crates into the folder of each, so that one compiles while another is prepared.
    pub async fn spread(&self, home: &Home, crates: &[Checked]) -> Result<()> {
        let draft = draft(home, "all")?;
        let compiled = self.compile(home, crates, &draft).await;
        let fresh = contents(&draft);
        remove_dir(&draft)?;
        compiled?;
        let fresh = fresh?;
        for folder in crates.iter().map(Checked::folder) {
            create_dir(&folder)?;
            for (name, text) in &fresh {
                fs::write(folder.join(name), text).during(|| format!("writing into {}", folder.display()))?;
            }
        }
        Ok(())
    }

    /// Writes the folder of one crate.
    pub async fn write(&self, home: &Home, checked: &Checked) -> Result<PathBuf> {
        let (draft, folder) = (draft(home, &checked.name)?, checked.folder());
        // Only this crate's variable is set: its dependencies use their committed query data and write nothing here.
        let compiled = self.compile(home, std::slice::from_ref(checked), &draft).await;
        if let Err(error) = compiled {
            remove_dir(&draft)?;
            return Err(error);
        }
        remove_dir(&folder)?;
        // The rename is atomic: a concurrent build finds a complete folder.
        fs::rename(&draft, &folder).during(|| format!("naming {}", folder.display()))?;
        Ok(folder)
    }

    /// Compiles all these crates at once, and returns the names of those whose folder is out of date.
    pub async fn outdated(&self, home: &Home, crates: &[Checked]) -> Result<Vec<String>> {
        let draft = draft(home, "check")?;
        let compiled = self.compile(home, crates, &draft).await;
        let fresh = contents(&draft);
        remove_dir(&draft)?;
        compiled?;
        let (mut fresh, mut outdated) = (fresh?, Vec::new());
        let mut written = Vec::new();
        for checked in crates {
            let folder = contents(&checked.folder())?;
            // A query's file is named by a hash of the query: the same query in two crates is one file here.
            if folder.iter().any(|(name, text)| fresh.get(name) != Some(text)) {
                outdated.push(checked.name.clone());
            }
            written.extend(folder.into_keys());
        }
        fresh.retain(|name, _| !written.contains(name));
        if let Some((name, _)) = fresh.pop_first() {
            outdated.push(format!("the crate of query {}", name.display()));
        }
        Ok(outdated)
    }

    /// Compiles crates against their databases and writes their query data into `draft`.
    async fn compile(&self, home: &Home, crates: &[Checked], draft: &Path) -> Result<()> {
        let mut cargo = Command::new("cargo");
        // The whole workspace, so that the features of dependencies are the same as in every other build.
        cargo.args(["check", "--quiet", "--workspace", "--all-targets"]).current_dir(home.root());
        cargo.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", draft);
        for checked in crates {
            let touched = fs::File::open(checked.dir.join("src/lib.rs"));
            touched
                .and_then(|file| file.set_modified(std::time::SystemTime::now()))
                .during(|| format!("touching lib.rs of {}", checked.name))?;
            cargo.envs(self.url(&checked.variable).map(|url| (&checked.variable, url)));
        }
        let status = cargo.kill_on_drop(true).status().await.during(|| "starting cargo".into())?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::Machine("the workspace does not compile".to_owned()))
        }
    }

    /// Returns the URL for a variable, for example `ORDER_DATABASE_URL`. For a crate below the services, any service's
    /// database has its tables.
    fn url(&self, variable: &str) -> Option<&str> {
        let service = variable.trim_end_matches("_DATABASE_URL").to_lowercase();
        let own = self.urls.iter().find(|(name, _)| *name == service).or(self.urls.first());
        own.map(|(_, url)| url.as_str())
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        self.daemon.clean_up();
    }
}

fn draft(home: &Home, name: &str) -> Result<PathBuf> {
    let draft = home.data("sqlx").join(format!("{name}-{}", std::process::id()));
    remove_dir(&draft)?;
    create_dir(&draft)?;
    Ok(draft)
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

/// Applies the migrations of the crates below the service and its own, each with its own table of applied migrations.
async fn migrate(home: &Home, service: &str, url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for name in ["broker", "web"] {
        let mut migrator = Migrator::new(home.root().join("crates").join(name).join("migrations")).await?;
        migrator.create_schema(name);
        migrator.dangerous_set_table_name(format!("{name}._sqlx_migrations"));
        migrator.run(&mut connection).await?;
    }
    Migrator::new(home.root().join("migrations").join(service)).await?.run(&mut connection).await?;
    Ok(connection.close().await?)
}
