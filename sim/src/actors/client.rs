//! Clients: they send requests over kept connections, sometimes rudely, and write down what they
//! get.

mod streams;

use super::Scene;
use super::codec::{Framing, Head, Part, Reader, fits_pattern, pattern};
use super::sender::{Flushed, Sender, Then};
use crate::fault::Kind;
use crate::ledger::{Answer, BodyKind, Ended, ProbeId};
use crate::net::Event;
use crate::oracle::coding::Coded;
use crate::oracle::{Oracle, http};
use crate::plan::Asking;
use crate::secure::wardrobe::{Leg, Manner};
use crate::wire::{EndId, Owner, Read};
use crate::wiring::HOST;
use engine::base::time::Span;
use engine::boundary::Close;
use std::collections::VecDeque;
use std::net::IpAddr;
use streams::Line;

/// What the next timer means.
const NEXT: u64 = 0;
const CONTINUE: u64 = 1;
const TRICKLE: u64 = 2;
const LISTEN: u64 = 3;

#[derive(Debug)]
pub struct Client {
    pub actor: u16,
    pub ip: IpAddr,
    conn: Option<Conn>,
    /// A connection of HTTP/2, instead.
    line: Option<Line>,
    /// Requests this client may still send.
    pub left: u32,
    waiting: bool,
    pub refused: u32,
    /// Leaves at the next opportunity and sends no more.
    pub done: bool,
}

#[derive(Debug)]
struct Conn {
    end: EndId,
    /// Which entry it goes to.
    entry: u16,
    leg: Leg,
    reader: Reader,
    sender: Sender,
    /// Sent and not answered, oldest first.
    open: VecDeque<ProbeId>,
    body: u64,
    coded: Option<Coded>,
    status: u16,
    from_server: bool,
    /// Where in the sender's buffer heads and requests end.
    heads: VecDeque<(usize, ProbeId)>,
    ends: VecDeque<(usize, ProbeId)>,
    tunnel: Option<Tunnel>,
    /// Does not read for now.
    deaf: bool,
    /// What it has been guilty of.
    rude: Option<Kind>,
    /// Bytes per trickle; everything at once if absent.
    trickle: Option<usize>,
    leave_after: Option<u64>,
    last: bool,
    shut: bool,
    /// An answer said that the connection ends with it.
    ending: bool,
    seen: u64,
}

#[derive(Debug)]
struct Tunnel {
    id: ProbeId,
    bytes: u64,
    back: u64,
}

impl Conn {
    fn new(end: EndId, entry: u16) -> Self {
        Self {
            end,
            entry,
            leg: Leg::default(),
            reader: Reader::default(),
            sender: Sender::default(),
            open: VecDeque::new(),
            body: 0,
            coded: None,
            status: 0,
            from_server: false,
            heads: VecDeque::new(),
            ends: VecDeque::new(),
            tunnel: None,
            deaf: false,
            rude: None,
            trickle: None,
            leave_after: None,
            last: false,
            shut: false,
            ending: false,
            seen: 0,
        }
    }

    /// The newest request will end too early: within its body if it has one.
    fn leave_out(&mut self, scene: &mut Scene<'_>) {
        let end = self.ends.back().map_or(0, |(at, _)| *at);
        let head = self.heads.back().map_or(0, |(at, _)| *at);
        let from = if head < end { head } else { self.sender.written() };
        let keep = scene.net.faults.chance.between(from as u64, end as u64 - 1);
        self.sender.cut(usize::try_from(keep).expect("requests are small"));
    }
}

impl Client {
    pub fn new(actor: u16, ip: IpAddr, left: u32) -> Self {
        Self { actor, ip, conn: None, line: None, left, waiting: false, refused: 0, done: false }
    }

    pub fn is_idle(&self) -> bool {
        let quiet = |conn: &Conn| conn.open.is_empty() && conn.tunnel.is_none();
        self.conn.as_ref().is_none_or(quiet) && self.line.as_ref().is_none_or(Line::is_idle)
    }

    pub fn is_gone(&self) -> bool {
        self.conn.is_none() && self.line.is_none()
    }

    pub fn wake(&mut self, scene: &mut Scene<'_>, after: Span) {
        if !self.waiting {
            self.waiting = true;
            scene.net.after(after, Event::Timer { actor: self.actor, token: NEXT });
        }
    }

    pub fn on_timer(&mut self, scene: &mut Scene<'_>, token: u64, asking: &Asking) {
        match token {
            NEXT => {
                self.waiting = false;
                self.next(scene, asking);
            }
            CONTINUE => self.with(scene, |conn| conn.sender.gate = None),
            TRICKLE => self.trickle(scene),
            LISTEN => {
                if let Some(line) = &mut self.line {
                    line.listen();
                    return self.go_on_line(scene);
                }
                self.with(scene, |conn| conn.deaf = false);
            }
            _ => unreachable!("no other timer is set"),
        }
    }

    pub fn on_notice(&mut self, scene: &mut Scene<'_>, end: EndId) {
        if self.line.as_ref().is_some_and(|line| line.end == end) {
            self.go_on_line(scene);
        } else if self.conn.as_ref().is_some_and(|conn| conn.end == end) {
            self.go_on(scene);
        }
    }

    /// Ends the connection; what was open is over.
    pub fn leave(&mut self, scene: &mut Scene<'_>, how: Close) {
        if let Some(line) = self.line.take() {
            line.probes().for_each(|id| scene.ledger.end(id, scene.net.now, Ended::Left));
            scene.net.close(line.end, how);
        }
        let Some(conn) = self.conn.take() else { return };
        for id in conn.open.iter().copied().chain(conn.tunnel.as_ref().map(|t| t.id)) {
            scene.ledger.end(id, scene.net.now, Ended::Left);
        }
        scene.net.close(conn.end, how);
    }

    fn with(&mut self, scene: &mut Scene<'_>, change: impl FnOnce(&mut Conn)) {
        if let Some(conn) = &mut self.conn {
            change(conn);
            self.go_on(scene);
        }
    }

    fn trickle(&mut self, scene: &mut Scene<'_>) {
        let (trickle, sender) = match (&mut self.line, &mut self.conn) {
            (Some(line), _) => (&mut line.trickle, &mut line.out),
            (None, Some(conn)) => (&mut conn.trickle, &mut conn.sender),
            (None, None) => return,
        };
        let Some(step) = *trickle else { return };
        sender.gate = Some(sender.written() + step);
        if sender.pending() > step {
            let pause = Span::millis(scene.net.faults.chance.between(50, 1_500));
            scene.net.after(pause, Event::Timer { actor: self.actor, token: TRICKLE });
        } else {
            *trickle = None;
            sender.gate = None;
        }
        if self.line.is_some() { self.go_on_line(scene) } else { self.go_on(scene) }
    }

    /// Sends the next request, over a new connection if need be.
    fn next(&mut self, scene: &mut Scene<'_>, asking: &Asking) {
        if self.left == 0 || self.done || (scene.workload.spent() && !scene.calm) {
            self.done = true;
            if self.is_idle() {
                self.leave(scene, Close::Gentle);
            }
            return;
        }
        if self.conn.as_ref().is_some_and(|conn| conn.last || conn.tunnel.is_some()) {
            return self.wake(scene, Span::millis(300));
        }
        if self.line.as_ref().is_some_and(|line| line.last || line.is_full()) {
            return self.wake(scene, Span::millis(300));
        }
        let entry = match (&self.conn, &self.line) {
            (Some(conn), _) => conn.entry,
            (None, Some(line)) => line.entry,
            (None, None) => asking.draw_entry(scene.workload),
        };
        if self.is_gone() && !self.connect(scene, entry, asking) {
            return self.wake(scene, Span::millis(200));
        }
        self.left -= 1;
        if self.line.is_some() {
            self.send_on_line(scene, asking);
            self.go_on_line(scene);
        } else {
            self.send(scene, asking);
            self.go_on(scene);
        }
        let think = Span::millis(scene.workload.size(800));
        self.wake(scene, think + Span::micros(100));
    }

    fn connect(&mut self, scene: &mut Scene<'_>, entry: u16, asking: &Asking) -> bool {
        let to = asking.entries[usize::from(entry)];
        let Ok(end) = scene.net.connect(self.ip, Owner::Actor(self.actor), to) else {
            self.refused += 1;
            return false;
        };
        let (mut leg, old) = asking.draw_leg(scene.workload, entry);
        if leg.tls {
            let unknown = scene.net.faults.strikes(Kind::ProtocolUnknown);
            if unknown {
                scene.net.wound(end, Kind::ProtocolUnknown);
            }
            scene.net.wear_client(end, leg, Manner { old, unknown }, HOST);
        }
        if leg.tls && leg.two && scene.net.faults.strikes(Kind::ProtocolBroken) {
            scene.net.wound(end, Kind::ProtocolBroken);
            leg.two = false;
        }
        if leg.two {
            self.line = Some(Line::new(scene, end, entry, leg));
            return true;
        }
        let leave = scene.net.faults.strikes(Kind::ClientLeaves);
        let leave_after = leave.then(|| scene.net.faults.chance.size(20_000));
        self.conn = Some(Conn { leave_after, leg, ..Conn::new(end, entry) });
        true
    }

    fn send(&mut self, scene: &mut Scene<'_>, asking: &Asking) {
        let conn = self.conn.as_mut().expect("connected before");
        if conn.open.len() == 1 && scene.net.faults.active() {
            scene.net.faults.injected(Kind::ClientPipelines);
            scene.net.faults.observed(Kind::ClientPipelines);
        }
        let (meant, want) = asking.draw(scene.workload, conn.entry);
        let last = asking.draw_last(scene.workload) || meant.old_version || meant.upgrade;
        let expect = meant.body_bytes > 0 && !meant.old_version && scene.workload.one_in(6);
        let (now, calm) = (scene.net.now, scene.calm);
        let probe = scene.ledger.open(self.actor, conn.entry, meant, want);
        probe.started = now;
        probe.calm = calm;
        (probe.leg, probe.link) = (conn.leg, conn.end.link);
        probe.oldest = scene.book.oldest;
        probe.oldest_epoch = scene.book.oldest_epoch;
        let (written, pending) = conn.sender.total();
        probe.from = written + pending;
        let (id, meant) = (probe.id, probe.meant.clone());
        let out = conn.sender.buffer();
        write_head(out, id, &meant, last, expect);
        let head_end = out.len();
        write_body(out, id, &meant, scene.workload);
        let end = out.len();
        conn.heads.push_back((head_end, id));
        conn.ends.push_back((end, id));
        conn.open.push_back(id);
        conn.last = last;
        if expect && conn.sender.gate.is_none() && conn.trickle.is_none() {
            conn.sender.gate = Some(head_end);
            scene
                .net
                .after(Span::millis(1_000), Event::Timer { actor: self.actor, token: CONTINUE });
        }
        scene.ledger.get_mut(id).expect("just opened").rude = conn.rude;
        self.be_rude(scene);
    }

    fn be_rude(&mut self, scene: &mut Scene<'_>) {
        let conn = self.conn.as_mut().expect("connected before");
        let rude = if scene.net.faults.strikes(Kind::ClientTrickles) {
            let step = usize::try_from(scene.net.faults.chance.between(1, 60)).expect("small");
            conn.trickle = Some(step);
            conn.sender.gate = Some(conn.sender.written() + step);
            let timer = Event::Timer { actor: self.actor, token: TRICKLE };
            scene.net.after(Span::millis(5), timer);
            Kind::ClientTrickles
        } else if scene.net.faults.strikes(Kind::ClientDeaf) {
            conn.deaf = true;
            let pause = Span::millis(scene.net.faults.chance.between(100, 20_000));
            scene.net.after(pause, Event::Timer { actor: self.actor, token: LISTEN });
            Kind::ClientDeaf
        } else if scene.net.faults.strikes(Kind::ClientHalfCloses) {
            if scene.net.faults.chance.one_in(2) {
                conn.leave_out(scene);
            }
            conn.sender.then(Then::Shut);
            conn.last = true;
            conn.shut = true;
            Kind::ClientHalfCloses
        } else {
            return;
        };
        scene.net.faults.observed(rude);
        // Whatever shares the connection shares its pace.
        for open in &conn.open {
            scene.ledger.get_mut(*open).expect("an open probe").rude = Some(rude);
        }
        conn.rude = Some(rude);
    }

    fn go_on(&mut self, scene: &mut Scene<'_>) {
        let Some(mut conn) = self.conn.take() else { return };
        if self.exchange(scene, &mut conn) {
            self.conn = Some(conn);
            return;
        }
        // Over: the next request needs a new connection.
        if self.left > 0 || scene.calm {
            self.wake(scene, Span::millis(5));
        }
    }

    /// Writes and reads what can be; false when the connection is over.
    fn exchange(&mut self, scene: &mut Scene<'_>, conn: &mut Conn) -> bool {
        let mut bytes = [0; 4_096];
        loop {
            // What arrived before a reset is read.
            let flushed = match scene.net.is_reset(conn.end) {
                true => Flushed::Pending,
                false => conn.sender.flush(scene.net, conn.end),
            };
            note_sent(scene, conn);
            if flushed == Flushed::Gone {
                return self.over(scene, conn, Ended::Reset);
            }
            if conn.deaf {
                return true;
            }
            match scene.net.read(conn.end, &mut bytes) {
                Read::Bytes(count) => {
                    conn.seen += count as u64;
                    if conn.leave_after.is_some_and(|after| conn.seen > after) {
                        scene.net.faults.observed(Kind::ClientLeaves);
                        return self.walk_away(scene, conn);
                    }
                    if let Err(bad) = self.on_bytes(scene, conn, &bytes[..count]) {
                        let actor = self.actor;
                        let broken = scene.net.wounds.has(conn.end.link, Kind::ProtocolBroken);
                        if broken {
                            // It had agreed on frames, and frames it gets.
                            scene.net.close(conn.end, Close::Abort);
                            return self.over(scene, conn, Ended::Cut);
                        }
                        scene.net.verdict.add(Oracle::H1, scene.net.now, || {
                            format!("client {actor} was sent what is no HTTP: {bad}")
                        });
                        scene.net.close(conn.end, Close::Abort);
                        return self.over(scene, conn, Ended::Cut);
                    }
                    let answered = conn.open.is_empty() || (conn.ending && conn.status == 0);
                    if conn.last && answered && conn.tunnel.is_none() {
                        scene.net.close(conn.end, Close::Gentle);
                        return self.over(scene, conn, Ended::Skipped);
                    }
                }
                Read::Nothing => return true,
                Read::End => {
                    scene.net.close(conn.end, Close::Gentle);
                    return self.over(scene, conn, Ended::Closed);
                }
                Read::Reset => {
                    note_taken_back(scene, conn);
                    scene.net.close(conn.end, Close::Gentle);
                    return self.over(scene, conn, Ended::Reset);
                }
            }
        }
    }

    fn walk_away(&mut self, scene: &mut Scene<'_>, conn: &mut Conn) -> bool {
        let how = if scene.net.faults.chance.one_in(2) { Close::Abort } else { Close::Gentle };
        for id in conn.open.iter().copied().chain(conn.tunnel.as_ref().map(|t| t.id)) {
            scene.ledger.end(id, scene.net.now, Ended::Left);
        }
        scene.net.close(conn.end, how);
        false
    }

    /// The connection has ended. The first open request may have had a part of its answer.
    fn over(&mut self, scene: &mut Scene<'_>, conn: &mut Conn, how: Ended) -> bool {
        let now = scene.net.now;
        if let Some(tunnel) = conn.tunnel.take() {
            let ended = if how == Ended::Closed { Ended::Answered } else { Ended::Cut };
            scene.ledger.end(tunnel.id, now, ended);
        }
        let mut ending = conn.ending;
        if conn.status != 0
            && let Some(id) = conn.open.pop_front()
        {
            // An answer that cannot be finished takes down what waits behind it.
            ending = true;
            let whole = conn.reader.reads_until_close() && how == Ended::Closed;
            if whole {
                self.end_answer(scene, conn, id);
            } else {
                scene.ledger.end(id, now, Ended::Cut);
            }
        }
        let how = if ending { Ended::Skipped } else { how };
        for id in conn.open.drain(..) {
            scene.ledger.end(id, now, how);
        }
        false
    }

    fn on_bytes(
        &mut self,
        scene: &mut Scene<'_>,
        conn: &mut Conn,
        bytes: &[u8],
    ) -> Result<(), String> {
        if conn.tunnel.is_some() {
            return on_tunnel(scene, conn, bytes);
        }
        conn.reader.feed(bytes);
        while let Some(part) = conn.reader.next_part()? {
            match part {
                Part::Head(head) => self.on_head(scene, conn, &head)?,
                Part::Data { from, len } => {
                    if conn.tunnel.is_some() {
                        let data = conn.reader.data(from, len).to_vec();
                        on_tunnel(scene, conn, &data)?;
                        continue;
                    }
                    let id = *conn.open.front().ok_or("a body without a request")?;
                    if let Some(coded) = &mut conn.coded {
                        coded.feed(conn.reader.data(from, len));
                        continue;
                    }
                    let fits = fits_pattern(id, conn.body, conn.reader.data(from, len));
                    if conn.from_server && !fits && !http::somebody_lied(scene.net) {
                        let at = conn.body;
                        scene.net.verdict.add(Oracle::H2, scene.net.now, || {
                            format!("the answer to probe {id} is wrong from byte {at}")
                        });
                    }
                    conn.body += len as u64;
                }
                Part::End(trailers) => {
                    if conn.status == 0 {
                        continue;
                    }
                    let id = conn.open.pop_front().ok_or("an end without a request")?;
                    http::on_response_trailers(scene, id, &trailers, conn.from_server);
                    self.end_answer(scene, conn, id);
                }
            }
        }
        Ok(())
    }

    fn on_head(
        &mut self,
        scene: &mut Scene<'_>,
        conn: &mut Conn,
        head: &Head,
    ) -> Result<(), String> {
        let status = head.status()?;
        let id = match conn.open.front() {
            Some(id) => *id,
            None => {
                conn.reader.body(head.response_framing("GET")?);
                return Err(format!("{} without a request", head.start));
            }
        };
        let method = scene.ledger.get(id).map_or("GET", |probe| probe.meant.method);
        conn.reader.body(head.response_framing(method)?);
        if (100..200).contains(&status) && status != 101 {
            conn.sender.gate = conn.sender.gate.filter(|_| conn.trickle.is_some());
            conn.reader.next_part()?;
            let probe = scene.ledger.get_mut(id).ok_or("an unknown probe")?;
            http::on_interim(scene.net, probe, head, status);
            return Ok(());
        }
        // Whoever answers does not wait for a body it did not ask for.
        if conn.trickle.is_none() {
            conn.sender.gate = None;
        }
        conn.status = status;
        conn.body = 0;
        conn.coded = Coded::of(head);
        conn.from_server = head.get("x-server").is_some();
        conn.ending |= head.has_token("connection", "close");
        conn.last |= conn.ending;
        let server = head.get("x-server").and_then(|text| text.parse().ok());
        let at = scene.net.now;
        if let Some(probe) = scene.ledger.get_mut(id) {
            let interim = probe.answer.as_ref().map_or(0, |answer| answer.interim);
            probe.answer = Some(Answer { at, status, server, body_bytes: 0, interim });
        }
        http::on_answer(scene, id, head);
        if status == 101 {
            self.begin_tunnel(scene, conn, id);
        }
        Ok(())
    }

    fn begin_tunnel(&mut self, scene: &mut Scene<'_>, conn: &mut Conn, id: ProbeId) {
        conn.open.pop_front();
        conn.status = 0;
        conn.last = true;
        conn.reader.next_part().expect("an upgrade has no body");
        conn.reader.raw();
        let bytes = scene.ledger.get(id).map_or(0, |probe| probe.want.bytes);
        conn.tunnel = Some(Tunnel { id, bytes, back: 0 });
        if conn.shut {
            return;
        }
        let out = conn.sender.buffer();
        pattern(id, 0, out, usize::try_from(bytes).expect("bodies are small"));
        if bytes == 0 {
            conn.sender.then(Then::Shut);
        }
    }

    fn end_answer(&mut self, scene: &mut Scene<'_>, conn: &mut Conn, id: ProbeId) {
        let now = scene.net.now;
        if let Some(coded) = conn.coded.take() {
            conn.body = http::on_coded(scene, id, &coded);
        }
        if let Some(answer) = scene.ledger.get_mut(id).and_then(|probe| probe.answer.as_mut()) {
            answer.body_bytes = conn.body;
        }
        conn.status = 0;
        conn.body = 0;
        scene.ledger.end(id, now, Ended::Answered);
    }
}

fn on_tunnel(scene: &mut Scene<'_>, conn: &mut Conn, bytes: &[u8]) -> Result<(), String> {
    let tunnel = conn.tunnel.as_mut().expect("asked before");
    if !fits_pattern(tunnel.id, tunnel.back, bytes) {
        let (id, at) = (tunnel.id, tunnel.back);
        return Err(format!("the tunnel of probe {id} is wrong from byte {at}"));
    }
    tunnel.back += bytes.len() as u64;
    if tunnel.back > tunnel.bytes {
        return Err(format!("the tunnel of probe {} gave more than it took", tunnel.id));
    }
    if tunnel.back == tunnel.bytes && conn.sender.pending() == 0 {
        conn.sender.then(Then::Shut);
        let answer = scene.ledger.get_mut(tunnel.id).and_then(|probe| probe.answer.as_mut());
        answer.expect("a tunnel has its answer").body_bytes = tunnel.back;
    }
    Ok(())
}

/// Answers that were on their way in full when a reset overtook them.
fn note_taken_back(scene: &mut Scene<'_>, conn: &mut Conn) {
    for id in &conn.open {
        let probe = scene.ledger.get_mut(*id).expect("an open probe");
        probe.sent = conn.sender.total().0.saturating_sub(probe.from);
    }
    let dropped = scene.net.take_dropped(conn.end);
    if conn.tunnel.is_some() {
        return;
    }
    let mut reader = conn.reader.clone();
    reader.feed(&dropped);
    let (mut status, mut open) = (conn.status, conn.open.iter().copied());
    let Some(mut id) = open.next() else { return };
    while let Ok(Some(part)) = reader.next_part() {
        match part {
            Part::Head(head) => {
                let method = scene.ledger.get(id).map_or("GET", |probe| probe.meant.method);
                let (Ok(code), Ok(framing)) = (head.status(), head.response_framing(method)) else {
                    return;
                };
                reader.body(framing);
                status = if (100..200).contains(&code) { 0 } else { code };
            }
            Part::Data { .. } => {}
            Part::End(_) if status == 0 => {}
            Part::End(_) => {
                let probe = scene.ledger.get_mut(id).expect("an open probe");
                probe.taken_back = Some(std::mem::take(&mut status));
                let Some(next) = open.next() else { return };
                id = next;
            }
        }
    }
}

fn note_sent(scene: &mut Scene<'_>, conn: &mut Conn) {
    let (now, written) = (scene.net.now, conn.sender.written());
    while conn.heads.front().is_some_and(|(at, _)| *at <= written) {
        let (_, id) = conn.heads.pop_front().expect("looked at");
        scene.ledger.get_mut(id).expect("opened before").head_sent = Some(now);
    }
    while conn.ends.front().is_some_and(|(at, _)| *at <= written) {
        let (_, id) = conn.ends.pop_front().expect("looked at");
        scene.ledger.get_mut(id).expect("opened before").all_sent = Some(now);
    }
}

fn write_head(
    out: &mut Vec<u8>,
    id: ProbeId,
    meant: &crate::ledger::Meant,
    last: bool,
    expect: bool,
) {
    let version = if meant.old_version { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut head = format!("{} {} {version}\r\n", meant.method, meant.target);
    head.push_str(&format!("Host: {}\r\nx-probe: {id}\r\n", meant.host));
    for (name, value) in &meant.fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match meant.body {
        BodyKind::None => {}
        BodyKind::Length => head.push_str(&format!("Content-Length: {}\r\n", meant.body_bytes)),
        BodyKind::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
    }
    if meant.trailers {
        head.push_str("Trailer: x-trailer\r\n");
    }
    if expect {
        head.push_str("Expect: 100-continue\r\n");
    }
    if meant.upgrade {
        head.push_str("Connection: Upgrade\r\nUpgrade: echo\r\n");
    } else if last && !meant.old_version {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
}

fn write_body(
    out: &mut Vec<u8>,
    id: ProbeId,
    meant: &crate::ledger::Meant,
    chance: &mut crate::entropy::Stream,
) {
    let total = usize::try_from(meant.body_bytes).expect("bodies are small");
    match meant.body {
        BodyKind::None => {}
        BodyKind::Length => pattern(id, 0, out, total),
        BodyKind::Chunked => {
            let mut at = 0;
            while at < total {
                let most = (total - at) as u64;
                let size = if most > 3_000 { most } else { chance.between(1, most) };
                let size = usize::try_from(size.max(1)).expect("bodies are small");
                let extension = if chance.one_in(5) { ";note=x" } else { "" };
                out.extend_from_slice(format!("{size:x}{extension}\r\n").as_bytes());
                pattern(id, at as u64, out, size);
                out.extend_from_slice(b"\r\n");
                at += size;
            }
            out.extend_from_slice(b"0\r\n");
            if meant.trailers {
                out.extend_from_slice(format!("x-trailer: {id}\r\n").as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// How a body of the request with this framing would look to a server.
pub fn expected_framing(kind: BodyKind, bytes: u64) -> Framing {
    match kind {
        BodyKind::None => Framing::Empty,
        BodyKind::Length => Framing::Length(bytes),
        BodyKind::Chunked => Framing::Chunked,
    }
}
