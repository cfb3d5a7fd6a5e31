//! The locations of the checkout, its services and `.data/`, which holds the files of all processes. A container has no
//! checkout: there, `STACK_PROGRAMS` names the folder of the programs. `STACK_DATA` replaces `.data/`, in a container
//! or for a second system of one checkout.
//!
//! Postgres refuses to run as root, so root runs Postgres as `nobody`. Where that user cannot reach `.data/` (a
//! checkout below `/root`), the files of Postgres lie under `/var/tmp` instead.

use crate::error::{During, Error, Result};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The order in which the services are listed and their ports assigned; other services follow by name.
const FLOW: [&str; 5] = ["order", "payment", "inventory", "notification", "board"];

/// The mode of a folder that other users may pass through but not list, since the user of Postgres has files in it.
pub(crate) const PASSABLE: u32 = 0o711;

/// The program of `stack-cli`, which in a container lies beside those of the services.
const OWN_PROGRAM: &str = "stack";

#[derive(Debug, Clone, Default)]
pub struct Home {
    root: PathBuf,
    data: PathBuf,
    is_container: bool,
    built: PathBuf,
}

impl Home {
    /// Finds the checkout of this program and creates `.data/`. Takes the first of: `CHECKOUT` (set by the scripts),
    /// `CARGO_MANIFEST_DIR`, the folders above the program, the folder in which the program was built.
    pub fn find() -> Result<Self> {
        if let (Some(programs), Some(data)) = (folder("STACK_PROGRAMS"), folder("STACK_DATA")) {
            return Ok(Self { root: programs.clone(), data, is_container: true, built: programs });
        }
        let program = std::env::current_exe().during(|| "asking for this program's path".into())?;
        let built = built_beside(&program);
        let named =
            ["CHECKOUT", "CARGO_MANIFEST_DIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
        let root = named.chain([program, built_in]).find_map(|place| checkout_above(&place));
        let missing = || Error::Failed("the checkout of this program does not exist any more".to_owned());
        let root = root.ok_or_else(missing)?;
        let root = root.canonicalize().during(|| format!("looking at {}", root.display()))?;
        let data = folder("STACK_DATA").unwrap_or_else(|| root.join(".data"));
        create_dir(&data)?;
        let data = data.canonicalize().during(|| format!("looking at {}", data.display()))?;
        close(&data)?;
        Ok(Self { root, data, is_container: false, built })
    }

    /// The same checkout with the default `.data/`, which a second system (`STACK_DATA`) shares with the first.
    #[must_use]
    pub fn usual(&self) -> Self {
        Self { data: self.root.join(".data"), ..self.clone() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this program runs in a container of docker-compose.yml.
    pub fn is_container(&self) -> bool {
        self.is_container
    }

    /// `.data/`, or a folder or file in it.
    pub fn data(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// The folder of the pid and log files of this checkout's own system.
    pub fn run(&self) -> PathBuf {
        self.data("run")
    }

    /// The path of a service's binary or of another program of the workspace, which Cargo puts beside this one.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.built.join(name)
    }

    /// The names of the services, found by their folders (in a container by their programs), in the order of `FLOW`.
    pub fn services(&self) -> Result<Vec<String>> {
        let folder = if self.is_container { self.built.clone() } else { self.root.join("services") };
        let is_service = |entry: &fs::DirEntry| {
            if self.is_container {
                entry.file_name() != OWN_PROGRAM
            } else {
                entry.path().join("Cargo.toml").exists()
            }
        };
        let listing = fs::read_dir(&folder).during(|| format!("listing {}", folder.display()))?;
        let mut names: Vec<String> = listing
            .filter_map(std::result::Result::ok)
            .filter(is_service)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        let rank = |name: &str| FLOW.iter().position(|known| *known == name).unwrap_or(FLOW.len());
        names.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
        Ok(names)
    }

    /// Returns a path that the user of Postgres can reach: `dir` (within `.data/`) itself, else a substitute under
    /// `/var/tmp`. Creates the parent folders with a passable mode.
    pub fn reachable(&self, dir: &Path) -> Result<PathBuf> {
        if crate::process::unprivileged()?.is_none() {
            return Ok(dir.to_path_buf());
        }
        let base =
            if self.data.ancestors().all(open_to_all) { self.data.clone() } else { self.substitute()? };
        let within = dir.strip_prefix(&self.data).unwrap_or(dir);
        let mut above = base.clone();
        for part in within.parent().into_iter().flatten() {
            above.push(part);
            create_dir(&above)?;
            set_mode(&above, PASSABLE)?;
        }
        Ok(base.join(within))
    }

    fn substitute(&self) -> Result<PathBuf> {
        let dir = PathBuf::from("/var/tmp")
            .join(format!("notifyme-{}", stable_hash(self.data.as_os_str().as_bytes())));
        create_dir(&dir)?;
        let meta = fs::symlink_metadata(&dir).during(|| format!("looking at {}", dir.display()))?;
        if !meta.is_dir() || meta.uid() != 0 {
            return Err(Error::Failed(format!("{} belongs to another user; remove it", dir.display())));
        }
        set_mode(&dir, PASSABLE)?;
        Ok(dir)
    }
}

pub fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).during(|| format!("creating {}", dir.display()))
}

/// Creates a folder with mode 0700; changes the mode of an existing folder.
pub fn create_private_dir(dir: &Path) -> Result<()> {
    create_dir(dir)?;
    set_mode(dir, 0o700)
}

/// Closes the data folder to other users. When Postgres runs as another user, the folder stays passable.
fn close(data: &Path) -> Result<()> {
    let mode = if crate::process::unprivileged()?.is_some() { PASSABLE } else { 0o700 };
    let meta = fs::metadata(data).during(|| format!("looking at {}", data.display()))?;
    if meta.permissions().mode() & 0o777 == mode { Ok(()) } else { set_mode(data, mode) }
}

pub fn remove_dir(dir: &Path) -> Result<()> {
    removed(dir, fs::remove_dir_all(dir))
}

pub fn remove_file(file: &Path) -> Result<()> {
    removed(file, fs::remove_file(file))
}

fn removed(path: &Path, result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.during(|| format!("removing {}", path.display())),
    }
}

/// Writes a file with mode 0600 atomically.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let write = || -> std::io::Result<()> {
        options.open(&draft)?.write_all(text.as_bytes())?;
        fs::rename(&draft, path)
    };
    write().during(|| format!("writing {}", path.display()))
}

/// Returns the disk space in MiB that this user may still use in this folder.
pub fn free_mib(dir: &Path) -> Result<u64> {
    let room = nix::sys::statvfs::statvfs(dir).map_err(std::io::Error::from);
    let room = room.during(|| format!("looking at the disk of {}", dir.display()))?;
    Ok((room.blocks_available() * room.fragment_size()) >> 20)
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).during(|| format!("chmod {mode:o} {}", path.display()))
}

fn checkout_above(place: &Path) -> Option<PathBuf> {
    let is_checkout = |dir: &&Path| dir.join("Cargo.toml").exists() && dir.join("services").is_dir();
    place.ancestors().find(is_checkout).map(PathBuf::from)
}

/// Returns the folder of the built programs: that of the running program, or its parent for tests and examples. To
/// derive the folder from Cargo's settings would mean to handle every way to set a target folder.
fn built_beside(program: &Path) -> PathBuf {
    let folder = program.parent().unwrap_or(Path::new("/"));
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("deps" | "examples") => folder.parent().unwrap_or(folder).to_path_buf(),
        _ => folder.to_path_buf(),
    }
}

fn folder(variable: &str) -> Option<PathBuf> {
    program::variable(variable).map(PathBuf::from)
}

fn open_to_all(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
}

/// Returns a hash that a folder or file is named by: SHA-256, because the standard library's may change between releases.
pub fn stable_hash(bytes: impl AsRef<[u8]>) -> String {
    let number =
        Sha256::digest(bytes).iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("{number:016x}")
}
