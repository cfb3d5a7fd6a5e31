//! The scripts as people call them: from any folder, through symbolic links, with any variables of their shell.

use crate::checkout::{Checkout, original, text};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

/// A fake Cargo that builds into the folder that Cargo's settings name, one deeper for a build target.
const CARGO: &str = r#"
folder="${CARGO_TARGET_DIR:-${CARGO_BUILD_TARGET_DIR:-target}}${CARGO_BUILD_TARGET:+/$CARGO_BUILD_TARGET}${FILE_TARGET:+/$FILE_TARGET}/debug"
mkdir -p "$folder"
printf '#!/bin/sh\necho "stack: $*"\n' >"$folder/stack"
chmod +x "$folder/stack""#;

#[test]
fn up_finds_the_built_program_for_every_way_to_set_the_target_folder() {
    let settings: [&[(&str, &str)]; 5] = [
        &[],
        &[("CARGO_BUILD_TARGET_DIR", "elsewhere")],
        &[("CARGO_BUILD_TARGET", "some-triple")],
        &[("CARGO_TARGET_DIR", "relative/target")],
        &[("FILE_TARGET", "triple-of-a-file"), ("CDPATH", "/:/tmp")],
    ];
    for variables in settings {
        let checkout = Checkout::new("plain", CARGO);
        let mut up = checkout.bash("./scripts/up --detach");
        up.env_remove("CARGO_TARGET_DIR").envs(variables.iter().copied());
        let output = up.output().unwrap();
        assert!(text(&output).contains("stack: up --detach"), "{variables:?}: {}", text(&output));
        // Later commands do not build, and find the program from another folder and through a symbolic link.
        let place = checkout.beside("links");
        std::os::unix::fs::symlink(checkout.root.join("scripts/down"), place.join("stop-all")).unwrap();
        for line in
            ["cd scripts && bash down", "cd / && \"$OLDPWD/scripts/down\"", "cd ../links && ./stop-all"]
        {
            let mut down = checkout.bash(line);
            down.env_remove("CARGO_TARGET_DIR").envs(variables.iter().copied());
            let output = down.output().unwrap();
            assert_eq!(text(&output).trim(), "stack: down", "{variables:?}, {line}");
        }
    }
}

#[test]
fn every_script_has_a_manual() {
    for script in fs::read_dir(original().join("scripts")).unwrap().map(|entry| entry.unwrap().path()) {
        if script.is_file() {
            let name = script.file_name().unwrap().to_str().unwrap();
            let mut bash = Command::new("bash");
            bash.arg(format!("scripts/{name}"))
                .arg("--help")
                .current_dir(original())
                .env("CDPATH", original());
            let output = bash.output().unwrap();
            assert!(text(&output).starts_with(&format!("Usage: {name}")), "{}", text(&output));
        }
    }
}

const TOKEN: &str = "erasures-token";

/// A request, and the command lines that contained the token while the request was open.
type Asked = (String, Vec<String>);

/// A server that answers 202 to everything.
fn server() -> (u16, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            _ = sender.send(answer(stream.unwrap()));
        }
    });
    (port, requests)
}

fn answer(mut stream: TcpStream) -> Asked {
    let (mut request, mut buffer) = (String::new(), [0; 4096]);
    while !request.ends_with('}') {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => request.push_str(&String::from_utf8_lossy(&buffer[..length])),
        }
    }
    let seen = command_lines_with(TOKEN);
    _ = stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    (request, seen)
}

fn command_lines_with(secret: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(secret)).collect()
}

#[test]
fn forget_sends_the_token_and_the_address_to_the_services_and_to_no_proxy() {
    let checkout = Checkout::new("plain", "exit 1");
    let (service, asked) = server();
    let (proxy, intercepted) = server();
    let proxy = format!("http://127.0.0.1:{proxy}");
    let home = checkout.beside("home");
    fs::write(home.join(".curlrc"), format!("proxy = \"{proxy}\"\nverbose\n")).unwrap();
    let url = format!("http://127.0.0.1:{service}");
    let mut forget = checkout.bash("./scripts/forget - <<<ada@example.com");
    forget.env("HOME", &home).env("ORDER_URL", &url).env("NOTIFICATION_URL", &url);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        forget.env(name, &proxy);
    }
    // The token is in the environment of the script, which other users cannot read.
    forget.env("ADMIN_TOKEN", TOKEN).env_remove("no_proxy").env_remove("NO_PROXY");
    let output = forget.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(intercepted.try_recv().is_err(), "the proxy was asked");
    for _ in ["order", "notification"] {
        let (request, command_lines) = asked.recv().unwrap();
        assert!(request.starts_with("POST /erasures "), "{request}");
        assert!(request.contains(TOKEN) && request.contains("ada@example.com"), "{request}");
        assert!(command_lines.is_empty(), "{command_lines:?}");
    }
}

#[test]
fn a_clone_with_crlf_has_the_same_bytes() {
    let attributes =
        ["scripts/up", "migrations/order/0001_orders.sql", "crates/events/golden/x.json", "deny.toml"];
    let mut git = Command::new("git");
    git.args(["-c", "core.autocrlf=true", "check-attr", "eol", "--"]).args(attributes);
    let output = git.current_dir(original()).output().unwrap();
    if !output.status.success() {
        return; // not a Git checkout
    }
    let lines = text(&output);
    assert_eq!(lines.matches("eol: lf").count(), attributes.len(), "{lines}");
}
