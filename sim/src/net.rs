//! The network and the clock: one queue of events, links between ends, listeners. Machines reach
//! it through `proactor.rs`, actors through the functions here.

use crate::entropy::Stream;
use crate::fault::{Faults, Kind};
use crate::oracle::Verdict;
use crate::proactor::Port;
use crate::secure::cloak::Cloak;
use crate::secure::wardrobe::Wardrobe;
use crate::terrain::{Terrain, Way};
use crate::trace::Trace;
use crate::wire::{End, EndId, Flight, Link, Owner, Pipe, Read, Temper};
use crate::wounds::Wounds;
use engine::base::time::{Span, Time};
use engine::boundary::{Close, Fault, OpId};
use engine::tls::Clock;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Something that happens at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The front flight written by this end lands at the other.
    Arrive(EndId),
    /// An operation of a machine may end.
    Complete { host: u16, op: OpId },
    /// A machine is called.
    Step { host: u16 },
    /// An end of an actor may have something new.
    Notice { actor: u16, end: EndId },
    /// Somebody connected to a listener of an actor.
    Incoming { actor: u16, end: EndId },
    /// A timer of an actor.
    Timer { actor: u16, token: u64 },
    /// A parcel of the world: a view, a report, an answer.
    Parcel(u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    at: Time,
    seq: u64,
    event: Event,
}

impl Ord for Entry {
    /// Earliest first out of a heap that gives the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Who accepts at an address.
#[derive(Debug)]
pub struct Listener {
    pub(crate) accepts: Accepts,
    /// Connected, not accepted.
    pub(crate) backlog: VecDeque<EndId>,
}

#[derive(Debug)]
pub(crate) enum Accepts {
    Actor(u16),
    /// Pending accepts of machines that share the address.
    Machines(Vec<(u16, OpId)>),
}

/// Connections that may wait for an accept.
const BACKLOG_MAX: usize = 64;

/// Everything between the machines and actors of a world.
#[derive(Debug)]
pub struct Net {
    pub now: Time,
    seq: u64,
    queue: BinaryHeap<Entry>,
    links: Vec<Option<Link>>,
    pub(crate) listeners: BTreeMap<SocketAddr, Listener>,
    pub(crate) ports: Vec<Port>,
    held: BTreeMap<IpAddr, Time>,
    next_port: u16,
    pub terrain: Terrain,
    pub chance: Stream,
    pub faults: Faults,
    pub trace: Trace,
    pub verdict: Verdict,
    /// Bytes that arrived anywhere.
    pub bytes: u64,
    /// Ends of actors where TLS is spoken.
    pub(crate) cloaks: BTreeMap<EndId, Box<Cloak>>,
    pub wardrobe: Wardrobe,
    pub wounds: Wounds,
    /// The time of day, as actors see it.
    pub clock: Arc<Clock>,
}

impl Net {
    pub fn new(chance: Stream, faults: Faults, trace: Trace) -> Self {
        Self {
            now: Time::from_nanos(1),
            seq: 0,
            queue: BinaryHeap::new(),
            links: Vec::new(),
            listeners: BTreeMap::new(),
            ports: Vec::new(),
            held: BTreeMap::new(),
            next_port: 30_000,
            terrain: Terrain::default(),
            chance,
            faults,
            trace,
            verdict: Verdict::default(),
            bytes: 0,
            cloaks: BTreeMap::new(),
            wardrobe: Wardrobe::default(),
            wounds: Wounds::default(),
            clock: Arc::default(),
        }
    }

    pub fn at(&mut self, at: Time, event: Event) {
        self.seq += 1;
        self.queue.push(Entry { at: at.max(self.now), seq: self.seq, event });
    }

    pub fn after(&mut self, span: Span, event: Event) {
        self.at(self.now + span, event);
    }

    /// The next event, with the clock moved to it.
    pub fn next_event(&mut self) -> Option<Event> {
        let entry = self.queue.pop()?;
        self.now = self.now.max(entry.at);
        self.faults.set_now(self.now);
        Some(entry.event)
    }

    pub fn next_at(&self) -> Option<Time> {
        self.queue.peek().map(|entry| entry.at)
    }

    /// Moves the clock without anything happening in between: everything due is then late.
    pub fn jump(&mut self, span: Span) {
        self.now = self.now + span;
    }

    // Links.

    /// A new link between `from` and the listener at `to`, or why not.
    pub fn connect(&mut self, from: IpAddr, owner: Owner, to: SocketAddr) -> Result<EndId, Fault> {
        let listener = self.listeners.get(&to).ok_or(Fault::Refused)?;
        if listener.backlog.len() >= BACKLOG_MAX {
            return Err(Fault::TimedOut);
        }
        let acceptor = match listener.accepts {
            Accepts::Actor(actor) => Owner::Actor(actor),
            Accepts::Machines(_) => Owner::Nobody,
        };
        self.next_port = self.next_port.checked_add(1).unwrap_or(30_000);
        let link = index(self.links.len());
        let end = |owner, addr| End { owner, addr, broken: None, noticed: false };
        let (window, tempers) = (self.draw_window(), [self.draw_temper(), self.draw_temper()]);
        let given = self.terrain.latency(from, to.ip());
        let pipe = |net: &mut Self, temper| {
            let latency = given.unwrap_or_else(|| net.draw_latency(temper));
            Pipe::new(window, latency, temper)
        };
        let pipes = [pipe(self, tempers[0]), pipe(self, tempers[1])];
        let ends = [end(owner, SocketAddr::new(from, self.next_port)), end(acceptor, to)];
        self.links.push(Some(Link { ends, pipes }));
        let near = EndId { link, side: 0 };
        match acceptor {
            Owner::Actor(actor) => {
                self.at(self.now, Event::Incoming { actor, end: near.peer() });
            }
            Owner::Nobody | Owner::Machine { .. } | Owner::Gone => {
                let listener = self.listeners.get_mut(&to).expect("looked up above");
                listener.backlog.push_back(near.peer());
                self.offer(to);
            }
        }
        Ok(near)
    }

    fn draw_window(&mut self) -> usize {
        if self.faults.strikes(Kind::TinyWindow) {
            return *self.faults.chance.pick(&[1, 7, 64, 500]);
        }
        *self.chance.pick(&[256 * 1024, 64 * 1024, 16 * 1024])
    }

    fn draw_temper(&mut self) -> Temper {
        if self.faults.strikes(Kind::ByteByByte) {
            Temper::ByteByByte
        } else if self.faults.strikes(Kind::Clumped) {
            Temper::Clumped
        } else if self.faults.strikes(Kind::SlowWire) {
            Temper::Slow
        } else {
            Temper::Even
        }
    }

    fn draw_latency(&mut self, temper: Temper) -> Span {
        match temper {
            Temper::Slow => Span::millis(self.faults.chance.between(20, 400)),
            Temper::Even | Temper::ByteByByte | Temper::Clumped => {
                Span::micros(20 + self.chance.below(2_000))
            }
        }
    }

    pub(crate) fn link(&mut self, end: EndId) -> Option<&mut Link> {
        self.links.get_mut(end.link as usize)?.as_mut()
    }

    pub fn addr(&mut self, end: EndId) -> Option<SocketAddr> {
        Some(self.link(end)?.end(end.side).addr)
    }

    pub(crate) fn own(&mut self, end: EndId, owner: Owner) {
        if let Some(link) = self.link(end) {
            link.end(end.side).owner = owner;
        }
    }

    // Writing.

    /// Room for bytes written at `end`; nothing if they cannot be written at all.
    pub fn room(&mut self, end: EndId) -> Result<usize, Fault> {
        let Some(link) = self.link(end) else { return Err(Fault::Reset) };
        if let Some(fault) = link.end(end.side).broken {
            return Err(fault);
        }
        if link.incoming(end.side).reset {
            return Err(Fault::Reset);
        }
        Ok(link.outgoing(end.side).room())
    }

    /// Writes what there is room for; returns how much.
    pub fn write(&mut self, end: EndId, bytes: &[u8]) -> Result<usize, Fault> {
        let sealed = self.with_cloak(end, |net, end, cloak| net.write_sealed(end, cloak, bytes));
        sealed.unwrap_or_else(|| self.write_link(end, bytes))
    }

    pub(crate) fn write_link(&mut self, end: EndId, bytes: &[u8]) -> Result<usize, Fault> {
        let count = self.room(end)?.min(bytes.len());
        if count == 0 {
            return Ok(0);
        }
        let stalls = self.faults.strikes(Kind::Stall) && self.faults.chance.one_in(4);
        let link = self.link(end).expect("there is room");
        let pipe = link.outgoing(end.side);
        debug_assert!(!pipe.shut, "nobody writes after the end");
        pipe.stalled |= stalls;
        pipe.data.extend(&bytes[..count]);
        let temper = pipe.temper;
        let mut left = index(count);
        if temper == Temper::ByteByByte {
            for _ in 0..left.min(48) {
                self.launch(end, Flight::Bytes(1));
                left -= 1;
            }
        }
        if left > 0 {
            self.launch(end, Flight::Bytes(left));
        }
        Ok(count)
    }

    fn launch(&mut self, end: EndId, flight: Flight) {
        let now = self.now;
        let jitter = Span::micros(self.chance.below(200));
        let link = self.links[end.link as usize].as_ref().expect("an open link");
        let addrs = [link.ends[0].addr.ip(), link.ends[1].addr.ip()];
        let held = self.held_until(addrs).max(self.terrain.cut_until(addrs[0], addrs[1]));
        let lost = self.terrain.way(addrs[0], addrs[1]) == Way::Lost;
        let link = self.link(end).expect("an open link");
        let pipe = link.outgoing(end.side);
        pipe.flights.push_back(flight);
        pipe.stalled |= lost;
        if pipe.stalled {
            return;
        }
        let mut at = (now + pipe.latency + jitter).max(held);
        if pipe.temper == Temper::Clumped {
            let clump = Span::millis(20).nanos();
            at = Time::from_nanos(at.nanos().div_ceil(clump) * clump);
        }
        pipe.last_arrival = pipe.last_arrival.max(at);
        let at = pipe.last_arrival;
        self.at(at, Event::Arrive(end));
    }

    fn held_until(&mut self, addrs: [IpAddr; 2]) -> Time {
        if self.faults.on(Kind::Hold) && self.faults.strikes(Kind::Hold) {
            let span = Span::millis(self.faults.chance.between(50, 8_000));
            self.held.insert(addrs[1], self.now + span);
        }
        if self.held.is_empty() {
            return Time::ZERO;
        }
        let until = |addr| self.held.get(&addr).copied().unwrap_or(Time::ZERO);
        let until = until(addrs[0]).max(until(addrs[1]));
        if until > self.now {
            self.faults.observed(Kind::Hold);
        }
        until
    }

    /// No more will be written at `end`.
    pub fn shut(&mut self, end: EndId) {
        if self.with_cloak(end, Self::shut_cloak).is_none() {
            self.shut_link(end);
        }
    }

    pub(crate) fn shut_link(&mut self, end: EndId) {
        let Some(link) = self.link(end) else { return };
        if !std::mem::replace(&mut link.outgoing(end.side).shut, true) {
            self.launch(end, Flight::Fin);
        }
    }

    /// Gives an end back.
    pub fn close(&mut self, end: EndId, how: Close) {
        if how == Close::Abort {
            self.cloaks.remove(&end);
        }
        if self.with_cloak(end, Self::close_cloak).is_none() {
            self.close_link(end, how);
        }
    }

    /// Unread bytes make it a reset, as they do in a real system.
    pub(crate) fn close_link(&mut self, end: EndId, how: Close) {
        let Some(link) = self.link(end) else { return };
        if link.end(end.side).owner == Owner::Gone {
            return;
        }
        let unread = link.incoming(end.side).ready > 0;
        if link.incoming(end.side).stalled {
            self.faults.observed(Kind::Stall);
        }
        let link = self.link(end).expect("looked up above");
        let owner = std::mem::replace(&mut link.end(end.side).owner, Owner::Gone);
        if let Owner::Machine { .. } = owner {
            self.heal(end);
        }
        if how == Close::Abort || unread {
            self.reset(end);
        } else {
            self.shut(end);
        }
        self.free_if_done(end);
    }

    /// Whoever holds this end wounds its connection.
    pub fn wound(&mut self, end: EndId, kind: Kind) {
        if let Some(Owner::Actor(actor)) = self.link(end).map(|link| link.end(end.side).owner) {
            self.wounds.add(end.link, actor, kind, self.now);
        }
    }

    /// A machine gives its end up: whatever wounded the connection is felt by then.
    fn heal(&mut self, end: EndId) {
        for kind in self.wounds.end(end.link, self.now) {
            if matches!(
                kind,
                Kind::RecordBroken | Kind::RecordCut | Kind::RecordPlain | Kind::ProtocolBroken
            ) {
                self.faults.observed(kind);
            }
        }
    }

    /// This end dies without being given back: the other sees a reset.
    pub(crate) fn break_off(&mut self, end: EndId) {
        if self.link(end).is_some() {
            self.reset(end);
        }
    }

    /// Every connection into a zone or out of it dies: both of its ends learn that now.
    pub(crate) fn sever(&mut self, zone: usize) {
        for number in 0..self.links.len() {
            let Some(link) = &self.links[number] else { continue };
            let [near, far] = [0, 1].map(|side: usize| link.ends[side].addr.ip());
            if !self.terrain.crosses(zone, near, far) {
                continue;
            }
            for side in 0..2 {
                let end = EndId { link: index(number), side };
                let Some(link) = self.link(end) else { continue };
                link.incoming(side).reset = true;
                self.readable(end);
                self.writable(end);
            }
        }
    }

    fn reset(&mut self, end: EndId) {
        let lose = self.chance.one_in(2);
        let link = self.link(end).expect("a reset end has its link");
        let pipe = link.outgoing(end.side);
        pipe.lost |= lose;
        pipe.shut = true;
        self.launch(end, Flight::Reset);
    }

    fn free_if_done(&mut self, end: EndId) {
        let slot = &mut self.links[end.link as usize];
        let gone = |link: &Link| link.ends.iter().all(|end| end.owner == Owner::Gone);
        if slot.as_ref().is_some_and(gone) {
            *slot = None;
        }
    }

    // Arriving.

    /// The front flight from `end` lands.
    pub fn arrive(&mut self, end: EndId) {
        let Some(link) = self.link(end) else { return };
        let pipe = link.outgoing(end.side);
        let temper = pipe.temper;
        let tiny = pipe.window < 1_000;
        let flight = pipe.land();
        let peer = end.peer();
        let owner = link.end(peer.side).owner;
        if let Some(Flight::Bytes(count)) = flight {
            self.bytes += u64::from(count);
            self.notice_temper(temper, tiny);
            if owner == Owner::Gone {
                // The reader has closed: its system answers with a reset.
                let link = self.link(end).expect("looked up above");
                if !link.outgoing(peer.side).reset {
                    self.reset(peer);
                }
                return;
            }
        }
        self.readable(peer);
        if flight == Some(Flight::Reset) {
            self.writable(peer);
        }
    }

    fn notice_temper(&mut self, temper: Temper, tiny: bool) {
        match temper {
            Temper::Even => {}
            Temper::ByteByByte => self.faults.observed(Kind::ByteByByte),
            Temper::Clumped => self.faults.observed(Kind::Clumped),
            Temper::Slow => self.faults.observed(Kind::SlowWire),
        }
        if tiny {
            self.faults.observed(Kind::TinyWindow);
        }
    }

    fn readable(&mut self, end: EndId) {
        let Some(link) = self.link(end) else { return };
        match link.end(end.side).owner {
            Owner::Machine { host, conn } => self.recv_ready(host, conn),
            Owner::Actor(actor) => self.notify(actor, end),
            Owner::Nobody | Owner::Gone => {}
        }
    }

    fn writable(&mut self, end: EndId) {
        let Some(link) = self.link(end) else { return };
        match link.end(end.side).owner {
            Owner::Machine { host, conn } => self.send_ready(host, conn),
            Owner::Actor(actor) => self.notify(actor, end),
            Owner::Nobody | Owner::Gone => {}
        }
    }

    fn notify(&mut self, actor: u16, end: EndId) {
        if !self.stir(end) {
            self.notify_now(actor, end);
        }
    }

    pub(crate) fn notify_now(&mut self, actor: u16, end: EndId) {
        let link = self.link(end).expect("only open ends are notified");
        if !std::mem::replace(&mut link.end(end.side).noticed, true) {
            self.at(self.now, Event::Notice { actor, end });
        }
    }

    /// An actor is about to look at its end.
    pub fn noticed(&mut self, end: EndId) {
        if let Some(link) = self.link(end) {
            link.end(end.side).noticed = false;
        }
    }

    // Reading.

    /// Reads into `out`, at most `out.len()` bytes.
    pub fn read(&mut self, end: EndId, out: &mut [u8]) -> Read {
        let opened = self.with_cloak(end, |net, end, cloak| net.read_opened(end, cloak, out));
        opened.unwrap_or_else(|| self.read_link(end, out))
    }

    pub(crate) fn read_link(&mut self, end: EndId, out: &mut [u8]) -> Read {
        let Some(link) = self.link(end) else { return Read::Reset };
        let pipe = link.incoming(end.side);
        if pipe.ready > 0 {
            let full = pipe.room() == 0;
            let count = pipe.take(out);
            if full && count > 0 {
                self.writable(end.peer());
            }
            return Read::Bytes(count);
        }
        match (pipe.reset, pipe.eof) {
            (true, _) => Read::Reset,
            (false, true) => Read::End,
            (false, false) => Read::Nothing,
        }
    }

    /// Whether a reset has arrived at this end.
    pub fn is_reset(&mut self, end: EndId) -> bool {
        self.link(end).is_some_and(|link| link.incoming(end.side).reset)
    }

    /// Whether the other side has given up its end.
    pub fn is_left(&mut self, end: EndId) -> bool {
        self.link(end).is_none_or(|link| link.end(end.peer().side).owner == Owner::Gone)
    }

    /// Takes what was written to `end` and lost on its way there.
    pub fn take_dropped(&mut self, end: EndId) -> Vec<u8> {
        let Some(link) = self.link(end) else { return Vec::new() };
        let dropped = std::mem::take(&mut link.incoming(end.side).dropped);
        let opened = self.with_cloak(end, |net, end, cloak| net.open_all(end, cloak, &dropped));
        opened.unwrap_or(dropped)
    }

    // Listening.

    pub fn listen(&mut self, addr: SocketAddr, actor: u16) {
        let accepts = Accepts::Actor(actor);
        self.listeners.insert(addr, Listener { accepts, backlog: VecDeque::new() });
    }

    pub fn listen_for_machines(&mut self, addr: SocketAddr) {
        let accepts = Accepts::Machines(Vec::new());
        self.listeners.insert(addr, Listener { accepts, backlog: VecDeque::new() });
    }

    pub fn listens(&self, addr: SocketAddr) -> bool {
        self.listeners.contains_key(&addr)
    }

    /// Cuts every link that would never move again or far too slowly, and lets go of held hosts and
    /// of paused machines.
    pub fn clear_the_air(&mut self) {
        self.held.clear();
        self.resume();
        let odd = |pipe: &Pipe| pipe.stalled || pipe.window < 1_000 || pipe.temper == Temper::Slow;
        let wounded: BTreeSet<u32> = self.wounds.open().collect();
        self.wounds.forget();
        for number in 0..self.links.len() {
            let Some(link) = &self.links[number] else { continue };
            if !link.pipes.iter().any(odd) && !wounded.contains(&index(number)) {
                continue;
            }
            for side in 0..2 {
                let end = EndId { link: index(number), side };
                let Some(link) = self.link(end) else { continue };
                let (owner, pipe) = (link.end(side).owner, link.incoming(side));
                pipe.reset = true;
                pipe.data.truncate(pipe.ready);
                pipe.flights.clear();
                if owner != Owner::Gone {
                    self.readable(end);
                    self.writable(end);
                }
            }
        }
    }

    /// Nobody listens there any more; who waited is reset.
    pub fn unlisten(&mut self, addr: SocketAddr) {
        let Some(listener) = self.listeners.remove(&addr) else { return };
        for end in listener.backlog {
            self.close(end, Close::Abort);
        }
    }
}

fn index(count: usize) -> u32 {
    u32::try_from(count).expect("a run has few links and small windows")
}
