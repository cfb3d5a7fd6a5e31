//! A folder for what a test or a check starts, gone with it. Its lock falls when its owner dies, however that happens:
//! then the next one finds the folder, ends what was left running, and removes it.

use crate::error::{During, Result};
use crate::home::{Home, PASSABLE, create_dir, remove_dir, set_mode};
use crate::{random, running};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A folder under `.data/scratch/`, and its twin for Postgres where that is another one.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: PathBuf,
    reachable: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A new one, after those that dead owners left have been cleared away.
    pub(crate) fn new(home: &Home) -> Result<Self> {
        let all = home.data("scratch");
        create_dir(&all)?;
        sweep(home, &all);
        let dir = all.join(random::hex(4)?);
        create_dir(&dir)?;
        let file = File::create(dir.join("lock")).during(|| "creating a scratch folder's lock".into())?;
        file.lock().during(|| "locking a scratch folder".into())?;
        let reachable = home.reachable(&dir)?;
        create_dir(&reachable)?;
        set_mode(&reachable, PASSABLE)?;
        Ok(Self { dir, reachable, _lock: file })
    }

    /// For pid files and logs.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// For the files of Postgres.
    pub(crate) fn reachable(&self) -> &Path {
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
        // A folder without a lock is just being made, or unmade, by somebody else.
        let Ok(file) = File::open(dir.join("lock")) else {
            continue;
        };
        if file.try_lock().is_ok() {
            running::kill_all(&dir);
            _ = home.reachable(&dir).and_then(|twin| remove_dir(&twin));
            _ = remove_dir(&dir);
        }
    }
}
