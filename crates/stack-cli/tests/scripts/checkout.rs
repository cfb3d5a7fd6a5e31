//! A checkout with the scripts and without code. A fake `cargo` replaces the build, so that the scripts run the
//! programs that are already built.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of this test's checkout, removed on drop.
pub(crate) struct Checkout {
    base: PathBuf,
    pub(crate) root: PathBuf,
}

impl Checkout {
    /// Creates a checkout in a folder of this name, with a `cargo` that runs this shell script.
    pub(crate) fn new(folder: &str, cargo: &str) -> Self {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("notifyme-scripts-{}-{count}", std::process::id()));
        let root = base.join(folder);
        let original = original();
        for service in fs::read_dir(original.join("services")).unwrap() {
            let service = service.unwrap().file_name();
            fs::create_dir_all(root.join("services").join(&service)).unwrap();
            fs::write(root.join("services").join(&service).join("Cargo.toml"), "").unwrap();
        }
        fs::write(root.join("Cargo.toml"), "").unwrap();
        fs::create_dir_all(root.join("crates/stack/servers")).unwrap();
        let pom = "crates/stack/servers/pom.xml";
        fs::copy(original.join(pom), root.join(pom)).unwrap();
        let copied = Command::new("cp").arg("-R").arg(original.join("scripts")).arg(&root).status().unwrap();
        assert!(copied.success());
        let programs = base.join("bin");
        fs::create_dir_all(&programs).unwrap();
        fs::write(programs.join("cargo"), format!("#!/bin/sh\n{cargo}\n")).unwrap();
        fs::set_permissions(programs.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { base, root }
    }

    /// Returns a bash command that runs in the checkout.
    pub(crate) fn bash(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        command.arg("-c").arg(line).current_dir(&self.root);
        command.env("PATH", format!("{}:{path}", self.base.join("bin").display()));
        command.env("CARGO_TARGET_DIR", target()).env_remove("CHECKOUT");
        for name in ["KAFKA_BROKERS", "POSTGRES_URL", "STACK_DATA", "STACK_PROGRAMS"] {
            command.env_remove(name);
        }
        command
    }

    /// Creates a folder beside the checkout.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let folder = self.base.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.base);
    }
}

/// The checkout under test.
pub(crate) fn original() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_stack")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Returns the standard output and standard error of a command.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
