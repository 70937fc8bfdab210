//! The load generator: one thread, many connections, bounded in time. Prints its figures as one
//! line of numbers.

use super::latency::Latencies;
use super::pipe::{self, Pipe};
use super::{origin, ring, streams, table};
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Load before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);

pub(super) struct Load {
    pub(super) target: SocketAddr,
    /// None on clear text.
    pub(super) tls: Option<Arc<ClientConfig>>,
    shape: String,
    connections: u32,
    rate: u32,
    /// Requests at once on a connection of HTTP/2.
    pub(super) streams: u32,
    pub(super) duration: Duration,
    request: &'static [u8],
    pub(super) path: String,
    pub(super) begun: Instant,
    pub(super) counts: Counts,
}

pub(super) struct Counts {
    requests: Cell<u64>,
    failed: Cell<u64>,
    latencies: RefCell<Latencies>,
    ticket: Cell<u64>,
}

/// Words: port, shape, connections, rate or streams, milliseconds, response bytes, upload bytes,
/// and `tls` or `clear`.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let number = |at: usize| -> Result<u32, String> {
        let word = words.get(at).ok_or("too few words")?;
        word.parse().map_err(|_| format!("{word} is no number"))
    };
    let (response_bytes, upload_bytes) = (number(5)?, number(6)?);
    let port = u16::try_from(number(0)?).map_err(|error| error.to_string())?;
    let shape = words[1].clone();
    let protocol: &[u8] = if shape == "streams" { b"h2" } else { b"http/1.1" };
    let secure = words.get(7).is_some_and(|word| word == "tls");
    let tls = if secure { Some(pipe::config(protocol)?) } else { None };
    let load = Rc::new(Load {
        target: SocketAddr::from(([127, 0, 0, 1], port)),
        tls,
        connections: number(2)?,
        rate: number(3)?,
        streams: number(3)?,
        path: format!("/{response_bytes}"),
        duration: Duration::from_millis(number(4)?.into()),
        request: request(response_bytes, upload_bytes, shape == "fresh"),
        shape,
        begun: Instant::now(),
        counts: Counts {
            requests: Cell::new(0),
            failed: Cell::new(0),
            latencies: RefCell::new(Latencies::new()),
            ticket: Cell::new(0),
        },
    });
    let shared = Rc::clone(&load);
    ring::block_on(async move {
        if shared.shape == "idle" {
            idle(&shared).await;
            return;
        }
        let tasks: Vec<_> = (0..shared.connections)
            .map(|_| monoio::spawn(connection(Rc::clone(&shared))))
            .collect();
        for task in tasks {
            task.await;
        }
        shared.tell();
    })
}

fn request(response_bytes: u32, upload_bytes: u32, close: bool) -> &'static [u8] {
    let method = if upload_bytes > 0 { "POST" } else { "GET" };
    let connection = if close { "Connection: close\r\n" } else { "" };
    let length = if upload_bytes > 0 {
        format!("Content-Length: {upload_bytes}\r\n")
    } else {
        String::new()
    };
    let head = format!(
        "{method} /{response_bytes} HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: \
         load/1.0\r\nAccept: */*\r\nAccept-Encoding: identity\r\nX-Request: 1234567890\r\n\
         {connection}{length}\r\n"
    );
    let mut all = head.into_bytes();
    all.resize(all.len() + upload_bytes as usize, b'u');
    all.leak()
}

async fn connection(load: Rc<Load>) {
    match load.shape.as_str() {
        "fresh" => {
            while load.begun.elapsed() < load.duration {
                fresh(&load).await;
            }
        }
        "streams" => {
            while load.begun.elapsed() < load.duration {
                if streams::run(&load).await.is_err() {
                    load.counts.add(false, Instant::now());
                }
            }
        }
        _ => while load.begun.elapsed() < load.duration && !kept(&load).await {},
    }
}

/// Opens connections one after the other, each for one request, tells, and holds them.
async fn idle(load: &Load) {
    let mut held = Vec::new();
    let mut buffer = Vec::with_capacity(4096);
    for _ in 0..load.connections {
        let begun = Instant::now();
        let Ok(mut pipe) = Pipe::open(load.target, load.tls.as_ref()).await else {
            load.counts.add(false, begun);
            continue;
        };
        let answered = exchange(&mut pipe, load.request, &mut buffer).await;
        load.counts.add(answered.is_ok(), begun);
        held.push(pipe);
    }
    load.tell();
    monoio::time::sleep(load.duration).await;
}

/// One connection for one request.
async fn fresh(load: &Load) {
    let begun = Instant::now();
    let answered = match Pipe::open(load.target, load.tls.as_ref()).await {
        Ok(mut pipe) => exchange(&mut pipe, load.request, &mut Vec::with_capacity(4096)).await,
        Err(error) => Err(error),
    };
    load.counts.add(answered.is_ok(), begun);
}

/// One connection for many requests; true when the time is up.
async fn kept(load: &Load) -> bool {
    let Ok(mut pipe) = Pipe::open(load.target, load.tls.as_ref()).await else {
        load.counts.add(false, Instant::now());
        return false;
    };
    let mut buffer = Vec::with_capacity(256 << 10);
    while load.begun.elapsed() < load.duration {
        let begun = if load.rate > 0 { load.turn().await } else { Instant::now() };
        let answered = exchange(&mut pipe, load.request, &mut buffer).await;
        load.counts.add(answered.is_ok(), begun);
        if answered.is_err() {
            return false;
        }
    }
    true
}

impl Load {
    /// The figures, as one line.
    fn tell(&self) {
        let counts = &self.counts;
        let latencies = counts.latencies.borrow();
        let [p50, p99, p999] = [500, 990, 999].map(|rank| latencies.at(rank) / 1000);
        table::tell(&format!(
            "{} {} {p50} {p99} {p999} {}",
            counts.requests.get(),
            counts.failed.get(),
            self.begun.elapsed().as_nanos()
        ));
    }

    /// Waits for the next moment of the schedule. Latency counts from the sending: the runtime's
    /// timers are a millisecond coarse, which would hide what is measured.
    async fn turn(&self) -> Instant {
        let ticket = self.counts.ticket.get();
        self.counts.ticket.set(ticket + 1);
        let due = self.begun + Duration::from_nanos(ticket * 1_000_000_000 / u64::from(self.rate));
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            monoio::time::sleep(wait).await;
        }
        Instant::now()
    }
}

impl Counts {
    pub(super) fn add(&self, answered: bool, begun: Instant) {
        let count = if answered { &self.requests } else { &self.failed };
        count.set(count.get() + 1);
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.latencies.borrow_mut().add(nanos);
    }
}

async fn exchange(
    pipe: &mut Pipe,
    request: &'static [u8],
    buffer: &mut Vec<u8>,
) -> std::io::Result<()> {
    pipe.send_static(request).await?;
    buffer.clear();
    let (head, length) = loop {
        pipe.receive(buffer).await?;
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break (end + 4, origin::length(&buffer[..end]));
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 200") {
        return Err(std::io::Error::other("not 200"));
    }
    let mut got = buffer.len() - head;
    while got < length {
        buffer.clear();
        pipe.receive(buffer).await?;
        got += buffer.len();
    }
    Ok(())
}

/// How long a run takes beside the time that counts.
pub(crate) const fn warm_up() -> Duration {
    WARM_UP
}
