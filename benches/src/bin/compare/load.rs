//! The load generator: one thread, many connections, bounded in time. Prints its figures as one
//! line of numbers.

use super::latency::Latencies;
use super::{origin, ring, table};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Load before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);

struct Load {
    target: SocketAddr,
    shape: String,
    connections: u32,
    rate: u32,
    duration: Duration,
    request: &'static [u8],
    begun: Instant,
    counts: Counts,
}

struct Counts {
    requests: Cell<u64>,
    failed: Cell<u64>,
    latencies: RefCell<Latencies>,
    ticket: Cell<u64>,
}

/// Words: port, shape, connections, rate, milliseconds, response bytes, upload bytes.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let number = |at: usize| -> Result<u32, String> {
        let word = words.get(at).ok_or("too few words")?;
        word.parse().map_err(|_| format!("{word} is no number"))
    };
    let (response_bytes, upload_bytes) = (number(5)?, number(6)?);
    let port = u16::try_from(number(0)?).map_err(|error| error.to_string())?;
    let shape = words[1].clone();
    let load = Rc::new(Load {
        target: SocketAddr::from(([127, 0, 0, 1], port)),
        connections: number(2)?,
        rate: number(3)?,
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
        _ => while load.begun.elapsed() < load.duration && !kept(&load).await {},
    }
}

/// Opens connections one after the other, each for one request, tells, and holds them.
async fn idle(load: &Load) {
    let mut held = Vec::new();
    let mut buffer = Vec::with_capacity(4096);
    for _ in 0..load.connections {
        let begun = Instant::now();
        let Ok(mut stream) = TcpStream::connect_addr(load.target).await else {
            load.counts.add(false, begun);
            continue;
        };
        let answered = exchange(&mut stream, load.request, &mut buffer).await;
        load.counts.add(answered.is_ok(), begun);
        held.push(stream);
    }
    load.tell();
    monoio::time::sleep(load.duration).await;
}

/// One connection for one request.
async fn fresh(load: &Load) {
    let begun = Instant::now();
    let answered = match TcpStream::connect_addr(load.target).await {
        Ok(mut stream) => exchange(&mut stream, load.request, &mut Vec::with_capacity(4096)).await,
        Err(error) => Err(error),
    };
    load.counts.add(answered.is_ok(), begun);
}

/// One connection for many requests; true when the time is up.
async fn kept(load: &Load) -> bool {
    let Ok(mut stream) = TcpStream::connect_addr(load.target).await else {
        load.counts.add(false, Instant::now());
        return false;
    };
    if stream.set_nodelay(true).is_err() {
        return false;
    }
    let mut buffer = Vec::with_capacity(256 << 10);
    while load.begun.elapsed() < load.duration {
        let begun = if load.rate > 0 { load.turn().await } else { Instant::now() };
        let answered = exchange(&mut stream, load.request, &mut buffer).await;
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
    fn add(&self, answered: bool, begun: Instant) {
        let count = if answered { &self.requests } else { &self.failed };
        count.set(count.get() + 1);
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.latencies.borrow_mut().add(nanos);
    }
}

async fn exchange(
    stream: &mut TcpStream,
    request: &'static [u8],
    buffer: &mut Vec<u8>,
) -> std::io::Result<()> {
    stream.write_all(request).await.0?;
    buffer.clear();
    let (head, length) = loop {
        receive(stream, buffer).await?;
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
        receive(stream, buffer).await?;
        got += buffer.len();
    }
    Ok(())
}

/// Reads once behind what the buffer holds.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    let filled = buffer.len();
    if buffer.capacity() - filled < 4096 {
        buffer.reserve(4096);
    }
    let space = monoio::buf::IoBufMut::slice_mut(std::mem::take(buffer), filled..);
    let (result, space) = stream.read(space).await;
    *buffer = space.into_inner();
    if result? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// How long a run takes beside the time that counts.
pub(crate) const fn warm_up() -> Duration {
    WARM_UP
}
