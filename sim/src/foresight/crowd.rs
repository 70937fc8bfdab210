//! The clients: requests begin at random instants at a given rate, whether or not earlier ones
//! have been answered, as those of many people do. Kept connections are used again.

use super::figures::Figures;
use super::scenario::Window;
use super::station::head_end;
use crate::net::{Event, Net};
use crate::wire::{EndId, Owner, Read};
use engine::base::prng::Prng;
use engine::base::time::{Span, Time};
use engine::boundary::Close;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The actor's number.
pub(super) const CROWD: u16 = 0;
const ARRIVAL: u64 = 0;
const SWEEP: u64 = 1;
/// How long a client waits for an answer, unless told otherwise.
pub(super) const PATIENCE: Span = Span::secs(30);

/// One kind of request.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) bytes: Vec<u8>,
    pub(super) to: SocketAddr,
    pub(super) weight: u64,
}

#[derive(Debug)]
struct Conn {
    end: EndId,
    to: SocketAddr,
    /// When its request began.
    asked: Option<Time>,
    heard: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Crowd {
    ip: IpAddr,
    pub(super) classes: Vec<Class>,
    weights: u64,
    pub(super) rate: u64,
    surges: Vec<(Window, u64)>,
    chance: Prng,
    /// By link.
    conns: BTreeMap<u32, Conn>,
    /// Links of kept connections.
    idle: Vec<u32>,
    until: Time,
    pub(super) pace: Pace,
    /// How long a client waits for an answer.
    pub(super) patience: Span,
    pub(super) figures: Figures,
    /// What became of each request, kept if asked for.
    pub(super) fates: Option<Vec<Fate>>,
}

/// When requests begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// As those of many people do.
    Random,
    /// One after another, as far apart as the rate says and never closer.
    Even,
}

/// What became of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fate {
    pub(super) began: Time,
    /// 0 is no answer.
    pub(super) status: u16,
    pub(super) place: Option<usize>,
}

impl Crowd {
    pub(super) fn new(ip: IpAddr, rate: u64, surges: Vec<(Window, u64)>, chance: Prng) -> Self {
        Self {
            ip,
            classes: Vec::new(),
            weights: 0,
            rate,
            surges,
            chance,
            conns: BTreeMap::new(),
            idle: Vec::new(),
            until: Time::ZERO,
            pace: Pace::Random,
            patience: PATIENCE,
            figures: Figures::new(Time::ZERO, Span::secs(1), 1, 0),
            fates: None,
        }
    }

    pub(super) fn start(
        &mut self,
        net: &mut Net,
        classes: Vec<Class>,
        figures: Figures,
        length: Span,
    ) {
        self.weights = classes.iter().map(|class| class.weight).sum();
        self.classes = classes;
        self.figures = figures;
        self.until = net.now + length;
        net.at(net.now, Event::Timer { actor: CROWD, token: ARRIVAL });
        net.after(Span::secs(1), Event::Timer { actor: CROWD, token: SWEEP });
    }

    /// When requests began that have not been answered.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Time> {
        self.conns.values().filter_map(|conn| conn.asked)
    }

    pub(super) fn is_done(&self, now: Time) -> bool {
        now >= self.until && self.conns.values().all(|conn| conn.asked.is_none())
    }

    pub(super) fn on_timer(&mut self, net: &mut Net, token: u64) {
        if token == SWEEP {
            self.sweep(net);
            return net.after(Span::secs(1), Event::Timer { actor: CROWD, token: SWEEP });
        }
        if net.now >= self.until || self.weights == 0 {
            return;
        }
        self.ask(net);
        let since = net.now.since(self.figures.start);
        let within = |window: &Window| window.from <= since && since < window.until;
        let surge = self.surges.iter().rev().find(|(window, _)| within(window));
        let rate = surge.map_or(self.rate, |(_, rate)| *rate).max(1);
        let gap = match self.pace {
            Pace::Random => self.chance.below(2 * (1_000_000_000 / rate) + 1),
            Pace::Even => 1_000_000_000_u64.div_ceil(rate),
        };
        net.after(Span::from_nanos(gap), Event::Timer { actor: CROWD, token: ARRIVAL });
    }

    fn ask(&mut self, net: &mut Net) {
        let mut at = self.chance.below(self.weights);
        let class = self.classes.iter().position(|class| {
            let here = at < class.weight;
            at = at.saturating_sub(class.weight);
            here
        });
        let class = &self.classes[class.unwrap_or(0)];
        let (to, now) = (class.to, net.now);
        let kept = self.idle.iter().rposition(|link| {
            self.conns.get(link).is_some_and(|conn| conn.to == to && conn.asked.is_none())
        });
        let link = match kept {
            Some(at) => self.idle.remove(at),
            None => match net.connect(self.ip, Owner::Actor(CROWD), to) {
                Ok(end) => {
                    let conn = Conn { end, to, asked: None, heard: Vec::new() };
                    self.conns.insert(end.link, conn);
                    end.link
                }
                Err(_) => return self.record(now, Span::ZERO, 0, None),
            },
        };
        let conn = self.conns.get_mut(&link).expect("a kept connection is known");
        conn.asked = Some(now);
        if net.write(conn.end, &class.bytes).is_err() {
            self.lose(net, link);
        }
    }

    /// The connection is over; who waited has no answer.
    fn lose(&mut self, net: &mut Net, link: u32) {
        let Some(conn) = self.conns.remove(&link) else { return };
        self.idle.retain(|idle| *idle != link);
        net.close(conn.end, Close::Abort);
        if let Some(began) = conn.asked {
            self.record(began, net.now.since(began), 0, None);
        }
    }

    fn record(&mut self, began: Time, took: Span, status: u16, place: Option<usize>) {
        self.figures.record(began, took, status, place);
        if let Some(fates) = &mut self.fates {
            fates.push(Fate { began, status, place });
        }
    }

    fn sweep(&mut self, net: &mut Net) {
        let late =
            |conn: &Conn| conn.asked.is_some_and(|began| net.now.since(began) >= self.patience);
        let late: Vec<u32> =
            self.conns.iter().filter(|(_, conn)| late(conn)).map(|(link, _)| *link).collect();
        late.into_iter().for_each(|link| self.lose(net, link));
    }

    pub(super) fn on_notice(&mut self, net: &mut Net, end: EndId) {
        let Some(conn) = self.conns.get_mut(&end.link) else { return };
        let mut bytes = [0; 4096];
        let over = loop {
            match net.read(end, &mut bytes) {
                Read::Bytes(count) => conn.heard.extend_from_slice(&bytes[..count]),
                Read::Nothing => break false,
                Read::End | Read::Reset => break true,
            }
        };
        let answer = Answer::of(&conn.heard);
        if let (Some(answer), Some(began)) = (&answer, conn.asked) {
            conn.asked = None;
            conn.heard.clear();
            self.record(began, net.now.since(began), answer.status, answer.place);
        }
        match answer {
            _ if over => self.lose(net, end.link),
            Some(answer) if answer.last => self.lose(net, end.link),
            Some(_) => self.idle.push(end.link),
            None => {}
        }
    }
}

/// What an answer says.
struct Answer {
    status: u16,
    /// The connection ends with it.
    last: bool,
    place: Option<usize>,
}

impl Answer {
    /// A whole answer with a declared length; nothing before it is whole.
    fn of(heard: &[u8]) -> Option<Self> {
        let body = head_end(heard)?;
        let head = std::str::from_utf8(&heard[..body]).ok()?;
        let status = head.get(9..12)?.parse().ok()?;
        let (mut length, mut last) = (0, false);
        for line in head.split("\r\n").skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            } else if name.eq_ignore_ascii_case("connection") {
                last = value.trim().eq_ignore_ascii_case("close");
            }
        }
        let body = heard.get(body..body + length)?;
        let place = body.strip_prefix(b"@").and_then(|body| std::str::from_utf8(body).ok());
        let place = place.and_then(|number| number.trim_end().parse().ok());
        Some(Self { status, last, place })
    }
}
