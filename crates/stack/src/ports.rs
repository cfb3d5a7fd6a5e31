//! Ports: the fixed ones of `./scripts/up`, free ones for tests, and the process that holds a port.

use crate::error::{Error, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The default of `PORT_BASE`, the port of the order service; all other ports have a fixed distance to it.
const BASE: u16 = 8080;
const OPS: u16 = 9080 - BASE;
const KAFKA: u16 = 19092 - BASE;
const CONTROLLER: u16 = 19093 - BASE;
const POSTGRES: u16 = 15432 - BASE;
const CONTROL: u16 = 10080 - BASE;
const PLACES: u16 = 10;
pub const NODES: u16 = 5;
const BASES: RangeInclusive<u16> = 1024..=u16::MAX - CONTROLLER - 2 * (NODES - 1);
/// The default range of ephemeral ports (RFC 6335 and macOS).
const EPHEMERAL: RangeInclusive<u16> = 49_152..=u16::MAX;
/// The name of the process with which Docker publishes a container's port.
const DOCKER: &str = "docker-proxy";
/// The maximum time for which a killed process may still hold its port.
const PORT_RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// Returns 8080, 9080, 19092, 19093 and 15432, or the same ports shifted so that the first is `PORT_BASE`.
    pub fn from_env() -> Result<Self> {
        let Some(given) = program::variable("PORT_BASE") else {
            return Ok(Self { base: BASE });
        };
        let given = given.to_string_lossy();
        match given.parse() {
            Ok(base) if BASES.contains(&base) => Self { base }.outside(&ephemeral()),
            _ => {
                let (first, last) = (BASES.start(), BASES.end());
                Err(Error::Failed(format!(
                    "PORT_BASE must be a number from {first} to {last}, not `{given}`"
                )))
            }
        }
    }

    /// Refuses ports in the ephemeral range: an outgoing connection may hold such a port at any time.
    fn outside(self, ephemeral: &RangeInclusive<u16>) -> Result<Self> {
        let Some(port) = self.taken_from(ephemeral) else { return Ok(self) };
        let distance = |base: &u16| base.abs_diff(self.base);
        let good =
            BASES.filter(|base| Self { base: *base }.taken_from(ephemeral).is_none()).min_by_key(distance);
        // When the range covers every base, the default is no better.
        good.map_or(Ok(self), |good| {
            let (base, first, last) = (self.base, ephemeral.start(), ephemeral.end());
            Err(Error::Failed(format!(
                "PORT_BASE={base} needs port {port}, but this system uses {first} to {last} for outgoing connections; \
                 the nearest usable value: PORT_BASE={good}"
            )))
        })
    }

    fn taken_from(self, range: &RangeInclusive<u16>) -> Option<u16> {
        let endpoints = (0..PLACES).flat_map(|place| [self.service(place), self.ops(place)]);
        let servers = [self.postgres(), self.kafka(1), self.controller(1), self.control()];
        endpoints.chain(servers).find(|port| range.contains(port))
    }

    pub fn service(self, place: u16) -> u16 {
        self.base + place
    }

    /// The port for health and metrics of the service at this index.
    pub fn ops(self, place: u16) -> u16 {
        self.base + OPS + place
    }

    /// The port for clients of one of Kafka's nodes, of which the first is 1.
    pub fn kafka(self, node: u16) -> u16 {
        self.base + KAFKA + 2 * (node - 1)
    }

    pub fn controller(self, node: u16) -> u16 {
        self.base + CONTROLLER + 2 * (node - 1)
    }

    /// The port at which the board's buttons ask for commands.
    pub fn control(self) -> u16 {
        self.base + CONTROL
    }

    pub fn postgres(self) -> u16 {
        self.base + POSTGRES
    }
}

/// Fails with the name of the holder when a process listens on this port.
pub fn require_free(port: u16, wanted_for: &str) -> Result<()> {
    let deadline = Instant::now() + PORT_RELEASE_TIMEOUT;
    while !is_free(port) {
        // A process that was just killed holds its port until its last thread has ended, but is not visible any more.
        let holder = match holder(port) {
            Some(holder) => holder,
            None if Instant::now() > deadline => {
                "a process that this user may not see (for example of a container), or an outgoing connection"
                    .to_owned()
            }
            None => {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
        };
        return Err(Error::Failed(format!(
            "port {port}, needed for {wanted_for}, is taken by {holder}; stop that process, or move all ports with PORT_BASE"
        )));
    }
    Ok(())
}

/// Returns a free port below the ephemeral range; never the same port twice within this process.
pub fn free() -> Result<u16> {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let first = *ephemeral().start();
    let last = if first > 12_000 { first.min(32_000) } else { 32_000 };
    for _ in 0..1000 {
        let random =
            getrandom::u32().map_err(|error| Error::Failed(format!("no random numbers: {error}")))?;
        let port = 10_000 + u16::try_from(random % u32::from(last - 10_000)).unwrap_or_default();
        if !given.contains(&port) && is_free(port) {
            given.push(port);
            return Ok(port);
        }
    }
    Err(Error::Failed(format!("no free port between 10000 and {last}")))
}

/// Returns the range of ports that the system uses for outgoing connections.
fn ephemeral() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut words = text.split_whitespace().map_while(|word| word.parse().ok());
    words.next().zip(words.next()).map_or(EPHEMERAL, |(first, last)| first..=last)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// Returns the process that listens on a port, for example `python3 (pid 4711)`, if this user may see it.
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

/// Finds the inode of the listening socket in `/proc/net`, then the process that has it open.
fn linux_holder(port: u16) -> Option<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines()).find_map(|line| listening_inode(line, port))?;
    let socket = format!("socket:[{inode}]");
    let mut processes = std::fs::read_dir("/proc").ok()?.filter_map(std::result::Result::ok);
    processes.find_map(|process| {
        // Skips entries that are not a pid, such as `self`.
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let files = std::fs::read_dir(process.path().join("fd")).ok()?;
        let mut targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.find(|target| target.as_os_str() == socket.as_str())?;
        let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
        let what = if name.trim() == DOCKER { ", for a container: see `docker ps`" } else { "" };
        Some(format!("{} (pid {pid}){what}", name.trim()))
    })
}

/// Parses `0: 0100007F:1F90 00000000:0000 0A …`: address, peer, state (0A = listening), …, the inode as the tenth word.
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
    fn all_ports_are_shifted_by_the_base() {
        let ports = Ports { base: 8180 };
        assert_eq!(
            (ports.service(3), ports.ops(0), ports.kafka(1), ports.postgres()),
            (8183, 9180, 19192, 15532)
        );
    }

    #[test]
    fn a_base_with_ephemeral_ports_is_refused_with_the_nearest_usable_one() {
        let linux = 32_768..=60_999;
        let refused = Ports { base: 21_756 }.outside(&linux).unwrap_err().to_string();
        assert!(refused.contains("port 32768") && refused.ends_with("PORT_BASE=21754"), "{refused}");
        assert!(Ports { base: 21_754 }.outside(&linux).is_ok());
        let from_below = Ports { base: 30_000 }.outside(&(1024..=40_999)).unwrap_err().to_string();
        assert!(from_below.ends_with("PORT_BASE=41000"), "{from_below}");
        assert!(Ports { base: 8080 }.outside(&(1024..=u16::MAX)).is_ok(), "no other base is better");
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
