//! Ports: the fixed ones of `./scripts/up`, free ones for tests, and who holds one that is taken.

use crate::error::{Error, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the order service listens unless `PORT_BASE` says otherwise; every other port keeps its distance to it.
const BASE: u16 = 8080;
const OPS: u16 = 9080 - BASE;
const KAFKA: u16 = 19092 - BASE;
const CONTROLLER: u16 = 19093 - BASE;
const POSTGRES: u16 = 15432 - BASE;
/// How long a process that was killed may hold on to its port.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// The ports of one system at its usual place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// 8080, 9080, 19092, 19093 and 15432, or all of them moved so that the first is `PORT_BASE`.
    pub fn from_env() -> Result<Self> {
        let Ok(given) = std::env::var("PORT_BASE") else {
            return Ok(Self { base: BASE });
        };
        let highest = u16::MAX - CONTROLLER;
        match given.parse() {
            Ok(base) if (1024..=highest).contains(&base) => Ok(Self { base }),
            _ => Err(Error::Machine(format!("PORT_BASE is a number from 1024 to {highest}, not `{given}`"))),
        }
    }

    /// Where the service at this place of the list takes requests.
    pub fn service(self, place: u16) -> u16 {
        self.base + place
    }

    /// Where it answers operators.
    pub fn ops(self, place: u16) -> u16 {
        self.base + OPS + place
    }

    /// Kafka's, for clients.
    pub fn kafka(self) -> u16 {
        self.base + KAFKA
    }

    /// Kafka's, for its controller.
    pub fn controller(self) -> u16 {
        self.base + CONTROLLER
    }

    /// Postgres'.
    pub fn postgres(self) -> u16 {
        self.base + POSTGRES
    }
}

/// An error that names the holder when somebody listens on this port.
pub fn require_free(port: u16, wanted_for: &str) -> Result<()> {
    let deadline = Instant::now() + LAST_BREATH;
    while !is_free(port) {
        // One that was just killed has its port until the last of its threads is gone, and is not to be seen any more.
        let holder = match holder(port) {
            Some(holder) => holder,
            None if Instant::now() > deadline => {
                "a process that this user may not see, or an outgoing connection".to_owned()
            }
            None => {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
        };
        return Err(Error::PortTaken { port, wanted_for: wanted_for.to_owned(), holder });
    }
    Ok(())
}

/// A port that nobody listens on, below the range that the system gives to outgoing connections, and not the same one
/// twice within this process.
pub fn free() -> Result<u16> {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1000 {
        let random =
            getrandom::u32().map_err(|error| Error::Machine(format!("no random numbers: {error}")))?;
        let port = 10_000 + u16::try_from(random % 22_000).unwrap_or_default();
        if !given.contains(&port) && is_free(port) {
            given.push(port);
            return Ok(port);
        }
    }
    Err(Error::Machine("no free port between 10000 and 32000".to_owned()))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// `python3 (pid 4711)`, as far as the system tells this user.
fn holder(port: u16) -> Option<String> {
    if cfg!(target_os = "linux") {
        return linux_holder(port);
    }
    let output =
        Command::new("lsof").args(["-nP", "-sTCP:LISTEN", "-Fpc", &format!("-iTCP:{port}")]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |letter: char| text.lines().find_map(|line| line.strip_prefix(letter));
    Some(format!("{} (pid {})", field('c')?, field('p')?))
}

/// The listening socket's inode from `/proc/net`, then the process that has it open.
fn linux_holder(port: u16) -> Option<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines()).find_map(|line| listening_inode(line, port))?;
    let socket = format!("socket:[{inode}]");
    let mut processes = std::fs::read_dir("/proc").ok()?.filter_map(std::result::Result::ok);
    processes.find_map(|process| {
        // Beside the numbers there is `self`.
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let files = std::fs::read_dir(process.path().join("fd")).ok()?;
        let mut targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.find(|target| target.as_os_str() == socket.as_str())?;
        let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("{} (pid {pid})", name.trim()))
    })
}

/// `0: 0100007F:1F90 00000000:0000 0A …`: address, peer, state (0A = listening), and the inode as the tenth word.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (_, hex) = words.get(1)?.rsplit_once(':')?;
    let matches = u16::from_str_radix(hex, 16) == Ok(port) && *words.get(3)? == "0A";
    matches.then(|| words.get(9).map(|inode| (*inode).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::{Ports, free, require_free};

    #[test]
    fn all_ports_move_together() {
        let ports = Ports { base: 8180 };
        assert_eq!(
            (ports.service(3), ports.ops(0), ports.kafka(), ports.postgres()),
            (8183, 9180, 19192, 15532)
        );
    }

    #[test]
    fn a_taken_port_is_refused_with_the_name_of_its_holder() {
        let port = free().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let message = require_free(port, "a test").unwrap_err().to_string();
        assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
        drop(listener);
        require_free(port, "a test").unwrap();
    }
}
