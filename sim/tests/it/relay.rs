//! The proactor, shaken with a small machine: a relay between clients and one upstream.

use engine::base::id::{ConnId, ListenerId};
use engine::base::page::{Chunk, PageSize, Pool};
use engine::base::prng::Prng;
use engine::base::slab::{Key, Slab};
use engine::base::time::{Span, Time};
use engine::boundary::{
    Batch, Close, Deadline, Effect, Fault, Input, Lent, Machine, OpKind, Outcome,
};
use sim::driver::{Errands, step};
use sim::entropy::{Entropy, RunId};
use sim::fault::{Class, Faults, Kind, Plan};
use sim::net::{Event, Net};
use sim::proactor::Port;
use sim::trace::{Text, Trace};
use sim::wire::{EndId, Owner, Read};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

const FRONT: &str = "10.0.0.1:80";
const BACK: &str = "10.0.1.1:80";

/// Copies bytes both ways; an end of stream becomes a half-close, a failure closes both.
struct Relay {
    conns: Slab<Side>,
    pool: Pool,
    effects: Vec<Effect>,
    upstream: SocketAddr,
    accept_again: Time,
    accepts_owed: u32,
}

struct Side {
    other: Option<Key>,
    open: bool,
    ops: [bool; 6],
    outbox: VecDeque<Chunk>,
    read_end: bool,
    shut: bool,
    closing: bool,
}

impl Side {
    fn new(other: Option<Key>) -> Self {
        let outbox = VecDeque::new();
        let ops = [false; 6];
        Self { other, open: false, ops, outbox, read_end: false, shut: false, closing: false }
    }
}

fn id(key: Key) -> ConnId {
    ConnId { slot: key.slot, generation: key.generation }
}

impl Relay {
    fn new(page_bytes: u32) -> Self {
        let mut relay = Self {
            conns: Slab::default(),
            pool: Pool::new(page_bytes, 1, page_bytes, 512),
            effects: Vec::new(),
            upstream: BACK.parse().expect("an address"),
            accept_again: Time::NEVER,
            accepts_owed: 0,
        };
        relay.accept();
        relay.accept();
        relay
    }

    fn ask(&mut self, key: Key, kind: OpKind, effect: Effect) {
        let side = self.conns.get_mut(key).expect("asked for a live side");
        assert!(!std::mem::replace(&mut side.ops[kind as usize], true));
        self.effects.push(effect);
    }

    fn accept(&mut self) {
        let key = self.conns.insert(Side::new(None));
        let listener = ListenerId(0);
        self.ask(key, OpKind::Accept, Effect::Accept { conn: id(key), listener });
    }

    fn accept_later(&mut self, at: Time) {
        self.accepts_owed += 1;
        self.accept_again = at;
    }

    fn close(&mut self, key: Key, how: Close) {
        let Some(side) = self.conns.get_mut(key) else { return };
        if !std::mem::replace(&mut side.closing, true) {
            side.outbox.clear();
            self.ask(key, OpKind::Close, Effect::Close { conn: id(key), how });
        }
    }

    fn fail(&mut self, key: Key) {
        let other = self.conns.get(key).and_then(|side| side.other);
        self.close(key, Close::Abort);
        if let Some(other) = other {
            self.close(other, Close::Abort);
        }
    }

    /// Asks for whatever the two sides of `key` can do now.
    fn go_on(&mut self, key: Key) {
        let other = self.conns.get(key).and_then(|side| side.other);
        for key in [Some(key), other].into_iter().flatten() {
            self.go_on_one(key);
        }
    }

    fn go_on_one(&mut self, key: Key) {
        let Some(side) = self.conns.get(key) else { return };
        if !side.open || side.closing {
            return;
        }
        let other = side.other.and_then(|key| self.conns.get(key));
        let room = other.is_some_and(|other| other.outbox.len() < 4);
        let other_done = other.is_none_or(|other| other.read_end);
        let other_shut = other.is_none_or(|other| other.shut);
        let idle = |kind: OpKind| !side.ops[kind as usize];
        let read = idle(OpKind::Recv) && !side.read_end && room;
        let send = idle(OpKind::Send) && !side.outbox.is_empty();
        let shut = idle(OpKind::Send) && idle(OpKind::Shut) && side.outbox.is_empty();
        let shut = shut && other_done && !side.shut;
        let close = side.read_end && side.shut && other_shut && idle(OpKind::Shut);
        let conn = id(key);
        if read {
            self.ask(key, OpKind::Recv, Effect::Recv { conn });
        }
        if send {
            self.ask(key, OpKind::Send, Effect::Send { conn });
        }
        if shut {
            self.conns.get_mut(key).expect("looked up above").shut = true;
            self.ask(key, OpKind::Shut, Effect::Shut { conn });
        }
        if close {
            self.close(key, Close::Gentle);
        }
    }

    fn received(&mut self, key: Key, lent: Lent) {
        let Lent::One(page) = lent else { panic!("one page was lent") };
        let side = self.conns.get_mut(key).expect("a side that reads");
        let other = side.other;
        if page.is_empty() {
            side.read_end = true;
        } else if let Some(other) = other.and_then(|other| self.conns.get_mut(other)) {
            other.outbox.push_back(Chunk::Page(page.freeze()));
        }
        self.go_on(key);
    }

    fn sent(&mut self, key: Key, mut count: usize) {
        let side = self.conns.get_mut(key).expect("a side that writes");
        while count > 0 {
            let front = side.outbox.front_mut().expect("no more is sent than was offered");
            let part = count.min(front.bytes().len());
            front.skip(part);
            count -= part;
            if front.bytes().is_empty() {
                side.outbox.pop_front();
            }
        }
        self.go_on(key);
    }

    fn accepted(&mut self, key: Key, now: Time) {
        let upstream = self.conns.insert(Side::new(Some(key)));
        let side = self.conns.get_mut(key).expect("an accepted side");
        (side.open, side.other) = (true, Some(upstream));
        let effect = Effect::Connect { conn: id(upstream), to: self.upstream };
        self.ask(upstream, OpKind::Connect, effect);
        self.accept_later(now);
    }
}

impl Machine for Relay {
    fn handle(&mut self, input: Input, now: Time) {
        let Input::Done { op, outcome } = input else { return };
        let key = Key { slot: op.conn.slot, generation: op.conn.generation };
        let side = self.conns.get_mut(key).expect("an operation belongs to a side");
        assert!(std::mem::replace(&mut side.ops[op.kind as usize], false));
        let closing = side.closing;
        match outcome {
            Outcome::Closed => {
                let other = self.conns.remove(key).expect("a closed side").other;
                if let Some(other) = other.and_then(|other| self.conns.get_mut(other)) {
                    other.other = None;
                }
                if let Some(other) = other {
                    self.go_on_one(other);
                }
            }
            Outcome::Failed(Fault::NoDescriptors) if op.kind == OpKind::Accept => {
                self.conns.remove(key);
                self.accept_later(now + Span::millis(10));
            }
            Outcome::Failed(_) if op.kind == OpKind::Accept => {
                self.conns.remove(key);
                self.accept_later(now);
            }
            Outcome::Failed(_) if !closing => self.fail(key),
            _ if closing => {}
            Outcome::Accepted { .. } => self.accepted(key, now),
            Outcome::Connected => {
                self.conns.get_mut(key).expect("looked up above").open = true;
                self.go_on(key);
            }
            Outcome::Received(lent) => self.received(key, lent),
            Outcome::Sent(count) => self.sent(key, count as usize),
            Outcome::Shut => self.go_on(key),
            Outcome::Failed(_) => {}
        }
    }

    fn tick(&mut self, now: Time) {
        if self.accept_again <= now {
            self.accept_again = Time::NEVER;
            (0..std::mem::take(&mut self.accepts_owed)).for_each(|_| self.accept());
        }
    }

    fn effects(&mut self, out: &mut Vec<Effect>) {
        out.append(&mut self.effects);
    }

    fn lend(&mut self, _conn: ConnId) -> Option<Lent> {
        self.pool.take(PageSize::Large).map(Lent::One)
    }

    fn gather(&mut self, conn: ConnId, out: &mut Batch) {
        let key = Key { slot: conn.slot, generation: conn.generation };
        out.extend(self.conns.get(key).expect("a writing side").outbox.iter().cloned());
    }

    fn deadline(&self) -> Option<Deadline> {
        Some(Deadline { at: self.accept_again, who: "accept again" })
    }

    fn check(&self) {}
}

/// A client that sends a message, half-closes, and wants it back.
#[derive(Default)]
struct Client {
    message: Vec<u8>,
    written: usize,
    back: Vec<u8>,
    ended: bool,
    reset: bool,
}

struct World {
    net: Net,
    relay: Relay,
    errands: Errands,
    clients: BTreeMap<EndId, Client>,
    echoing: BTreeMap<EndId, Vec<u8>>,
}

impl World {
    fn new(run: RunId, plan: Plan, text: Text) -> Self {
        let entropy = Entropy::new(run);
        let faults = Faults::new(plan, entropy.faults);
        let mut net = Net::new(entropy.network, faults, Trace::new(text));
        net.listen(addr(BACK), 1);
        let host = net.plug(Port::new(addr(FRONT).ip(), vec![addr(FRONT)]));
        net.wake_at(host, net.now);
        let relay = Relay::new(100);
        let (clients, echoing) = (BTreeMap::new(), BTreeMap::new());
        Self { net, relay, errands: Errands::default(), clients, echoing }
    }

    fn client(&mut self, message: Vec<u8>) {
        let from: IpAddr = [10, 9, 0, 1].into();
        let end = self.net.connect(from, Owner::Actor(0), addr(FRONT)).expect("the relay listens");
        self.clients.insert(end, Client { message, ..Client::default() });
        self.on_client(end);
    }

    fn run(&mut self, events_max: u64) {
        for _ in 0..events_max {
            let Some(event) = self.net.next_event() else { return };
            match event {
                Event::Arrive(end) => self.net.arrive(end),
                Event::Complete { host, op } => self.net.complete(host, op),
                Event::Step { host } => {
                    step(&mut self.net, host, &mut self.relay, 8, &mut self.errands);
                }
                Event::Incoming { end, .. } => {
                    self.echoing.insert(end, Vec::new());
                }
                Event::Notice { actor, end } => {
                    self.net.noticed(end);
                    if actor == 0 { self.on_client(end) } else { self.on_echo(end) }
                }
                Event::Timer { .. } | Event::Parcel(_) => unreachable!("nobody asked"),
            }
        }
    }

    fn on_client(&mut self, end: EndId) {
        let client = self.clients.get_mut(&end).expect("a client of this test");
        while client.written < client.message.len() {
            match self.net.write(end, &client.message[client.written..]) {
                Ok(0) => break,
                Ok(count) => client.written += count,
                Err(_) => {
                    client.reset = true;
                    break;
                }
            }
        }
        if client.written == client.message.len() {
            self.net.shut(end);
        }
        let mut bytes = [0; 64];
        loop {
            match self.net.read(end, &mut bytes) {
                Read::Bytes(count) => client.back.extend_from_slice(&bytes[..count]),
                Read::Nothing => return,
                Read::End => client.ended = true,
                Read::Reset => client.reset = true,
            }
            if client.ended || client.reset {
                return self.net.close(end, Close::Gentle);
            }
        }
    }

    fn on_echo(&mut self, end: EndId) {
        let Some(pending) = self.echoing.get_mut(&end) else { return };
        let mut bytes = [0; 50];
        loop {
            let Ok(taken) = self.net.write(end, pending) else {
                return self.net.close(end, Close::Gentle);
            };
            pending.drain(..taken);
            if !pending.is_empty() {
                return;
            }
            match self.net.read(end, &mut bytes) {
                Read::Bytes(count) => pending.extend_from_slice(&bytes[..count]),
                Read::Nothing => return,
                Read::End | Read::Reset => return self.net.close(end, Close::Gentle),
            }
        }
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn message(prng: &mut Prng) -> Vec<u8> {
    let len = prng.below(5_000);
    (0..len).map(|_| prng.next_u64().to_le_bytes()[0]).collect()
}

fn play(run: RunId, plan: Plan) -> World {
    let mut world = World::new(run, plan, Text::Off);
    let mut prng = Prng::new(run.seed);
    for _ in 0..5 {
        world.client(message(&mut prng));
    }
    world.run(2_000_000);
    assert!(world.net.verdict.is_clean(), "{run}: {:?}", world.net.verdict.all());
    world
}

#[test]
fn every_byte_comes_back_over_perfect_wires() {
    for seed in 0..50 {
        let world = play(RunId { size: 20_000, ..RunId::new(seed) }, Plan::QUIET);
        for client in world.clients.values() {
            assert!(client.ended && client.back == client.message, "seed {seed}");
        }
        let (operations, sockets) = world.net.port(0).outstanding();
        assert_eq!((operations, sockets), (2, 0), "seed {seed}: only the accepts are left");
        assert_eq!(world.relay.pool.held(PageSize::Large), 0, "seed {seed}");
    }
}

#[test]
fn faults_strike_and_what_comes_back_is_never_wrong() {
    let mut counts = sim::fault::Counts::default();
    for seed in 0..300 {
        let run = RunId { size: 20_000, ..RunId::new(seed) };
        let world = play(run, Plan::draw(&mut Entropy::new(run).topology, u64::MAX));
        for client in world.clients.values() {
            let whole = client.ended && client.back == client.message;
            assert!(whole || client.message.starts_with(&client.back), "seed {seed}");
            assert!(!client.ended || whole || client.reset, "seed {seed}: a cut looks complete");
        }
        counts.add(&world.net.faults.counts);
    }
    let missing = counts.missing();
    // A relay gives up no attempt to connect; the other classes belong to whole worlds.
    let here = |kind: &&Kind| {
        matches!(kind.class(), Class::Operation | Class::Wire) && **kind != Kind::ConnectSilent
    };
    let missing: Vec<_> = missing.iter().filter(here).collect();
    assert!(missing.is_empty(), "{missing:?}\n{}", counts.table());
}

#[test]
fn one_seed_gives_one_trace() {
    let hash = |seed| play(RunId::new(seed), Plan::all(20)).net.trace.hash();
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}

#[test]
fn a_machine_that_breaks_the_contract_is_caught() {
    let mut world = World::new(RunId::new(1), Plan::QUIET, Text::Off);
    let conn = ConnId { slot: 40, generation: 0 };
    world.relay.effects.push(Effect::Recv { conn });
    world.run(100);
    let caught = world.net.verdict.all();
    assert!(caught.iter().any(|violation| violation.text.contains("never opened")), "{caught:?}");
}

/// Steps per second, printed for whoever asks with `--nocapture`.
#[test]
fn many_bytes_pass() {
    let mut world = World::new(RunId::new(1), Plan::QUIET, Text::Off);
    for _ in 0..50 {
        world.client(vec![b'x'; 50_000]);
    }
    world.run(u64::MAX);
    assert!(world.clients.values().all(|client| client.ended && client.back.len() == 50_000));
    assert!(world.errands.steps > 1_000);
}
