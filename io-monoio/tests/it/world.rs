//! A small world on loopback: an origin, a client, files, and a gateway between them.

use engine::base::limits::{ControlLimits, Limits};
use engine::base::time::Span;
use engine::config::fixed_from_file;
use io_monoio::gateway::{self, Handle, Options, Sinks};
use io_monoio::helper::Sink;
use io_monoio::runtime::Runtime;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that goes away with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tieline-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a writable directory");
        Self(path)
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a writable directory");
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain path").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A failing test may have left it in any state.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One router for everything, to `origin`.
pub(crate) fn route_to(origin: SocketAddr) -> String {
    format!(
        "http:\n  routers:\n    all: {{rule: PathPrefix(`/`), service: origin}}\n  services:\n    \
         origin:\n      loadBalancer:\n        servers:\n        - url: http://{origin}\n"
    )
}

/// A gateway with one worker in front of `origin`.
pub(crate) struct World {
    pub(crate) folder: Folder,
    pub(crate) gateway: Handle,
    pub(crate) address: SocketAddr,
}

impl World {
    pub(crate) fn new(runtime: Runtime, origin: SocketAddr) -> Self {
        Self::with(runtime, origin, "")
    }

    /// `more` is further static configuration.
    pub(crate) fn with(runtime: Runtime, origin: SocketAddr, more: &str) -> Self {
        Self::with_both(runtime, origin, "", more)
    }

    /// `providers` are further ones, in lines with two blanks before them.
    pub(crate) fn with_providers(runtime: Runtime, origin: SocketAddr, providers: &str) -> Self {
        Self::with_both(runtime, origin, providers, "")
    }

    fn with_both(runtime: Runtime, origin: SocketAddr, providers: &str, more: &str) -> Self {
        let folder = Folder::new();
        let dynamic = folder.write("dynamic.yml", &route_to(origin));
        let text = format!(
            "entryPoints: {{web: {{address: '127.0.0.1:0'}}}}\nproviders:\n  file: \
             {{filename: '{dynamic}'}}\n{providers}tieline: {{workers: 1}}\n{more}"
        );
        let (mut fixed, problems) = fixed_from_file("static.yml", &text);
        assert_eq!(problems, []);
        fixed.throttle = Span::millis(10);
        let options = Options {
            runtime,
            pin: false,
            limits: Limits::default(),
            control_limits: ControlLimits::default(),
            sinks: Some(Sinks { access: Sink::Nowhere, event: Sink::Nowhere }),
            danger_key_log: None,
        };
        let gateway = gateway::start(fixed, &options).unwrap_or_else(|error| panic!("{error}"));
        let address = gateway.address("web").expect("it is configured");
        Self { folder, gateway, address }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Everything must be over soon.
    pub(crate) fn end(self) {
        self.gateway.drain();
        assert!(self.gateway.join().is_ok(), "no thread panicked");
    }
}

pub(crate) struct Client(BufReader<TcpStream>);

/// A response as it came.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("the gateway reads");
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let (start, fields) = head(&mut self.0).expect("an answer");
        let status = start.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = match status {
            Some(101) => Vec::new(),
            _ => body(&mut self.0, &fields),
        };
        Answer { status: status.expect("a status line"), fields, body }
    }

    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("as many bytes");
        bytes
    }

    /// The connection ends here, cleanly.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.0.read(&mut [0]).expect("a clean end"), 0);
    }

    pub(crate) fn shut(&mut self) {
        self.0.get_mut().shutdown(std::net::Shutdown::Write).expect("still connected");
    }
}

type Fields = Vec<(String, String)>;

fn head(from: &mut impl BufRead) -> Option<(String, Fields)> {
    let mut line = || {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|count| *count > 0)?;
        Some(line.trim_end().to_owned())
    };
    let start = line()?;
    let mut fields = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { return Some((start, fields)) };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn body(from: &mut impl BufRead, fields: &Fields) -> Vec<u8> {
    let field = |name: &str| fields.iter().find(|(known, _)| known == name);
    let mut body = Vec::new();
    if field("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            from.read_line(&mut line).expect("a chunk");
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk size");
            let start = body.len();
            body.resize(start + size, 0);
            from.read_exact(&mut body[start..]).expect("a whole chunk");
            from.read_line(&mut String::new()).expect("the end of a chunk");
            if size == 0 {
                return body;
            }
        }
    }
    if let Some((_, length)) = field("content-length") {
        body.resize(length.parse().expect("a length"), 0);
        from.read_exact(&mut body).expect("a whole body");
    }
    body
}

/// An origin that does what the path says; see [`respond`]. It runs until the process ends.
pub(crate) fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(BufReader::new(stream)));
        }
    });
    address
}

fn serve(mut stream: BufReader<TcpStream>) {
    while let Some((start, fields)) = head(&mut stream) {
        let path = start.split(' ').nth(1).unwrap_or_default().to_owned();
        if path == "/tunnel" {
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: \
                        echo\r\n\r\n";
            stream.get_mut().write_all(head.as_bytes()).expect("the gateway reads");
            let mut out = stream.get_ref().try_clone().expect("a socket");
            let _ = std::io::copy(&mut stream, &mut out);
            return;
        }
        let body = body(&mut stream, &fields);
        let answer = respond(&path, &body);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
        let whole = [head.as_bytes(), &answer].concat();
        if stream.get_mut().write_all(&whole).is_err() {
            return;
        }
    }
}

fn respond(path: &str, body: &[u8]) -> Vec<u8> {
    if let Some(millis) = path.strip_prefix("/slow/") {
        thread::sleep(Duration::from_millis(millis.parse().expect("a number")));
        return b"slow".to_vec();
    }
    if let Some(count) = path.strip_prefix("/bytes/") {
        return pattern(count.parse().expect("a number"));
    }
    if path == "/sum" {
        return format!("{} {}", body.len(), sum(body)).into_bytes();
    }
    path.as_bytes().to_vec()
}

/// Bytes whose place can be told.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| u8::try_from(at % 251).expect("below 251")).collect()
}

/// Depends on every byte and its place.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte))
}

/// Asks again until the answer is `wanted`.
#[track_caller]
pub(crate) fn until<T: PartialEq + std::fmt::Debug>(wanted: &T, mut ask: impl FnMut() -> T) {
    let start = Instant::now();
    loop {
        let got = ask();
        if got == *wanted {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "still {got:?} instead of {wanted:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
