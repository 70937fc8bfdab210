//! A parent and a child as two processes of their own, which speak to one another in every way.

use crate::authority::Authority;
use crate::world::{Folder, PATIENCE};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The ways in which the parent reaches the child: name, address of the child, and further lines.
pub(super) const WAYS: [(&str, &str, Over); 4] = [
    ("plain", "http", Over::Clear),
    ("streams", "h2c", Over::Clear),
    ("secure", "https", Over::Tls { streams: false }),
    ("secure-streams", "https", Over::Tls { streams: true }),
];

#[derive(Clone, Copy)]
pub(super) enum Over {
    Clear,
    Tls { streams: bool },
}

/// The uplinks: one origin speaks HTTP/1.1, the other HTTP/2.
pub(super) const UPLINKS: [&str; 2] = ["one", "two"];

pub(super) struct Gateways {
    processes: Vec<Child>,
    folder: Folder,
    pub(super) clear: SocketAddr,
    pub(super) secure: SocketAddr,
    api: SocketAddr,
    /// Who signed the parent's certificate.
    pub(super) root: String,
}

impl Gateways {
    /// Both run, and the parent has found all uplinks to serve.
    pub(super) fn start(plain: SocketAddr, streams: SocketAddr) -> Self {
        let folder = Folder::new();
        let authority = Authority::new("example");
        let place = folder.path("");
        authority.issue_all(Path::new(&place));
        authority.issue("web", "127.0.0.1", Path::new(&place));
        let [clear, secure, api, child_clear, child_secure] = free_ports();
        folder.write("child.yml", &child(child_clear, child_secure));
        folder.write("child-dynamic.yml", &child_routes(plain, streams));
        folder.write("parent.yml", &parent([clear, secure, api], child_clear, child_secure));
        folder.write("parent-dynamic.yml", &parent_routes());
        let root = fs::read_to_string(folder.path("ca.crt")).expect("just written");
        let mut gateways = Self { processes: Vec::new(), folder, clear, secure, api, root };
        for name in ["child", "parent"] {
            gateways.run(name);
        }
        gateways.await_uplinks();
        gateways
    }

    fn run(&mut self, name: &str) {
        let log = File::create(self.folder.path(&format!("{name}.log"))).expect("a log file");
        let process = Command::new(env!("CARGO_BIN_EXE_tieline"))
            .args(["run", "--configFile", &format!("{name}.yml")])
            .current_dir(self.folder.path(""))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.processes.push(process);
    }

    #[track_caller]
    fn await_uplinks(&self) {
        let end = Instant::now() + PATIENCE;
        while !(0..5).all(|_| self.serves()) {
            assert!(Instant::now() < end, "not all uplinks are up\n{}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn serves(&self) -> bool {
        let Some(children) = self.ask("/api/tieline/children") else { return false };
        let serves = |child: &Value| {
            // gRPC needs HTTP/2, which this way has not: its check is never carried out.
            let standings =
                if child["name"] == "secure" { ["up", "unknown"] } else { ["up", "up"] };
            let uplinks = child["uplinks"].as_array().cloned().unwrap_or_default();
            uplinks.iter().map(|uplink| &uplink["standing"]).eq(standings.iter())
        };
        let children = children.as_array().cloned().unwrap_or_default();
        children.len() == WAYS.len() && children.iter().all(serves)
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.api).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    /// What the parent recorded, and what replaying it finds.
    pub(super) fn recorded(&self) -> (String, Value) {
        let said = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
            let output = command.current_dir(self.folder.path("")).args(arguments).output();
            String::from_utf8(output.expect("the program starts").stdout).expect("text")
        };
        said(&["record", "all.capsule", &format!("--url=http://{}", self.api)]);
        let told = said(&["replay", "all.capsule", "--json"]);
        let capsule = fs::read_to_string(self.folder.path("all.capsule")).expect("written");
        (capsule, serde_json::from_str(&told).expect("JSON"))
    }

    fn logs(&self) -> String {
        let mut all = String::new();
        for name in ["parent", "child"] {
            let text = fs::read_to_string(self.folder.path(&format!("{name}.log")));
            write!(all, "--- {name}\n{}", text.unwrap_or_default()).expect("a string grows");
        }
        all
    }
}

impl Drop for Gateways {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("it is bound"))
}

fn child(clear: SocketAddr, secure: SocketAddr) -> String {
    format!(
        "hub:\n  uplinkEntryPoints:\n    clear: {{address: '{clear}', asDefault: true}}\n    \
         secure:\n      address: '{secure}'\n      asDefault: true\n      http: {{tls: {{}}}}\n  \
         providers: {{multicluster: {{}}}}\nproviders: {{file: {{filename: child-dynamic.yml}}}}\n\
         tieline: {{workers: 1}}\nlog: {{level: DEBUG}}\n"
    )
}

fn child_routes(plain: SocketAddr, streams: SocketAddr) -> String {
    let mut text = "tls: {certificates: [{certFile: child-1.crt, keyFile: child-1.key}]}\n\
        http:\n  uplinks:\n    one: {healthCheck: {path: /, interval: 1s}}\n    \
        two: {healthCheck: {mode: grpc, interval: 1s}}\n  routers:\n"
        .to_owned();
    for name in UPLINKS {
        writeln!(text, "    {name}: {{rule: PathPrefix(`/`), uplinks: [{name}], service: {name}}}")
            .expect("a string grows");
    }
    writeln!(
        text,
        "  services:\n    one: {{loadBalancer: {{servers: [{{url: 'http://{plain}'}}]}}}}\n    \
         two:\n      loadBalancer:\n        healthCheck: {{mode: grpc, interval: 1s}}\n        \
         servers: [{{url: 'h2c://{streams}'}}]"
    )
    .expect("a string grows");
    text
}

fn parent(own: [SocketAddr; 3], clear: SocketAddr, secure: SocketAddr) -> String {
    let [web, websecure, api] = own;
    let mut text = format!(
        "entryPoints:\n  web: {{address: '{web}'}}\n  websecure:\n    address: '{websecure}'\n    \
         http: {{tls: {{}}}}\n  traefik: {{address: '{api}'}}\napi: {{insecure: true}}\n\
         providers: {{file: {{filename: parent-dynamic.yml}}}}\ntieline: {{workers: 1}}\n\
         log: {{level: DEBUG}}\n\
         hub:\n  providers:\n    multicluster:\n      pollInterval: 1s\n      children:\n"
    );
    for (name, scheme, over) in WAYS {
        let (address, transport) = match over {
            Over::Clear => (clear, String::new()),
            Over::Tls { streams } => (
                secure,
                format!(", serversTransport: {{rootCAs: [ca.crt], disableHTTP2: {}}}", !streams),
            ),
        };
        writeln!(text, "        {name}: {{address: '{scheme}://{address}'{transport}}}")
            .expect("a string grows");
    }
    text
}

fn parent_routes() -> String {
    let mut text = "tls: {certificates: [{certFile: web.crt, keyFile: web.key}]}\n\
        http:\n  routers:\n"
        .to_owned();
    for (way, _, _) in WAYS {
        for uplink in UPLINKS {
            writeln!(
                text,
                "    {uplink}-{way}: {{rule: PathPrefix(`/{way}/{uplink}/`), service: \
                 {uplink}-{way}@multicluster}}"
            )
            .expect("a string grows");
        }
    }
    text
}
