//! A wall clock that is wrong by as much as a test likes, for the processes that it is given to.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The library that a process loads before all others.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock.c");

/// The clock of some processes: those that are started with [`environment`](Self::environment).
pub struct WrongClock {
    dir: PathBuf,
    shift: File,
}

impl WrongClock {
    /// A clock that is ahead by so many seconds; behind, where they are negative.
    pub fn ahead_by(seconds: i64) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Postgres runs as another user, who cannot always reach the checkout.
        let dir = std::env::temp_dir().join(format!("notifyme-clock-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let library = dir.join("clock.so");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(SOURCE).output();
        let built = built.expect("a C compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let shift = File::options().create(true).truncate(true).write(true).open(dir.join("shift")).unwrap();
        for (name, mode) in [("clock.so", 0o755), ("shift", 0o644)] {
            fs::set_permissions(dir.join(name), Permissions::from_mode(mode)).unwrap();
        }
        let clock = Self { dir, shift };
        clock.set_ahead_by(seconds);
        clock
    }

    /// Changes the shift, also for the processes that run.
    pub fn set_ahead_by(&self, seconds: i64) {
        self.shift.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// The environment variables that give this clock to a process.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let path = |name: &str| self.dir.join(name).to_str().expect("a path of UTF-8").to_owned();
        [("LD_PRELOAD", path("clock.so")), ("CLOCK_SHIFT", path("shift"))]
    }
}

impl Drop for WrongClock {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
