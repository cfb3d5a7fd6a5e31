//! Small file systems in memory (tmpfs), for servers whose disk becomes full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The size of a disk: the servers' files fit.
const SIZE: &str = "size=700m,mode=755";
/// The file that takes the rest of a disk.
const FILLER: &str = "filler";

/// A mounted file system, which is unmounted when it is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
}

impl Disk {
    pub(crate) fn mount(name: &str) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("notifyme-disk-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "none"]).arg(&dir).output();
        let output = mount.context("running mount")?;
        ensure!(
            output.status.success(),
            "a small disk cannot be mounted, which needs root: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Self { dir })
    }

    /// The folder for a server's data.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Takes all free space.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let mut filler = File::create(self.dir.join(FILLER))?;
        for block in [vec![0; 1 << 20], vec![0; 4096]] {
            while filler.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Frees the space again.
    pub(crate) fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.dir.join(FILLER))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a killed server may hold the files for another moment.
        _ = Command::new("umount").arg("--lazy").arg(&self.dir).status();
        _ = fs::remove_dir(&self.dir);
    }
}
