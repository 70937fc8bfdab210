//! What happens to real processes on loopback.

use super::cases::{Case, FROM, Folder, LENGTH, RATE, Sign, UNTIL, What, advert};
use super::outcome::{Outcome, SLOT_MILLIS, SLOTS, Slot};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server does: changed while it runs.
#[derive(Default)]
struct Mood {
    slower_millis: AtomicU64,
    fails: AtomicBool,
    garbles: AtomicBool,
}

struct Server {
    name: &'static str,
    /// What it answers polls with, if it plays a child.
    advert: Option<String>,
    mood: Mood,
}

struct Run<'a> {
    case: &'a Case,
    folder: &'a Folder,
    processes: Vec<(&'static str, Child)>,
    eu: Arc<Server>,
}

/// One request: when it began, how long it took, and who answered it.
struct Asked {
    at: Duration,
    took: Duration,
    by: Option<usize>,
}

pub(super) fn run(case: &Case, folder: &Folder) -> Outcome {
    let mut run = Run::begin(case, folder);
    let start = Instant::now();
    let (tell, told) = mpsc::channel();
    let (host, web) = (case.host, folder.ports.web());
    let clients = thread::spawn(move || ask_often(start, web, host, &tell));
    let (api, watches) = (folder.ports.api(), case.sign == Sign::Phase);
    let watch = watches.then(|| thread::spawn(move || watch(start, api)));
    until(start, FROM);
    run.strike(true);
    if case.what.ends() {
        until(start, UNTIL);
        run.strike(false);
    }
    clients.join().expect("clients");
    let noticed = watch.map(|watch| watch.join().expect("a watch"));
    Outcome { slots: slots(&told.into_iter().collect::<Vec<_>>()), noticed }
}

fn until(start: Instant, seconds: u64) {
    thread::sleep((start + Duration::from_secs(seconds)).saturating_duration_since(Instant::now()));
}

impl<'a> Run<'a> {
    fn begin(case: &'a Case, folder: &'a Folder) -> Self {
        let played = case.what == What::Garbage;
        let eu = Server::start("eu", folder, played.then(advert));
        Server::start("us", folder, None);
        let mut run = Self { case, folder, processes: Vec::new(), eu };
        let all = if played { &["us", "parent"][..] } else { &["eu", "us", "parent"] };
        all.iter().for_each(|name| run.start(name));
        let begun = Instant::now();
        while !is_settled(folder) {
            assert!(begun.elapsed() < PATIENCE, "{} is not settled\n{}", case.name, run.logs());
            thread::sleep(Duration::from_millis(50));
        }
        run
    }

    fn start(&mut self, name: &'static str) {
        let log = self.folder.file(&format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).expect("a log file");
        let process = Command::new(env!("CARGO_BIN_EXE_tieline"))
            .args(["run", "--configFile", &format!("{name}.yml")])
            .current_dir(&self.folder.path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.processes.push((name, process));
    }

    fn signal(&self, name: &str, signal: Signal) {
        let (_, process) = self.processes.iter().find(|(at, _)| *at == name).expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("it is ours");
    }

    fn strike(&mut self, begins: bool) {
        let mood = &self.eu.mood;
        match self.case.what {
            What::Crash if begins => {
                let at = self.processes.iter().position(|(name, _)| *name == "eu");
                let (_, mut process) = self.processes.remove(at.expect("it runs"));
                process.kill().expect("it is ours");
                process.wait().expect("it is ours");
            }
            What::Crash => self.start("eu"),
            What::Hang => self.signal("eu", if begins { Signal::STOP } else { Signal::CONT }),
            What::Slow(by) => mood.slower_millis.store(if begins { by } else { 0 }, Relaxed),
            What::Error => mood.fails.store(begins, Relaxed),
            What::Garbage => mood.garbles.store(begins, Relaxed),
            What::ChildEdit => self.edit("eu-dynamic.yml"),
            What::ParentEdit => self.edit("parent-dynamic.yml"),
        }
    }

    /// As an editor does: a new file takes the place of the old one.
    fn edit(&self, name: &str) {
        let new = self.folder.file(&format!("edited/{name}"));
        let beside = self.folder.file(&format!(".{name}.new"));
        fs::copy(new, &beside).expect("temporary files can be written");
        fs::rename(beside, self.folder.file(name)).expect("temporary files can be written");
    }

    fn logs(&self) -> String {
        let log = |name| fs::read_to_string(self.folder.file(name)).unwrap_or_default();
        ["parent.log", "eu.log", "us.log"].map(log).join("\n")
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for (_, process) in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// What the parent says of its children.
fn children(api: u16) -> Option<Vec<Value>> {
    let (_, body) = ask(api, "tieline", "/api/tieline/children")?;
    serde_json::from_str::<Value>(&body).ok()?.as_array().cloned()
}

fn is_settled(folder: &Folder) -> bool {
    children(folder.ports.api()).is_some_and(|children| {
        children.iter().all(|child| {
            let uplinks = child["uplinks"].as_array();
            let up = |uplink: &Value| uplink["standing"] == "up";
            uplinks.is_some_and(|all| !all.is_empty() && all.iter().all(up))
        })
    })
}

/// From the change, and from its end, to when the parent does not hear from `eu`, and does again.
fn watch(start: Instant, api: u16) -> [u64; 2] {
    let phase = |wanted: &str, from: u64| {
        until(start, from);
        let is = |children: Vec<Value>| {
            children.iter().any(|child| child["name"] == "eu" && child["phase"] == wanted)
        };
        while start.elapsed() < Duration::from_secs(LENGTH) && !children(api).is_some_and(is) {
            thread::sleep(Duration::from_millis(20));
        }
        millis(start.elapsed()) - from * 1_000
    };
    [phase("stale", FROM), phase("fresh", UNTIL)]
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A request at every beat, whether or not earlier ones have been answered.
fn ask_often(start: Instant, web: u16, host: &'static str, tell: &mpsc::Sender<Asked>) {
    let beat = Duration::from_micros(1_000_000 / RATE);
    for number in 0..u32::try_from(LENGTH * RATE).expect("a short run") {
        thread::sleep((start + beat * number).saturating_duration_since(Instant::now()));
        let tell = tell.clone();
        thread::spawn(move || {
            let began = Instant::now();
            let answer = ask(web, host, "/");
            let by = answer.filter(|(status, _)| *status == 200);
            let by = by.and_then(|(_, body)| ["eu", "us"].iter().position(|name| body == *name));
            let asked = Asked { at: began - start, took: began.elapsed(), by };
            // The run may be over.
            let _ = tell.send(asked);
        });
    }
}

/// One request on a connection of its own.
fn ask(port: u16, host: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn slots(asked: &[Asked]) -> Vec<Slot> {
    let of = |number: u64| asked.iter().filter(move |it| millis(it.at) / SLOT_MILLIS == number);
    let slot = |number| {
        let served = |child| of(number).filter(|it| it.by == Some(child)).count() as u64;
        let mut took: Vec<u64> = of(number).map(|it| millis(it.took)).collect();
        took.sort_unstable();
        Slot {
            requests: took.len() as u64,
            served: [served(0), served(1)],
            median_millis: took.get(took.len() / 2).copied(),
        }
    };
    (0..SLOTS).map(slot).collect()
}

impl Server {
    fn start(name: &'static str, folder: &Folder, advert: Option<String>) -> Arc<Self> {
        let ports = folder.ports;
        let port = if advert.is_some() { ports.child(name) } else { ports.origin(name) };
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let server = Arc::new(Self { name, advert, mood: Mood::default() });
        let shared = Arc::clone(&server);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = Arc::clone(&shared);
                thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = bytes.drain(..end + 4).collect();
                if stream.write_all(self.answer(&head).as_bytes()).is_err() {
                    return;
                }
            }
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn answer(&self, head: &[u8]) -> String {
        let head = String::from_utf8_lossy(head).to_lowercase();
        let polled = head.starts_with("get /api/uplinks ") && !head.contains("x-uplink-name");
        let (status, body) = match &self.advert {
            Some(_) if polled && self.mood.garbles.load(Relaxed) => ("200 OK", "<html>"),
            Some(advert) if polled => ("200 OK", advert.as_str()),
            _ => {
                let slower = self.mood.slower_millis.load(Relaxed);
                thread::sleep(Duration::from_millis(slower));
                let fails = self.mood.fails.load(Relaxed);
                (if fails { "503 Service Unavailable" } else { "200 OK" }, self.name)
            }
        };
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }
}
