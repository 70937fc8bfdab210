//! Clients of HTTP/2 that do cheap work without end, each on one connection beside a client that
//! means well: what they cost is bounded, they are told to calm down, and that is counted.

use crate::frames::{Ear, block, frame, get, hello, request};
use crate::pair::{End, Pair};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::h2::frame::{Code, END_HEADERS, END_STREAM, Kind, Setting, rst_stream};
use engine::view::stats::Shed;

/// Turns of an attack before it counts as one that nothing ends.
const TURNS: u32 = 30_000;
/// Bytes that one connection may make a worker hold.
const HELD_MAX: u64 = 2 * 1024 * 1024;

/// A client that asks now and then, and the server that answers it.
struct Normal {
    end: End,
    origin: Option<End>,
}

impl Normal {
    #[track_caller]
    fn asks(&mut self, pair: &mut Pair) {
        pair.send(self.end, "GET /normal HTTP/1.1\r\nHost: s\r\n\r\n");
        let origin = *self.origin.get_or_insert_with(|| pair.dialed());
        assert!(pair.got(origin).starts_with("GET /normal "));
        pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert!(pair.got(self.end).ends_with("ok"));
    }
}

/// Attacks until the connection is given up; the turns that took. `origins` are answered at once.
#[track_caller]
fn withstand(name: &str, opening: &[u8], mut turn: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut normal = Normal { end: pair.open(), origin: None };
    normal.asks(&mut pair);
    let before = pair.held_bytes();
    let attacker = pair.open();
    pair.send(attacker, [&hello(), opening].concat());
    let mut turns = 0;
    let mut heard = Vec::new();
    while pair.count(Mark::SessionAbused) == 0 {
        assert!(turns < TURNS, "{name}: nothing ends it");
        pair.send(attacker, turn(turns));
        heard.extend(pair.got_bytes(attacker));
        let held = pair.held_bytes() - before;
        assert!(held <= HELD_MAX, "{name}: {held} bytes are held in turn {turns}");
        if turns.is_multiple_of(97) {
            normal.asks(&mut pair);
        }
        turns += 1;
    }
    let lines = Ear::default().hear(&heard);
    let calm =
        lines.last().is_some_and(|line| line.starts_with("goaway ") && line.ends_with(" 11"));
    assert!(calm, "{name}: it is told to calm down, not {:?}", lines.last());
    let shed = pair.stats().workers[0].shed[Shed::Connection as usize].get();
    assert_eq!((shed, pair.ended(attacker)), (1, "shut"), "{name}");
    normal.asks(&mut pair);
    pair.pass(Span::secs(5));
    assert_eq!(pair.ended(attacker), "closed", "{name}: it does not linger for ever");
    normal.asks(&mut pair);
    turns
}

#[test]
fn floods_of_frames_that_ask_for_an_answer_end() {
    let ping = frame(Kind::Ping, 0, 0, &[7; 8]);
    assert!(withstand("PING", &[], |_| ping.repeat(10)) <= 101);
    let settings = frame(Kind::Settings, 0, 0, &Setting::InitialWindowSize(9).bytes());
    assert!(withstand("SETTINGS", &[], |_| settings.repeat(10)) <= 11);
}

#[test]
fn streams_that_are_reset_as_soon_as_they_are_opened_end() {
    let turns = withstand("rapid reset", &[], |turn| {
        let stream = 2 * turn + 1;
        [get(stream, "/ping"), rst_stream(stream, Code::Cancel).to_vec()].concat()
    });
    assert!(turns <= 301, "{turns}");
}

#[test]
fn blocks_of_fields_that_never_end_end() {
    let opening = frame(Kind::Headers, END_STREAM, 1, &[]);
    let empty = frame(Kind::Continuation, 0, 1, &[]);
    assert!(withstand("empty CONTINUATION", &opening, |_| empty.clone()) <= 16);
    // Each names a field of the static table as often as fits, and no list would be short enough.
    let full = frame(Kind::Continuation, 0, 1, &[0x82; 16_000]);
    assert!(withstand("full CONTINUATION", &opening, |_| full.clone()) <= 100);
}

/// A block that goes on with a field of four kibibytes for the table, which it names as often as
/// fits a frame.
fn swelling(mut block: Vec<u8>) -> Vec<u8> {
    block.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0x80 + 33, 30]);
    block.extend_from_slice(&[b'v'; 4_000]);
    block.resize(16_000, 0x80 + 62);
    block
}

#[test]
fn blocks_that_swell_when_they_are_read_end() {
    let bomb = swelling(block(&[(":method", "GET"), (":scheme", "http"), (":path", "/")]));
    let turns = withstand("header bomb", &[], |turn| {
        frame(Kind::Headers, END_HEADERS | END_STREAM, 2 * turn + 1, &bomb)
    });
    assert!(turns <= 2, "{turns}");
}

#[test]
fn trailers_that_swell_when_they_are_read_end() {
    let bomb = swelling(Vec::new());
    let turns = withstand("trailers", &[], |turn| {
        let stream = 2 * turn + 1;
        let trailers = frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &bomb);
        [request(stream, "POST", "/normal", &[]), trailers].concat()
    });
    assert_eq!(turns, 1);
}

#[test]
fn a_client_that_reads_nothing_holds_little() {
    let mut pair = Pair::new(&Plan::one_origin());
    let mut normal = Normal { end: pair.open(), origin: None };
    normal.asks(&mut pair);
    let before = pair.held_bytes();
    let attacker = pair.open();
    let nothing = frame(Kind::Settings, 0, 0, &Setting::InitialWindowSize(0).bytes());
    pair.send(attacker, [hello(), nothing].concat());
    for at in 0..100 {
        pair.send(attacker, request(2 * at + 1, "GET", "/large", &[]));
        let origin = normal.origin.take().unwrap_or_else(|| pair.dialed());
        pair.got(origin);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        pair.send(origin, [head.as_bytes(), &vec![b'x'; 1_000_000]].concat());
        assert!(!pair.is_read(origin), "nobody reads what nobody takes");
    }
    let limits = Limits::default();
    let read = u64::from(limits.stream_bulk_pages * limits.large_page_bytes);
    let most = 100 * (u64::from(limits.stream_outbox_bytes) + read);
    let held = pair.held_bytes() - before;
    assert!(held <= most, "{held} bytes are held, {most} at most");
    normal.asks(&mut pair);
}
