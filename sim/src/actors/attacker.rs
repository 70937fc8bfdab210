//! Somebody who sends what no honest client sends, and must never reach a server.

use super::codec::{Part, Reader};
use super::h2::floods;
use super::h2::frames::{self, HEAD, HEADERS};
use crate::fault::{Class, Kind};
use crate::net::{Event, Net};
use crate::oracle::Oracle;
use crate::plan::Asking;
use crate::secure::wardrobe::{Leg, Manner};
use crate::wire::{EndId, Owner, Read};
use crate::wiring::HOST;
use engine::base::time::{Span, Time};
use engine::boundary::Close;
use std::net::IpAddr;

#[derive(Debug)]
pub struct Attacker {
    actor: u16,
    ip: IpAddr,
    attack: Option<Attack>,
    waiting: bool,
}

#[derive(Debug)]
struct Attack {
    end: EndId,
    kind: Kind,
    bytes: Vec<u8>,
    written: usize,
    /// Of answers in HTTP/1.1.
    reader: Option<Reader>,
    /// Frames that came, instead.
    came: Vec<u8>,
    began: Time,
}

/// Requests that two parsers could take for different ones, or for none.
const SMUGGLING: &[&str] = &[
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nabcdef",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\x00Y: b\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
];

/// Chunked bodies that are wrong after a head that is right; nobody is told of a probe.
const CHUNKS: &[&str] = &[
    "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nabcde\r\n",
    "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
];

impl Attacker {
    pub fn new(actor: u16, ip: IpAddr) -> Self {
        Self { actor, ip, attack: None, waiting: false }
    }

    pub fn wake(&mut self, net: &mut Net, after: Span) {
        if !self.waiting {
            self.waiting = true;
            net.after(after, Event::Timer { actor: self.actor, token: 0 });
        }
    }

    pub fn on_timer(&mut self, net: &mut Net, asking: &Asking) {
        self.waiting = false;
        if !net.faults.active() {
            return self.give_up(net);
        }
        if self.attack.is_none()
            && let Some((kind, bytes)) = draw(net)
            && let Ok(end) = net.connect(self.ip, Owner::Actor(self.actor), asking.entries[0])
        {
            let two = kind.class() == Class::Streams;
            // Whoever attacks in clear text where TLS is spoken is an attacker, too.
            let tls = asking.wiring.entries[0] && (two || net.faults.chance.one_in(2));
            if tls {
                net.wear_client(end, Leg { tls, two }, Manner::default(), HOST);
            }
            let reader = if two { None } else { Some(Reader::default()) };
            let (came, began) = (Vec::new(), net.now);
            self.attack = Some(Attack { end, kind, bytes, written: 0, reader, came, began });
            self.on_notice(net, end);
        }
        self.wake(net, Span::millis(900));
    }

    /// Since when a head is under way that will never end.
    pub fn stalls_since(&self) -> Option<Time> {
        let attack = self.attack.as_ref()?;
        (attack.kind == Kind::SlowHead).then_some(attack.began)
    }

    pub fn give_up(&mut self, net: &mut Net) {
        if let Some(attack) = self.attack.take() {
            net.close(attack.end, Close::Abort);
        }
    }

    pub fn on_notice(&mut self, net: &mut Net, end: EndId) {
        let Some(mut attack) = self.attack.take() else { return };
        if attack.end != end || attack.go_on(net) {
            self.attack = Some(attack);
        }
    }
}

impl Attack {
    /// False when it is over.
    fn go_on(&mut self, net: &mut Net) -> bool {
        while self.written < self.bytes.len() {
            match net.write(self.end, &self.bytes[self.written..]) {
                Ok(0) => break,
                Ok(count) => self.written += count,
                Err(_) => return self.over(net),
            }
        }
        let mut bytes = [0; 2_048];
        loop {
            match net.read(self.end, &mut bytes) {
                Read::Bytes(count) if self.on_bytes(net, &bytes[..count]) => return self.over(net),
                Read::Bytes(_) => {}
                Read::Nothing => return true,
                Read::End | Read::Reset => return self.over(net),
            }
        }
    }

    fn over(&mut self, net: &mut Net) -> bool {
        net.faults.observed(self.kind);
        net.close(self.end, Close::Gentle);
        false
    }

    /// True if this was the answer that ends the attack.
    fn on_bytes(&mut self, net: &mut Net, bytes: &[u8]) -> bool {
        let Some(mut reader) = self.reader.take() else { return self.is_turned_away(bytes) };
        self.read(net, &mut reader, bytes);
        self.reader = Some(reader);
        false
    }

    /// Fields that are too many end a stream, and not the connection.
    fn is_turned_away(&mut self, bytes: &[u8]) -> bool {
        self.came.extend_from_slice(bytes);
        let mut rest = self.came.as_slice();
        let mut answered = false;
        while let Some((frame, payload)) = frames::first(rest) {
            rest = &rest[HEAD + payload.len()..];
            answered |= frame.kind == HEADERS;
        }
        self.came = rest.to_vec();
        answered && self.kind == Kind::FieldBomb
    }

    fn read(&self, net: &mut Net, reader: &mut Reader, bytes: &[u8]) {
        reader.feed(bytes);
        while let Ok(Some(part)) = reader.next_part() {
            let Part::Head(head) = part else { continue };
            let framing = head.response_framing("POST");
            match (head.status(), framing) {
                (Ok(100..=199), Ok(framing)) => reader.body(framing),
                (Ok(status @ 400..=599), Ok(framing)) => {
                    reader.body(framing);
                    let refused = matches!(status, 400 | 408 | 413 | 414 | 431 | 501 | 503 | 505);
                    // What can be read in two ways is not routed.
                    let routed = status == 404 && self.kind != Kind::Smuggling;
                    if !refused && !routed {
                        self.wrong(net, &head.start);
                    }
                }
                _ => return self.wrong(net, &head.start),
            }
        }
    }

    fn wrong(&self, net: &mut Net, answer: &str) {
        let shown = self.bytes[..self.bytes.len().min(200)].escape_ascii().to_string();
        net.verdict.add(Oracle::H4, net.now, || format!("{shown} was answered {answer}"));
    }
}

fn draw(net: &mut Net) -> Option<(Kind, Vec<u8>)> {
    let kinds = [Kind::Smuggling, Kind::HeadBomb, Kind::ChunkBomb, Kind::Noise, Kind::SlowHead];
    let kinds = kinds.into_iter().chain(floods::KINDS);
    let kind = kinds.into_iter().find(|kind| net.faults.strikes(*kind))?;
    let chance = &mut net.faults.chance;
    if kind.class() == Class::Streams {
        return Some((kind, floods::bytes(kind, chance)));
    }
    let bytes = if kind == Kind::Smuggling {
        chance.pick(SMUGGLING).as_bytes().to_vec()
    } else if kind == Kind::HeadBomb {
        head_bomb(chance.one_in(2))
    } else if kind == Kind::ChunkBomb {
        if chance.one_in(2) { chunk_bomb() } else { chance.pick(CHUNKS).as_bytes().to_vec() }
    } else if kind == Kind::SlowHead {
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow:".to_vec()
    } else {
        (0..chance.between(1, 300)).map(|_| byte(chance.below(256))).collect()
    };
    Some((kind, bytes))
}

fn head_bomb(fields: bool) -> Vec<u8> {
    if fields {
        let lines = format!("x-bomb: {}\r\n", "y".repeat(50)).repeat(500);
        return format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes();
    }
    let path = "a".repeat(1_100_000);
    format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

fn chunk_bomb() -> Vec<u8> {
    let extension = "x".repeat(20_000);
    let head = "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    format!("{head}1;{extension}\r\na\r\n0\r\n\r\n").into_bytes()
}

fn byte(value: u64) -> u8 {
    u8::try_from(value).expect("below 256")
}
