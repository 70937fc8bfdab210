//! A parent, two children and their origins, as an example folder describes them.

use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than any step of an example takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Stage {
    pub(super) origins: [Origin; 2],
    folder: PathBuf,
    /// First three digits of every port.
    ports: u16,
    extension: &'static str,
    processes: Vec<(&'static str, Child)>,
    /// Two runs of one example at a time would share its ports.
    _alone: File,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    served_by: String,
    body: String,
}

impl Stage {
    /// Starts everything and waits until the parent has found both children.
    pub(super) fn set(name: &str, number: u16, extension: &'static str) -> Self {
        Self::prepared(name, number, extension, |_| {})
    }

    /// As [`Stage::set`], after files were added to the folder.
    pub(super) fn prepared(
        name: &str,
        number: u16,
        extension: &'static str,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        Self::with(name, number, extension, Origin::start, prepare)
    }

    /// As [`Stage::set`], with other origins at the ports of the example.
    pub(super) fn cast(name: &str, number: u16, origin: fn(u16) -> Origin) -> Self {
        Self::with(name, number, "yml", origin, |_| {})
    }

    fn with(
        name: &str,
        number: u16,
        extension: &'static str,
        origin: fn(u16) -> Origin,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let lock = std::env::temp_dir().join(format!("tieline-example-{name}.lock"));
        let alone = File::create(lock).expect("the folder for temporary files is writable");
        alone.lock().expect("the lock of this example");
        let ports = 18_000 + number * 100;
        let origins = [21, 22].map(|port| origin(ports + port));
        let mut stage = Self {
            origins,
            folder: copy(name),
            ports,
            extension,
            processes: vec![],
            _alone: alone,
        };
        prepare(&stage.folder);
        for process in ["child-1", "child-2", "parent"] {
            stage.start(process);
        }
        stage.until("the parent has found both children", Self::found);
        stage
    }

    pub(super) fn start(&mut self, name: &'static str) {
        let log = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).expect("a log file");
        let process = Command::new(env!("CARGO_BIN_EXE_tieline"))
            .args(["run", "--configFile", &format!("{name}.{}", self.extension)])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.processes.push((name, process));
    }

    /// Where clients of the parent go.
    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports).into()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the API of the parent says.
    pub(super) fn api(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&request(self.api_port(), path, &[])?.body).ok()
    }

    pub(super) fn api_port(&self) -> u16 {
        self.ports + 1
    }

    pub(super) fn stop(&mut self, name: &str) {
        let at = self.processes.iter().position(|(other, _)| *other == name);
        let (_, mut process) = self.processes.remove(at.expect("it was started"));
        process.kill().expect("our own process");
        process.wait().expect("our own process");
    }

    /// Replaces text in a document of the folder, as an editor does: a new file takes its place.
    pub(super) fn edit(&self, document: &str, changes: &[(&str, &str)]) {
        let path = self.folder.join(document);
        let mut text = fs::read_to_string(&path).expect("a document");
        for (old, new) in changes {
            assert!(text.contains(old), "{document} has no {old}");
            text = text.replace(old, new);
        }
        let beside = self.folder.join(".new");
        fs::write(&beside, text).expect("the folder is writable");
        fs::rename(beside, path).expect("the folder is writable");
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}\n{}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether every worker of the parent knows both children: its pages say so on many fresh
    /// connections in a row.
    fn found(&self) -> bool {
        (0..10).all(|_| self.children().is_some_and(|children| children.iter().all(usable)))
    }

    fn children(&self) -> Option<Vec<Value>> {
        let answer = request(self.ports + 1, "/api/tieline/children", &[])?;
        let children: Value = serde_json::from_str(&answer.body).ok()?;
        children.as_array().filter(|list| list.len() == 2).cloned()
    }

    /// Sends `count` requests; says how many each child served. Every one must succeed.
    #[track_caller]
    pub(super) fn served(&self, count: u32, path: &str, fields: &[&str]) -> (u32, u32) {
        let (mut first, mut second) = (0, 0);
        for _ in 0..count {
            let response = self.get(path, fields);
            match &*response.served_by {
                "child-1" if response.status == 200 => first += 1,
                "child-2" if response.status == 200 => second += 1,
                _ => {}
            }
        }
        (first, second)
    }

    #[track_caller]
    pub(super) fn get(&self, path: &str, fields: &[&str]) -> Response {
        match request(self.ports, path, fields) {
            Some(response) => response,
            None => panic!("no answer to {path}\n{}", self.logs()),
        }
    }

    /// Requests of clients that each origin has seen.
    pub(super) fn requests(&self) -> [usize; 2] {
        self.origins.each_ref().map(Origin::requests)
    }

    fn logs(&self) -> String {
        let log = |name: &str| {
            let text = fs::read_to_string(self.folder.join(format!("{name}.log")));
            format!("--- {name}\n{}", text.unwrap_or_default())
        };
        ["parent", "child-1", "child-2"].map(log).concat()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for (_, process) in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn usable(child: &Value) -> bool {
    let uplinks = child["uplinks"].as_array();
    let stands = |uplink: &Value| uplink["standing"] == "up";
    let up = uplinks.is_some_and(|all| !all.is_empty() && all.iter().all(stands));
    child["alive"] == true && up
}

/// A copy of the example, so that running it leaves no trace in the tree.
fn copy(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root of the tree");
    let target = std::env::temp_dir().join(format!("tieline-{name}-{}", std::process::id()));
    fs::create_dir_all(&target).expect("the folder for temporary files is writable");
    for entry in fs::read_dir(root.join("examples").join(name)).expect("the example exists") {
        let entry = entry.expect("the example is readable");
        fs::copy(entry.path(), target.join(entry.file_name())).expect("a copy");
    }
    target
}

/// One request on a connection of its own; nothing if nobody answers properly.
fn request(port: u16, path: &str, fields: &[&str]) -> Option<Response> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let head = format!("GET {path} HTTP/1.1\r\nhost: example\r\nconnection: close\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let served_by = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-served-by").then(|| value.trim().to_owned())
    });
    Some(Response { status, served_by: served_by.unwrap_or_default(), body: body.to_owned() })
}

/// A tiny HTTP server that counts, if it is ours.
#[derive(Default)]
pub(super) struct Origin {
    heads: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    /// Its port, and who accepts there.
    accepts: Option<(u16, JoinHandle<()>)>,
}

impl Origin {
    fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let (heads, over) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (shared, ended) = (Arc::clone(&heads), Arc::clone(&over));
        let accepts = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Relaxed) {
                    return;
                }
                let heads = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &heads));
            }
        });
        Self { heads, over, accepts: Some((port, accepts)) }
    }

    /// Requests of clients; probes are not among them, they carry no `X-Forwarded-For`.
    pub(super) fn requests(&self) -> usize {
        self.heads().len()
    }

    pub(super) fn last_head(&self) -> String {
        self.heads().last().cloned().expect("a request came")
    }

    fn heads(&self) -> Vec<String> {
        let heads = self.heads.lock().expect("no origin panics");
        heads
            .iter()
            .filter(|head| head.to_lowercase().contains("x-forwarded-for:"))
            .cloned()
            .collect()
    }
}

/// The next run of an example wants the port.
impl Drop for Origin {
    fn drop(&mut self) {
        let Some((port, accepts)) = self.accepts.take() else { return };
        self.over.store(true, Relaxed);
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            // One that panicked has left the port as well.
            let _ = accepts.join();
        }
    }
}

fn serve(mut stream: TcpStream, heads: &Mutex<Vec<String>>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            heads.lock().expect("no origin panics").push(String::from_utf8_lossy(&head).into());
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            Ok(_) | Err(_) => return,
        }
    }
}
