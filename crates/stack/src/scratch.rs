//! A temporary folder for the processes of a test or a check. The owner holds a lock in the folder, which the kernel
//! releases when the owner dies: the next owner then kills the processes that are left and removes the folder.

use crate::error::{During, Result};
use crate::home::{Home, PASSABLE, create_dir, remove_dir, set_mode};
use crate::running;
use crate::secrets::hex;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A folder under `.data/scratch/`, and the folder for Postgres, which may be another one.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    reachable: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Removes the folders of dead owners, then creates a new one.
    pub fn new(home: &Home) -> Result<Self> {
        let all = home.data("scratch");
        create_dir(&all)?;
        sweep(home, &all);
        let dir = all.join(hex(4)?);
        create_dir(&dir)?;
        let file = File::create(dir.join("lock")).during(|| "creating a scratch folder's lock".into())?;
        file.lock().during(|| "locking a scratch folder".into())?;
        let reachable = home.reachable(&dir)?;
        create_dir(&reachable)?;
        set_mode(&reachable, PASSABLE)?;
        Ok(Self { dir, reachable, _lock: file })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of the files of Postgres.
    pub fn reachable(&self) -> &Path {
        &self.reachable
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        running::kill_all(&self.dir);
        _ = remove_dir(&self.reachable);
        _ = remove_dir(&self.dir);
    }
}

fn sweep(home: &Home, all: &Path) {
    let Ok(listing) = fs::read_dir(all) else { return };
    for dir in listing.filter_map(std::result::Result::ok).map(|entry| entry.path()) {
        // Another process is just creating or removing a folder without a lock.
        let Ok(file) = File::open(dir.join("lock")) else {
            continue;
        };
        if file.try_lock().is_ok() {
            running::kill_all(&dir);
            _ = home.reachable(&dir).and_then(|reachable| remove_dir(&reachable));
            _ = remove_dir(&dir);
        }
    }
}
