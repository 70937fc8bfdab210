//! The command line as its users meet it.

use crate::world::{Client, Folder, PATIENCE, origin, route_to, until};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn tieline(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
    command.args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, &[])
    }

    fn start_in(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
        command.envs(variables.iter().copied());
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the program starts"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill is there");
        assert!(sent.success());
    }

    fn code(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn run_obeys_signals() {
    let folder = Folder::new();
    let port = free_port();
    let dynamic = folder.write("dynamic.yml", "http: {}");
    let mut process = Process::start(&[
        "run",
        &format!("--entryPoints.web.address=127.0.0.1:{port}"),
        &format!("--providers.file.filename={dynamic}"),
        "--providers.file.watch=false",
        "--providers.providersThrottleDuration=10ms",
        "--tieline.workers=1",
    ]);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    until(&true, || std::net::TcpStream::connect(address).is_ok());
    let mut client = Client::connect(address);
    assert_eq!(client.get("/").status, 404);
    folder.write("dynamic.yml", &route_to(origin()));
    process.signal("HUP");
    until(&200, || client.get("/").status);
    client.send(b"GET /slow/300 HTTP/1.1\r\nHost: test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    process.signal("TERM");
    assert_eq!(client.answer().text(), "slow");
    assert_eq!(process.code(), Some(0));
}

#[test]
fn templates_are_filled_in_from_the_environment() {
    let folder = Folder::new();
    let (port, origin) = (free_port(), origin().to_string());
    let text = route_to(([127, 0, 0, 1], 1).into());
    let text = text.replace("127.0.0.1:1", "{{ env \"ORIGIN_OF_TEST\" }}");
    let dynamic = folder.write("dynamic.yml", &text);
    let _process = Process::start_in(
        &[
            &format!("--entryPoints.web.address=127.0.0.1:{port}"),
            &format!("--providers.file.filename={dynamic}"),
        ],
        &[("ORIGIN_OF_TEST", &origin)],
    );
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    until(&true, || std::net::TcpStream::connect(address).is_ok());
    assert_eq!(Client::connect(address).get("/").status, 200);
    let said = self::text(&tieline(&["check", &dynamic]).stdout);
    assert!(said.contains("dynamic.yml:8:"), "{said}");
    assert!(said.contains("ORIGIN_OF_TEST is not set"), "{said}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let port = free_port();
    let folder = Folder::new();
    let dynamic = folder.write("dynamic.yml", &route_to(origin()));
    let mut process = Process::start(&[
        &format!("--entryPoints.web.address=127.0.0.1:{port}"),
        &format!("--providers.file.filename={dynamic}"),
    ]);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    until(&true, || std::net::TcpStream::connect(address).is_ok());
    let mut client = Client::connect(address);
    client.send(b"GET /slow/5000 HTTP/1.1\r\nHost: test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    process.signal("TERM");
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    process.signal("TERM");
    assert_eq!(process.code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_taken_port_is_said_with_its_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let output = tieline(&["run", &format!("--entryPoints.web.address=127.0.0.1:{port}")]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("another process has port {port}")), "{said}");
}

#[test]
fn an_unknown_flag_stops_the_start() {
    let output = tieline(&["--entryPoints.web.adress=:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("address"), "{}", text(&output.stderr));
}

#[test]
fn check_says_everything_and_tells_errors_by_its_exit_code() {
    let folder = Folder::new();
    let good = folder.write("good.yml", &route_to(SocketAddr::from(([127, 0, 0, 1], 1))));
    let output = tieline(&["check", &good]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""));
    let bad =
        folder.write("bad.yml", "http:\n  routers:\n    r:\n      rule: Host(\n      srvc: x\n");
    let output = tieline(&["check", "--json", &good, &bad]);
    assert_eq!(output.status.code(), Some(1));
    let problems: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).expect("an array");
    assert!(problems.len() > 1, "{problems:?}");
    assert!(problems.iter().all(|problem| problem["file"] == bad.as_str()), "{problems:?}");
    assert_eq!(tieline(&["check"]).status.code(), Some(64));
    let output = tieline(&["check", "--json", &folder.path("none.yml")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(r#""code":"unreadable""#));
}

#[test]
fn schemas_are_printed_for_editors() {
    for (kind, root) in [("static", "entryPoints"), ("dynamic", "http")] {
        let output = tieline(&["schema", kind]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["properties"][root].is_object(), "{kind} has {root}");
    }
    assert_eq!(tieline(&["schema"]).status.code(), Some(64));
}

#[test]
fn healthcheck_and_status_ask_a_running_instance() {
    let port = free_port();
    let flags = [
        format!("--entryPoints.traefik.address=127.0.0.1:{port}"),
        "--ping=true".to_owned(),
        "--api.insecure=true".to_owned(),
        "--tieline.workers=1".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let _process = Process::start(&flags);
    let healthcheck = [&["healthcheck"], &flags[..]].concat();
    until(&Some(0), || tieline(&healthcheck).status.code());
    let url = format!("--url=http://127.0.0.1:{port}");
    let output = tieline(&["status", &url]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("CHILD"));
    assert_eq!(text(&tieline(&["status", "--json", &url]).stdout), "[]\n");
    let nobody = format!("--url=http://127.0.0.1:{}", free_port());
    assert_eq!(tieline(&["status", &nobody]).status.code(), Some(1));
}

#[test]
fn version_and_help_are_printed() {
    for arguments in [&["version"][..], &["--version"]] {
        assert!(text(&tieline(arguments).stdout).starts_with("tieline "));
    }
    for arguments in [&["help"][..], &["--help"], &["run", "--help"]] {
        assert!(text(&tieline(arguments).stdout).contains("Usage:"));
    }
    assert_eq!(tieline(&["fly"]).status.code(), Some(64));
}

#[test]
fn secrets_of_sessions_are_written_only_where_a_flag_says_so() {
    let folder = Folder::new();
    let (wanted, unwanted) = (folder.path("wanted.keys"), folder.path("unwanted.keys"));
    for (flag, path) in [(false, &unwanted), (true, &wanted)] {
        let (port, pages) = (free_port(), free_port());
        let log = folder.path("events.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
        // A parent that is its own child, so that it speaks TLS with itself.
        command.args([
            "run",
            &format!("--hub.uplinkEntryPoints.up.address=127.0.0.1:{port}"),
            "--hub.uplinkEntryPoints.up.http.tls=true",
            &format!("--hub.providers.multicluster.children.c.address=https://127.0.0.1:{port}"),
            "--hub.providers.multicluster.children.c.serversTransport.insecureSkipVerify=true",
            &format!("--entryPoints.traefik.address=127.0.0.1:{pages}"),
            "--hub.providers.multicluster.pollInterval=100ms",
            "--api.insecure=true",
            "--tieline.workers=1",
            &format!("--log.filePath={log}"),
        ]);
        if flag {
            command.arg(format!("--danger-write-secrets-of-all-tls-sessions-to={path}"));
        }
        command.env("SSLKEYLOGFILE", &unwanted).stdout(Stdio::null()).stderr(Stdio::null());
        let _process = Process(command.spawn().expect("the program starts"));
        let url = format!("http://127.0.0.1:{pages}");
        let status = || text(&tieline(&["status", "--url", &url]).stdout);
        until(&true, || {
            status().lines().any(|line| line.starts_with("c ") && line.contains("yes"))
        });
        let warning = "warning: the secrets of all TLS sessions are written to a file";
        assert_eq!(status().contains(warning), flag, "{}", status());
        let events = std::fs::read_to_string(&log).expect("a log");
        assert_eq!(events.contains(warning), flag, "{events}");
        assert!(!events.contains("TRAFFIC_SECRET"));
        assert!(!std::path::Path::new(&unwanted).exists(), "a variable alone does nothing");
        if flag {
            let keys = std::fs::read_to_string(path).expect("keys");
            assert!(keys.lines().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")));
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).expect("it"));
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
