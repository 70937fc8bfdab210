//! Whoever answers requests without being an instance of ours: an origin, or a child that is
//! played because no document describes it. It takes any request for a `GET` without a body, in
//! either version of HTTP, and answers with the number of its place.

use super::stage::Place;
use super::streams::{Streams, begins};
use crate::net::Net;
use crate::wire::{EndId, Read};
use engine::base::prng::Prng;
use engine::base::time::{Span, Time};
use engine::boundary::{Close, Fault};
use engine::http::status::reason;
use std::collections::BTreeMap;
use std::net::SocketAddr;

#[derive(Debug)]
pub(super) struct Station {
    pub(super) actor: u16,
    pub(super) place: usize,
    pub(super) addr: SocketAddr,
    /// The answer to a poll, if this is a played child.
    pub(super) advert: Option<String>,
    pub(super) up: bool,
    /// What has arrived and is no whole head yet, by link.
    talks: BTreeMap<u32, Talk>,
    /// Answers under way, by timer: to whom, on which stream, and what.
    due: BTreeMap<u64, (EndId, u32, Told)>,
    timers: u64,
}

#[derive(Debug)]
struct Talk {
    end: EndId,
    heard: Vec<u8>,
    /// Set once HTTP/2 is spoken.
    streams: Option<Box<Streams>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Advert,
    Garbage,
    /// To the health protocol of gRPC.
    Serving,
    Status(u16),
}

/// Heads beyond this are nobody's that we know.
const HEAD_MAX: usize = 1 << 20;

impl Station {
    pub(super) fn new(actor: u16, place: usize, addr: SocketAddr, advert: Option<String>) -> Self {
        let (talks, due) = (BTreeMap::new(), BTreeMap::new());
        Self { actor, place, addr, advert, up: true, talks, due, timers: 0 }
    }

    pub(super) fn on_incoming(&mut self, end: EndId) {
        self.talks.insert(end.link, Talk { end, heard: Vec::new(), streams: None });
    }

    pub(super) fn on_notice(
        &mut self,
        net: &mut Net,
        end: EndId,
        place: &mut Place,
        chance: &mut Prng,
    ) {
        let Some(Talk { heard, streams, .. }) = self.talks.get_mut(&end.link) else { return };
        let mut bytes = [0; 4096];
        let over = loop {
            match net.read(end, &mut bytes) {
                Read::Bytes(count) => heard.extend_from_slice(&bytes[..count]),
                Read::Nothing => break heard.len() > HEAD_MAX,
                Read::End | Read::Reset => break true,
            }
        };
        if streams.is_none() && begins(heard) {
            *streams = Some(Box::new(Streams::new(net.now)));
        }
        if streams.is_some() {
            return self.on_streams(net, end, over, place, chance);
        }
        while let Some(at) = head_end(heard) {
            let told = match &self.advert {
                Some(_) if is_poll(&heard[..at]) && place.garbled => Told::Garbage,
                Some(_) if is_poll(&heard[..at]) => Told::Advert,
                _ => Told::Status(place.error.unwrap_or(200)),
            };
            heard.drain(..at);
            let at = match told {
                Told::Advert | Told::Garbage => net.now + Span::millis(1),
                Told::Status(_) | Told::Serving => place.serve(net.now, chance),
            };
            self.timers += 1;
            self.due.insert(self.timers, (end, 0, told));
            net.at(
                at.max(place.muted),
                crate::net::Event::Timer { actor: self.actor, token: self.timers },
            );
        }
        if over {
            self.talks.remove(&end.link);
            net.close(end, Close::Gentle);
        }
    }

    /// The same over HTTP/2.
    fn on_streams(
        &mut self,
        net: &mut Net,
        end: EndId,
        over: bool,
        place: &mut Place,
        chance: &mut Prng,
    ) {
        let Some(talk) = self.talks.get_mut(&end.link) else { return };
        let Some(streams) = &mut talk.streams else { return };
        let asked = streams.hear(&std::mem::take(&mut talk.heard), net.now);
        let written = streams.write(net, end);
        let Some(asked) = asked.filter(|_| !over && written.is_ok()) else {
            self.talks.remove(&end.link);
            return net.close(end, Close::Gentle);
        };
        for it in asked {
            let told = match place.error {
                None if it.health => Told::Serving,
                error => Told::Status(error.unwrap_or(200)),
            };
            let at = place.serve(net.now, chance).max(place.muted);
            self.timers += 1;
            self.due.insert(self.timers, (end, it.stream, told));
            net.at(at, crate::net::Event::Timer { actor: self.actor, token: self.timers });
        }
    }

    pub(super) fn on_timer(&mut self, net: &mut Net, token: u64, place: &Place) {
        if net.now < place.muted && self.due.contains_key(&token) {
            return net.at(place.muted, crate::net::Event::Timer { actor: self.actor, token });
        }
        let Some((end, stream, told)) = self.due.remove(&token) else { return };
        let Some(talk) = self.talks.get_mut(&end.link) else { return };
        if let Some(streams) = &mut talk.streams {
            let body = format!("@{:04}\n", self.place);
            let answered = match told {
                Told::Status(status) => {
                    streams.answer(stream, head(status, &body).as_bytes(), body.as_bytes(), net.now)
                }
                Told::Advert | Told::Garbage | Told::Serving => streams.serve(stream, net.now),
            };
            if answered.is_none() || streams.write(net, end).is_err() {
                self.talks.remove(&end.link);
                net.close(end, Close::Abort);
            }
            return;
        }
        let written = match told {
            Told::Serving => Ok(()),
            Told::Garbage => write(net, end, 200, "<html>"),
            Told::Advert => write(net, end, 200, self.advert.as_deref().unwrap_or_default()),
            Told::Status(status) => write(net, end, status, &format!("@{:04}\n", self.place)),
        };
        if written.is_err() {
            self.talks.remove(&end.link);
            net.close(end, Close::Abort);
        }
    }

    /// Everything is cut and nobody listens any more.
    pub(super) fn fall(&mut self, net: &mut Net) {
        self.up = false;
        net.unlisten(self.addr);
        for (_, talk) in std::mem::take(&mut self.talks) {
            net.close(talk.end, Close::Abort);
        }
        self.due.clear();
    }

    pub(super) fn rise(&mut self, net: &mut Net) {
        self.up = true;
        net.listen(self.addr, self.actor);
    }
}

fn write(net: &mut Net, end: EndId, status: u16, body: &str) -> Result<(), Fault> {
    // Windows are far larger than an answer, and there is one answer at a time.
    net.write(end, format!("{}{body}", head(status, body)).as_bytes()).map(drop)
}

fn head(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} {}\r\nContent-Length: {}\r\n\r\n", reason(status), body.len())
}

/// Where the first whole head ends.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\r') {
        let at = from + at;
        if bytes[at..].starts_with(b"\r\n\r\n") {
            return Some(at + 4);
        }
        from = at + 1;
    }
    None
}

fn is_poll(head: &[u8]) -> bool {
    let named =
        |line: &[u8]| line.get(..13).is_some_and(|it| it.eq_ignore_ascii_case(b"x-uplink-name"));
    head.starts_with(b"GET /api/uplinks ") && !head.split(|byte| *byte == b'\n').any(named)
}

/// When a request that arrives at `now` has been served, by a place that starts one every `gap`.
pub(super) fn served(now: Time, free_at: &mut Time, gap: Span, takes: Span) -> Time {
    let begin = now.max(*free_at);
    *free_at = begin + gap;
    begin + takes
}
