//! A whole system started by the scripts, in a folder with special characters and a hostile environment.

use crate::checkout::{Checkout, text};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// Variables for other programs: none of them may reach a server or a service.
const HOSTILE: [(&str, &str); 20] = [
    ("PGSSLMODE", "require"),
    ("PGOPTIONS", "-c search_path=nowhere"),
    ("PGHOST", "192.0.2.1"),
    ("PGPORT", "1"),
    ("PGUSER", "somebody"),
    ("PGPASSWORD", "wrong"),
    ("PGPASSFILE", "/nowhere"),
    ("PGDATA", "/nowhere"),
    ("PGAPPNAME", "theirs"),
    ("LC_ALL", "tr_TR.UTF-8"),
    ("JAVA_TOOL_OPTIONS", "-Duser.language=tr -Dnote=\"of \\\"1.8\\\"\""),
    ("_JAVA_OPTIONS", "-Xmx8m"),
    ("JDK_JAVA_OPTIONS", "-version"),
    ("CLASSPATH", "/nowhere"),
    ("KAFKA_OPTS", "-Dnothing"),
    ("KAFKA_HEAP_OPTS", "-Xmx1m"),
    ("TZ", "Mars/Phobos"),
    ("http_proxy", "http://192.0.2.1:3128"),
    ("HTTPS_PROXY", "http://192.0.2.1:3128"),
    ("CDPATH", "/"),
];

/// Settings of services: they must reach the services that have them.
const MEANT: [(&str, &str); 2] = [("WAVE_FACTOR", "3"), ("SMTP_URL", "smtp://127.0.0.1:1")];

struct Place {
    checkout: Checkout,
    port_base: String,
}

impl Place {
    fn new(folder: &str) -> Self {
        Self { checkout: Checkout::new(folder, "exit 0"), port_base: free_base().to_string() }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.checkout.bash(line);
        command.envs(HOSTILE).envs(MEANT).env("PORT_BASE", &self.port_base);
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    fn expect(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", text(&output));
        text(&output)
    }

    /// Returns the environment of a running process of this system.
    fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let pid = fs::read_to_string(self.checkout.root.join(format!(".data/run/{name}.pid"))).unwrap();
        let pid = pid.split(' ').next().unwrap();
        let text = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let output = self.run("./scripts/down");
        if std::thread::panicking() {
            eprintln!("{}", text(&output));
        }
    }
}

/// Returns a value of `PORT_BASE` whose ports are free.
fn free_base() -> u16 {
    let free = |base: &u16| {
        let endpoints = (0..4).flat_map(|place| [base + place, base + 1000 + place]);
        let mut ports = endpoints.chain([base + 7352, base + 11_012, base + 11_013]);
        ports.all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
    };
    let start = 10_000 + u16::try_from(std::process::id() % 900).unwrap() * 10;
    (start..21_000).step_by(10).find(free).unwrap()
}

#[test]
fn a_system_starts_in_any_folder_and_the_advised_commands_repair_it() {
    let place = Place::new("caf\u{e9} \u{f6}, a\\b #x=y");
    let said = place.expect("./scripts/up --detach");
    assert!(said.contains("Ready:") && !said.contains("Picked up"), "{said}");
    environments_are_chosen(&place);
    files_are_private(&place.checkout.root.join(".data"));
    nothing_lies_beside(&place);
    a_setting_that_is_refused_stops_nothing(&place);
    killed_processes_start_at_once(&place);
    every_command_runs(&place);
    closed_pipes_cause_no_panic(&place);
    a_recreated_topic_is_repaired(&place);
    place.expect("./scripts/down");
    let again = place.expect("./scripts/up --detach");
    assert!(again.contains("Ready:") && !again.contains("sample catalogue"), "the data are kept: {again}");
}

fn environments_are_chosen(place: &Place) {
    if !Path::new("/proc/self/environ").exists() {
        return;
    }
    let kept = ["LC_ALL", "TZ"];
    for name in ["kafka", "postgres", "order", "payment", "inventory", "notification"] {
        let environment = place.environment(name);
        for (variable, value) in HOSTILE {
            let found = environment.get(variable);
            let chosen = found.is_none_or(|found| kept.contains(&variable) && found != value);
            assert!(chosen, "{name}: {variable}={found:?}");
        }
        for secret in ["SMTP_URL", "WAVE_FACTOR"] {
            assert_eq!(environment.contains_key(secret), name == "notification", "{name}: {secret}");
        }
        let makes_tokens = ["order", "notification"].contains(&name);
        assert_eq!(environment.contains_key("TOKEN_KEY"), makes_tokens, "{name}: TOKEN_KEY");
    }
}

/// Checks that other users can read nothing; they may pass through folders, since Postgres may run as another user.
fn files_are_private(data: &Path) {
    let mut left = vec![data.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let allowed = if meta.is_dir() { 0o711 } else { 0o700 };
        let mode = meta.permissions().mode() & 0o777;
        assert_eq!(mode & !allowed, 0, "{}: {mode:o}", path.display());
        // The binaries of Postgres are not secret, and its user must read them.
        if meta.is_dir() && !path.ends_with("servers/postgres") {
            let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            left.extend(entries.filter(|path| !path.ends_with("servers/postgres")));
        }
    }
}

fn nothing_lies_beside(place: &Place) {
    let base = place.checkout.root.parent().unwrap();
    let mut names: Vec<_> = fs::read_dir(base).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["bin".into(), place.checkout.root.file_name().unwrap().to_owned()]);
}

fn a_setting_that_is_refused_stops_nothing(place: &Place) {
    let refused = place.command("./scripts/up --detach").env("WAVE_FACTOR", "many").output().unwrap();
    assert!(!refused.status.success() && text(&refused).contains("--wave-factor"), "{}", text(&refused));
    let said = place.expect("./scripts/start payment");
    assert!(said.contains("payment is running already"), "{said}");
}

fn killed_processes_start_at_once(place: &Place) {
    for name in ["postgres", "postgres", "postgres", "kafka", "kafka", "payment", "payment"] {
        let said = place.expect(&format!("./scripts/kill {name} && ./scripts/start {name}"));
        assert!(said.contains(&format!("{name} is ready")), "{said}");
    }
}

/// Runs each command that `--help` names.
fn every_command_runs(place: &Place) {
    let manual = place.expect("./scripts/run order --help");
    let commands = manual.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"migrate") && names.contains(&"rewind"), "{manual}");
    for name in names {
        let arguments = match name {
            "rewind" => "products --to beginning",
            "republish" => "customers",
            // It repairs only what does not run.
            "restored" => "--dry-run",
            _ => "",
        };
        place.expect(&format!("./scripts/run order {name} {arguments}"));
    }
}

fn closed_pipes_cause_no_panic(place: &Place) {
    for line in [
        "./scripts/run order rewind products --to beginning",
        "./scripts/run order republish customers",
        "./scripts/run order redrive --dry-run",
        "./scripts/groups",
        "./scripts/logs",
        "./scripts/kafka no-such-tool",
    ] {
        let gone =
            place.run(&format!("{{ sleep 0.3; {line}; }} 2>problems | true; cat problems; rm problems"));
        assert!(!text(&gone).contains("panicked"), "{line}: {}", text(&gone));
    }
}

/// Runs each command that `groups` advises, as printed, until it reports no problem.
fn a_recreated_topic_is_repaired(place: &Place) {
    place.expect("./scripts/stop order; ./scripts/kafka topics --delete --topic products");
    for (complaint, expected) in [("does not exist", "migrate"), ("recreated", "rewind")] {
        let found = place.run("./scripts/groups");
        assert!(!found.status.success() && text(&found).contains(complaint), "{}", text(&found));
        let lags = String::from_utf8_lossy(&found.stdout).into_owned();
        for line in lags.lines().skip(1) {
            line.split_whitespace().last().unwrap().parse::<u64>().expect(line);
        }
        let doctor = text(&place.run("./scripts/doctor"));
        assert!(doctor.contains(complaint) && doctor.contains("wrong"), "{doctor}");
        let complaints = String::from_utf8_lossy(&found.stderr).into_owned();
        // Bash itself complains about the locale.
        for line in complaints.lines().filter(|line| !line.starts_with("bash:")) {
            let (_, advice) = line.split_once("; ").expect(line);
            assert!(advice.starts_with("./scripts/run ") && advice.contains(expected), "{advice}");
            place.expect(advice);
        }
    }
    assert!(place.run("./scripts/groups").status.success());
    place.expect("./scripts/start order");
}
