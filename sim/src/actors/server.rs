//! Origins, and children that are played: they answer as a probe wants, unless a fault tells them
//! to misbehave.

mod polled;
mod streams;

use super::Scene;
use super::codec::{Framing, Head, Part, Reader, fits_pattern, pattern};
use super::h2::frames::PREFACE;
use super::sender::{Flushed, Sender, Then};
use crate::fault::Kind;
use crate::ledger::{Arrival, Frame, ProbeId, Want};
use crate::oracle::{Oracle, coding};
use crate::plan::Uplink;
use crate::secure::wardrobe::{Leg, Look};
use crate::wire::{EndId, Read};
use engine::base::time::{Span, Time};
use engine::boundary::Close;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use streams::Line;

pub use polled::DECOY;
pub(crate) use streams::draw_window;

/// A server by its number; actors of other kinds have other numbers.
#[derive(Debug)]
pub struct Server {
    pub actor: u16,
    pub name: String,
    pub addr: SocketAddr,
    pub health: Health,
    /// Only mirrored requests are meant for it.
    pub mirror: bool,
    /// Left out of this run: nobody listens.
    pub absent: bool,
    /// A child that is played: answers polls.
    pub advert: Option<Script>,
    /// Documents that instances ask for, by path.
    pub pages: BTreeMap<String, String>,
    /// Good answers to polls that the asker may hold, with their validators: it says which one.
    pub told: Vec<(Option<String>, Vec<Uplink>)>,
    /// How it is met.
    pub leg: Leg,
    /// What it shows, if it speaks TLS.
    pub look: Option<Look>,
    /// What is wrong with that on purpose.
    pub lie: Option<Kind>,
    conns: BTreeMap<EndId, Conn>,
    lines: BTreeMap<EndId, Line>,
    timers: BTreeMap<u64, (EndId, u32)>,
    timers_made: u64,
    /// Every answer to a health probe: when it was received and what was said.
    pub health_log: Vec<(Time, bool)>,
}

/// Where a redirected probe is sent: below what it asked for.
pub const THERE: &str = "/there";

/// What health probes are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    Good,
    Bad,
    Silent,
}

/// What polls are answered.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Script {
    pub body: String,
    pub etag: Option<String>,
    /// What a careful reader takes from it; nothing if it is no advertisement.
    pub means: Option<Vec<Uplink>>,
}

#[derive(Debug, Default)]
struct Conn {
    reader: Reader,
    sender: Sender,
    state: State,
    /// Stops reading.
    deaf: bool,
    leg: Leg,
    /// Number of the stream, if it is one.
    stream: u32,
    greeting: Greeting,
    /// What was wrong with what it showed.
    lie: Option<Kind>,
    /// When something last came.
    heard: Option<Time>,
    /// It has said what was no answer to anything: nobody can tell what it still owes.
    unasked: bool,
}

/// What the first bytes have shown.
#[derive(Debug)]
enum Greeting {
    Unknown(Vec<u8>),
    Plain,
    /// HTTP/2 is spoken: the connection is not what it was taken for.
    Streams(Vec<u8>),
}

impl Default for Greeting {
    fn default() -> Self {
        Self::Unknown(Vec::new())
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Reading(Reading),
    /// Waits for its timer to answer.
    Thinking(Reading),
    Tunnel,
    /// Never answers.
    Mute,
}

impl State {
    /// What was thought about, if that is still to be answered: a request that came behind, because
    /// its sender took something else for the answer, is another matter.
    fn thought(&mut self) -> Option<Reading> {
        if !matches!(self, Self::Thinking(_)) {
            return None;
        }
        let Self::Thinking(reading) = std::mem::take(self) else { return None };
        Some(reading)
    }
}

/// A request under way.
#[derive(Clone, Debug)]
struct Reading {
    what: What,
    method: String,
    body: u64,
    whole: bool,
    answered: bool,
    fault: Option<Kind>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    Probe {
        id: ProbeId,
        arrival: usize,
    },
    Health {
        target: String,
    },
    Poll {
        known: Option<String>,
        /// Who asked waits for the answer: it was not given up on its way.
        awaited: bool,
    },
    /// A document.
    Page {
        target: String,
    },
    /// Carries no number: it should never have come here.
    Stranger,
}

impl Server {
    pub fn new(actor: u16, name: String, addr: SocketAddr) -> Self {
        Self {
            actor,
            name,
            addr,
            health: Health::Good,
            mirror: false,
            absent: false,
            advert: None,
            pages: BTreeMap::new(),
            told: Vec::new(),
            leg: Leg::default(),
            look: None,
            lie: None,
            conns: BTreeMap::new(),
            lines: BTreeMap::new(),
            timers: BTreeMap::new(),
            timers_made: 0,
            health_log: Vec::new(),
        }
    }

    pub fn on_incoming(&mut self, scene: &mut Scene<'_>, end: EndId) {
        let leg = Leg { tls: self.look.is_some(), two: false };
        let mut conn = Conn { leg, lie: self.lie, ..Conn::default() };
        if let Some(kind) = self.lie {
            scene.net.faults.observed(kind);
            scene.net.wound(end, kind);
        }
        if let Some(look) = &self.look {
            let unknown = scene.net.faults.strikes(Kind::ProtocolUnknown);
            if unknown {
                scene.net.wound(end, Kind::ProtocolUnknown);
            }
            scene.net.wear_server(end, &Look { unknown, ..look.clone() });
        }
        if !self.leg.two && scene.net.faults.strikes(Kind::OriginTalksFirst) {
            scene.net.faults.observed(Kind::OriginTalksFirst);
            conn.unasked = true;
            conn.sender.buffer().extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
        self.conns.insert(end, conn);
        self.on_notice(scene, end);
    }

    pub fn on_notice(&mut self, scene: &mut Scene<'_>, end: EndId) {
        if let Some(line) = self.lines.remove(&end) {
            return self.keep_line(scene, end, line);
        }
        let Some(mut conn) = self.conns.remove(&end) else { return };
        if self.go_on(scene, end, &mut conn) {
            match conn.greeting {
                Greeting::Streams(came) => self.begin_line(scene, end, &came),
                Greeting::Unknown(_) | Greeting::Plain => {
                    self.conns.insert(end, conn);
                }
            }
        }
    }

    pub fn on_timer(&mut self, scene: &mut Scene<'_>, token: u64) {
        let Some((end, stream)) = self.timers.remove(&token) else { return };
        if let Some(mut line) = self.lines.remove(&end) {
            self.wake_stream(scene, &mut line, stream);
            return self.keep_line(scene, end, line);
        }
        let Some(mut conn) = self.conns.remove(&end) else { return };
        if let Some(reading) = conn.state.thought() {
            self.answer(scene, &mut conn, reading);
        }
        if self.go_on(scene, end, &mut conn) {
            self.conns.insert(end, conn);
        }
    }

    /// Every connection is cut, as by a crash.
    pub fn crash(&mut self, scene: &mut Scene<'_>) {
        for (end, conn) in std::mem::take(&mut self.conns) {
            self.blame(scene, &conn, Kind::OriginDown);
            scene.net.close(end, Close::Abort);
        }
        for (end, line) in std::mem::take(&mut self.lines) {
            line.conns().for_each(|conn| self.blame(scene, conn, Kind::OriginDown));
            scene.net.close(end, Close::Abort);
        }
    }

    /// Connections that would never move again are cut, so that the world can recover.
    pub fn calm_down(&mut self, scene: &mut Scene<'_>) {
        self.health = Health::Good;
        let stuck: Vec<EndId> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.deaf || matches!(conn.state, State::Mute))
            .map(|(end, _)| *end)
            .collect();
        let lines = self.lines.iter().filter(|(_, line)| line.is_stuck()).map(|(end, _)| *end);
        for end in stuck.into_iter().chain(lines.collect::<Vec<_>>()) {
            self.conns.remove(&end);
            self.lines.remove(&end);
            scene.net.close(end, Close::Abort);
        }
    }

    /// Since when the connection has been quiet that has been so for longest, of those that have
    /// carried a request, owe nothing and wait for the next.
    pub fn quiet_since(&self) -> Option<Time> {
        let idle = self.conns.values().filter(|conn| matches!(conn.state, State::Idle));
        idle.filter(|conn| conn.sender.pending() == 0 && !conn.unasked)
            .filter_map(|conn| conn.heard)
            .min()
    }

    pub fn open(&self) -> usize {
        self.conns.len() + self.lines.len()
    }

    /// Reads and writes what can be; false when the connection is over.
    fn go_on(&mut self, scene: &mut Scene<'_>, end: EndId, conn: &mut Conn) -> bool {
        let mut bytes = [0; 4_096];
        loop {
            if conn.sender.flush(scene.net, end) == Flushed::Gone {
                return false;
            }
            if conn.deaf {
                return true;
            }
            match scene.net.read(end, &mut bytes) {
                Read::Bytes(count) => {
                    conn.heard = Some(scene.net.now);
                    if !self.on_first(scene, end, conn, &bytes[..count]) {
                        scene.net.close(end, Close::Abort);
                        return false;
                    }
                    if let Greeting::Streams(_) = conn.greeting {
                        return true;
                    }
                }
                Read::Nothing => return true,
                Read::End => return self.on_end(scene, end, conn),
                Read::Reset => {
                    scene.net.close(end, Close::Gentle);
                    return false;
                }
            }
        }
    }

    /// The first bytes tell which version of HTTP is spoken.
    fn on_first(
        &mut self,
        scene: &mut Scene<'_>,
        end: EndId,
        conn: &mut Conn,
        bytes: &[u8],
    ) -> bool {
        let Greeting::Unknown(came) = &mut conn.greeting else {
            return self.on_bytes(scene, end, conn, bytes);
        };
        if let Some(kind) = conn.lie {
            let name = &self.name;
            let text = || format!("{name} was trusted in spite of {}", kind.name());
            scene.net.verdict.add(Oracle::H4, scene.net.now, text);
        }
        came.extend_from_slice(bytes);
        let known = came.len().min(PREFACE.len());
        let streams = came[..known] == PREFACE[..known];
        if streams && known < PREFACE.len() {
            return true;
        }
        let came = std::mem::take(came);
        let agreed = scene.net.protocol(end).is_some_and(|it| it == engine::tls::H2);
        // In clear text whoever speaks HTTP/2 must have been told to.
        let fits = if conn.leg.tls { streams == agreed } else { !streams || self.leg.two };
        if !fits {
            let (name, leg) = (&self.name, self.leg.name());
            let text = || format!("{name}, met over {leg}: HTTP/2 is {streams}");
            scene.net.verdict.add(Oracle::H3, scene.net.now, text);
        }
        if streams {
            conn.greeting = Greeting::Streams(came);
            return true;
        }
        conn.greeting = Greeting::Plain;
        self.on_bytes(scene, end, conn, &came)
    }

    /// The gateway will send no more.
    fn on_end(&mut self, scene: &mut Scene<'_>, end: EndId, conn: &mut Conn) -> bool {
        let busy = matches!(conn.state, State::Thinking(_)) || conn.sender.pending() > 0;
        if busy {
            return true;
        }
        scene.net.close(end, Close::Gentle);
        false
    }

    fn on_bytes(
        &mut self,
        scene: &mut Scene<'_>,
        end: EndId,
        conn: &mut Conn,
        bytes: &[u8],
    ) -> bool {
        if matches!(conn.state, State::Tunnel) {
            conn.sender.buffer().extend_from_slice(bytes);
            return true;
        }
        conn.reader.feed(bytes);
        loop {
            let part = match conn.reader.next_part() {
                Ok(Some(part)) => part,
                Ok(None) => return true,
                Err(bad) => {
                    let name = &self.name;
                    scene.net.verdict.add(Oracle::H4, scene.net.now, || {
                        format!("{name} was sent what is no HTTP: {bad}")
                    });
                    return false;
                }
            };
            if !self.on_part(scene, end, conn, part) {
                return false;
            }
        }
    }

    fn on_part(&mut self, scene: &mut Scene<'_>, end: EndId, conn: &mut Conn, part: Part) -> bool {
        match part {
            Part::Head(head) => self.on_head(scene, end, conn, &head),
            Part::Data { from, len } => {
                if let State::Reading(reading) | State::Thinking(reading) = &mut conn.state {
                    let data = conn.reader.data(from, len);
                    check_body(scene, &self.name, reading, data);
                    reading.body += len as u64;
                }
                true
            }
            Part::End(trailers) => {
                if let State::Reading(reading) | State::Thinking(reading) = &mut conn.state {
                    reading.whole = true;
                    note_whole(scene, reading, &trailers);
                }
                self.maybe_answer(scene, end, conn);
                true
            }
        }
    }

    fn on_head(&mut self, scene: &mut Scene<'_>, end: EndId, conn: &mut Conn, head: &Head) -> bool {
        let now = scene.net.now;
        let framing = match head.request_framing() {
            Ok(framing) => framing,
            Err(bad) => {
                let name = &self.name;
                let text = || format!("{name} was sent an ambiguous head: {bad}");
                scene.net.verdict.add(Oracle::H4, now, text);
                return false;
            }
        };
        conn.reader.body(framing);
        let awaited = !scene.net.is_left(end);
        let what = self.recognise(scene, head, framing, (conn.leg, end.link, awaited));
        let method = head.words().map_or("", |words| words[0]).to_owned();
        let mut reading =
            Reading { what, method, body: 0, whole: false, answered: false, fault: None };
        reading.fault = self.draw_fault(scene, &reading);
        if reading.fault == Some(Kind::OriginDeaf) {
            conn.deaf = true;
        }
        conn.state = State::Reading(reading);
        self.maybe_answer(scene, end, conn);
        true
    }

    fn recognise(
        &mut self,
        scene: &mut Scene<'_>,
        head: &Head,
        framing: Framing,
        (leg, link, awaited): (Leg, u32, bool),
    ) -> What {
        let now = scene.net.now;
        let target = head.words().map_or("", |words| words[1]).to_owned();
        let id = head.get("x-probe").and_then(|text| text.parse::<ProbeId>().ok());
        if let Some(probe) = id.and_then(|id| scene.ledger.get_mut(id)) {
            probe.arrivals.push(Arrival {
                server: self.actor,
                at: now,
                whole: false,
                body_bytes: 0,
                fault: None,
                answered: false,
                leg,
                link,
            });
            let arrival = probe.arrivals.len() - 1;
            let id = probe.id;
            crate::oracle::http::on_arrival(scene, self, id, head, framing);
            return What::Probe { id, arrival };
        }
        if self.advert.is_some() && target == "/api/uplinks" {
            scene.ledger.polls += 1;
            let known = head.get("if-none-match").map(str::to_owned);
            return What::Poll { known, awaited };
        }
        if self.pages.contains_key(&target) {
            return What::Page { target };
        }
        if target.starts_with("/health") {
            scene.ledger.health_probes += 1;
            return What::Health { target };
        }
        let name = &self.name;
        let start = &head.start;
        scene.net.verdict.add(Oracle::H4, now, || format!("{name} was sent a stranger: {start}"));
        What::Stranger
    }

    fn draw_fault(&mut self, scene: &mut Scene<'_>, reading: &Reading) -> Option<Kind> {
        let kinds: &[Kind] = match reading.what {
            What::Probe { .. } => &[
                Kind::OriginDiesBeforeHead,
                Kind::OriginDiesInHead,
                Kind::OriginDiesInBody,
                Kind::OriginGarbage,
                Kind::OriginMute,
                Kind::OriginDeaf,
                Kind::OriginHugeHead,
                Kind::OriginStorm,
                Kind::OriginExtraBytes,
                Kind::OriginClosesIdle,
            ],
            What::Poll { .. } | What::Page { .. } => &[
                Kind::PollMute,
                Kind::PollGarbage,
                Kind::PollEmpty,
                Kind::PollHuge,
                Kind::PollWrongStatus,
                Kind::PollCut,
            ],
            What::Health { .. } | What::Stranger => &[],
        };
        let fault = kinds.iter().copied().find(|kind| scene.net.faults.strikes(*kind))?;
        if let What::Probe { id, arrival } = reading.what
            && let Some(probe) = scene.ledger.get_mut(id)
        {
            probe.arrivals[arrival].fault = Some(fault);
        }
        Some(fault)
    }

    fn blame(&self, scene: &mut Scene<'_>, conn: &Conn, kind: Kind) {
        let (State::Reading(reading) | State::Thinking(reading)) = &conn.state else { return };
        if let What::Probe { id, arrival } = reading.what
            && let Some(probe) = scene.ledger.get_mut(id)
        {
            // What it did first it did all the same.
            probe.arrivals[arrival].fault.get_or_insert(kind);
        }
    }

    fn maybe_answer(&mut self, scene: &mut Scene<'_>, end: EndId, conn: &mut Conn) {
        let State::Reading(reading) = &mut conn.state else {
            if let State::Thinking(reading) = &conn.state
                && reading.whole
                && reading.answered
            {
                conn.state = State::Idle;
            }
            return;
        };
        let want = match reading.what {
            What::Probe { id, .. } => scene.ledger.get(id).map(|probe| probe.want),
            What::Health { .. } | What::Poll { .. } | What::Page { .. } | What::Stranger => None,
        };
        let early = want.is_some_and(|want| want.early);
        if reading.answered {
            if reading.whole {
                conn.state = State::Idle;
            }
            return;
        }
        if !reading.whole && !early {
            return;
        }
        let delay = want.map_or(Span::ZERO, |want| want.delay);
        let State::Reading(reading) = std::mem::take(&mut conn.state) else { return };
        if delay.is_zero() {
            return self.answer(scene, conn, reading);
        }
        conn.state = State::Thinking(reading);
        self.timers_made += 1;
        self.timers.insert(self.timers_made, (end, conn.stream));
        let token = self.timers_made;
        scene.net.after(delay, crate::net::Event::Timer { actor: self.actor, token });
    }

    fn answer(&mut self, scene: &mut Scene<'_>, conn: &mut Conn, mut reading: Reading) {
        reading.answered = true;
        let whole = reading.whole;
        match reading.what.clone() {
            What::Probe { id, arrival } => {
                let probe = scene.ledger.get_mut(id).expect("looked up before");
                probe.arrivals[arrival].answered = true;
                let want = probe.want;
                if self.answer_probe(scene, conn, &reading, id, want) {
                    return;
                }
            }
            What::Health { target } => {
                if !self.answer_health(scene, conn, &target) {
                    conn.state = State::Mute;
                    return;
                }
            }
            What::Poll { known, awaited } => {
                if awaited {
                    self.told.retain(|(etag, _)| *etag == known);
                }
                if self.answer_poll(scene, conn, &reading, known.as_deref(), awaited) {
                    return;
                }
            }
            What::Page { target } => {
                if !self.answer_page(scene, conn, &reading, &target) {
                    conn.state = State::Mute;
                    return;
                }
            }
            What::Stranger => {
                let out = conn.sender.buffer();
                out.extend_from_slice(b"HTTP/1.1 500 Stranger\r\ncontent-length: 0\r\n\r\n");
            }
        }
        conn.state = if whole { State::Idle } else { State::Reading(reading) };
    }

    /// Answers a probe; true if the connection's state was decided here.
    fn answer_probe(
        &mut self,
        scene: &mut Scene<'_>,
        conn: &mut Conn,
        reading: &Reading,
        id: ProbeId,
        want: Want,
    ) -> bool {
        let out = conn.sender.buffer();
        let from = out.len();
        interim(out, if reading.fault == Some(Kind::OriginStorm) { 60 } else { want.interim });
        let head_at = out.len();
        let upgraded = want.status == 101;
        head(out, self, id, want, reading);
        let body_at = out.len();
        body(out, id, want, reading, &mut scene.net.chance);
        let end = out.len();
        let at = |low: usize, high: usize, scene: &mut Scene<'_>| {
            let span = (high - low).max(1) as u64;
            low + usize::try_from(scene.net.faults.chance.below(span)).expect("below a length")
        };
        let abrupt = if scene.net.faults.chance.one_in(2) { Then::Reset } else { Then::Close };
        let cut = |conn: &mut Conn, to: usize| {
            conn.sender.buffer().truncate(to);
            conn.sender.then(abrupt);
        };
        match reading.fault {
            Some(Kind::OriginDiesBeforeHead) => cut(conn, from),
            Some(Kind::OriginDiesInHead) => cut(conn, at(head_at, body_at, scene)),
            Some(Kind::OriginDiesInBody) => cut(conn, at(body_at, end, scene)),
            Some(Kind::OriginGarbage) => {
                cut(conn, from);
                conn.sender.buffer().extend_from_slice(b"SSH-2.0-OpenSSH_9.9\r\n\r\n");
            }
            Some(Kind::OriginMute) => {
                cut(conn, from);
                conn.sender.then(Then::Stay);
                conn.state = State::Mute;
                return true;
            }
            Some(Kind::OriginExtraBytes) if !upgraded && want.framing != Frame::UntilClose => {
                conn.unasked = true;
                conn.sender.buffer().extend_from_slice(b"HTTP/1.1 200 Smuggled\r\n\r\n");
            }
            Some(Kind::OriginClosesIdle) => conn.sender.then(Then::Close),
            _ if upgraded => {}
            _ if want.close || want.framing == Frame::UntilClose => conn.sender.then(Then::Close),
            _ => {}
        }
        if upgraded && !want.close && reading.fault.is_none() {
            conn.reader.raw();
            conn.state = State::Tunnel;
            return true;
        }
        false
    }
}

fn interim(out: &mut Vec<u8>, count: u8) {
    for n in 0..count {
        let line = if n % 2 == 0 { "103 Early Hints" } else { "102 Processing" };
        out.extend_from_slice(format!("HTTP/1.1 {line}\r\nlink: </{n}>\r\n\r\n").as_bytes());
    }
}

fn head(out: &mut Vec<u8>, server: &Server, id: ProbeId, want: Want, reading: &Reading) {
    let Want { status, bytes, .. } = want;
    let mut head = format!("HTTP/1.1 {status} Whatever\r\nx-probe: {id}\r\n");
    head.push_str(&format!("x-server: {}\r\nconnection-note: kept\r\n", server.actor));
    head.push_str(if want.is_coded() { coding::OWN_LINE } else { "" });
    if reading.fault == Some(Kind::OriginHugeHead) {
        head.push_str(&format!("x-huge: {}\r\n", "y".repeat(300_000)));
    }
    let bodiless = matches!(status, 204 | 304) || status == 101;
    match want.framing {
        _ if status == 101 => head.push_str("connection: upgrade\r\nupgrade: echo\r\n"),
        _ if bodiless => {}
        // What an answer to GET would have is said, and does not come (RFC 9110 §9.3.2).
        Frame::Length if reading.method == "HEAD" => {
            head.push_str(&format!("content-length: {}\r\n", bytes + 7));
        }
        Frame::Length => head.push_str(&format!("content-length: {bytes}\r\n")),
        Frame::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
        Frame::UntilClose => {}
    }
    if status != 101 && (want.close || want.framing == Frame::UntilClose) {
        head.push_str("connection: close\r\n");
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
}

fn body(
    out: &mut Vec<u8>,
    id: ProbeId,
    want: Want,
    reading: &Reading,
    chance: &mut crate::entropy::Stream,
) {
    let bodiless = matches!(want.status, 101 | 204 | 304) || reading.method == "HEAD";
    if bodiless {
        return;
    }
    let total = usize::try_from(want.bytes).expect("bodies are small");
    if want.framing != Frame::Chunked {
        return pattern(id, 0, out, total);
    }
    let mut at = 0;
    while at < total {
        let most = (total - at) as u64;
        let most = if most > 4_000 { most } else { 1 + chance.below(most) };
        let size = usize::try_from(most).expect("bodies are small");
        out.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        pattern(id, at as u64, out, size);
        out.extend_from_slice(b"\r\n");
        at += size;
    }
    out.extend_from_slice(b"0\r\n");
    if want.trailers {
        out.extend_from_slice(format!("x-trailer: {id}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn check_body(scene: &mut Scene<'_>, name: &str, reading: &Reading, data: &[u8]) {
    let What::Probe { id, .. } = reading.what else { return };
    if !fits_pattern(id, reading.body, data) {
        let (now, at) = (scene.net.now, reading.body);
        let text = || format!("{name}: the body of probe {id} is wrong from byte {at}");
        scene.net.verdict.add(Oracle::H3, now, text);
    }
}

fn note_whole(scene: &mut Scene<'_>, reading: &Reading, trailers: &[(String, String)]) {
    let What::Probe { id, arrival } = reading.what else { return };
    let probe = scene.ledger.get_mut(id).expect("looked up before");
    probe.arrivals[arrival].whole = true;
    probe.arrivals[arrival].body_bytes = reading.body;
    crate::oracle::http::on_whole(scene, id, reading.body, trailers);
}
