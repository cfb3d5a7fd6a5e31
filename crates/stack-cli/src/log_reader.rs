//! Reads the log files of a folder as they grow.

use stack::process;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// The maximum number of bytes that one call reads from one log.
const CHUNK: u64 = 1 << 20;

/// The read position in each log of the services.
pub(crate) struct LogReader {
    dir: PathBuf,
    /// The service or server to read; `None` for all services.
    only: Option<String>,
    read: BTreeMap<PathBuf, u64>,
}

impl LogReader {
    /// Creates a reader at the beginning of each log, or of the logs of one service or server.
    pub(crate) fn from_the_beginning(dir: &Path, only: Option<String>) -> Self {
        Self { dir: dir.to_path_buf(), only, read: BTreeMap::new() }
    }

    pub(crate) fn from_now_on(dir: &Path) -> Self {
        let mut reader = Self::from_the_beginning(dir, None);
        reader.read = reader.logs().into_iter().map(|path| (path.clone(), length(&path))).collect();
        reader
    }

    /// Returns the complete lines (name of the log, line) since the last call.
    pub(crate) fn new_lines(&mut self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        for path in self.logs() {
            let name = stem(&path);
            let text = self.new_text(&path).unwrap_or_default();
            lines.extend(text.lines().map(|line| (name.clone(), line.to_owned())));
        }
        lines
    }

    /// Returns all complete lines since the last call, also of logs that are longer than one chunk.
    pub(crate) fn all_new_lines(&mut self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        loop {
            let more = self.new_lines();
            if more.is_empty() {
                return lines;
            }
            lines.extend(more);
        }
    }

    pub(crate) fn changed(&self, name: &str) -> OffsetDateTime {
        let changed = std::fs::metadata(process::log_file(&self.dir, name)).and_then(|meta| meta.modified());
        changed.map_or_else(|_| OffsetDateTime::now_utc(), OffsetDateTime::from)
    }

    fn new_text(&mut self, path: &Path) -> std::io::Result<String> {
        let position = self.read.entry(path.to_path_buf()).or_default();
        let length = length(path);
        // A shorter file is a new one: the old one was rotated.
        *position = if length < *position { 0 } else { *position };
        if length == *position {
            return Ok(String::new());
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(*position))?;
        let mut bytes = Vec::new();
        file.take(CHUNK).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        // A line longer than a chunk is shown in pieces.
        let whole = if whole == 0 && bytes.len() as u64 == CHUNK { bytes.len() } else { whole };
        *position += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).into_owned())
    }

    fn logs(&self) -> Vec<PathBuf> {
        let Ok(listing) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let paths = listing.filter_map(std::result::Result::ok).map(|entry| entry.path());
        let mut logs: Vec<PathBuf> = paths.filter(|path| self.is_wanted(path)).collect();
        logs.sort();
        logs
    }

    fn is_wanted(&self, path: &Path) -> bool {
        let name = stem(path);
        let of = |service: &str| process::instance_number(&name, service).is_some();
        path.extension().is_some_and(|extension| extension == "log")
            && self.only.as_deref().map_or_else(|| !process::is_server(&name), of)
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

#[cfg(test)]
mod tests {
    use super::LogReader;
    use std::io::Write as _;

    #[test]
    fn complete_lines_are_returned_once_and_a_new_log_is_read_from_its_start() {
        let dir = std::env::temp_dir().join(format!("logs-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("kafka.log"), "not a service\n").unwrap();
        std::fs::write(dir.join("order.log"), "one\ntw").unwrap();
        let mut reader = LogReader::from_the_beginning(&dir, None);
        let line = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(reader.new_lines(), [line("order", "one")]);
        std::fs::OpenOptions::new()
            .append(true)
            .open(dir.join("order.log"))
            .unwrap()
            .write_all(b"o\n")
            .unwrap();
        std::fs::write(dir.join("order-2.log"), "three\n").unwrap();
        assert_eq!(reader.new_lines(), [line("order-2", "three"), line("order", "two")]);
        assert!(reader.new_lines().is_empty());
        std::fs::write(dir.join("order.log"), "new\n").unwrap();
        assert_eq!(reader.new_lines(), [line("order", "new")]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
