//! Any bytes at both ends of an HTTP/2 connection: the same events wherever the stream is cut, the
//! books balance after each, and nothing that is answered on the way breaks them.

#![no_main]

use engine::base::id::ConnId;
use engine::base::page::{Chunk, PageSize, Pool};
use engine::base::prng::Prng;
use engine::base::time::Time;
use engine::boundary::{Batch, Lent};
use engine::h2::frame::Code;
use engine::h2::link::{Bounds, Event, Fatal, Io, Link, Role};
use engine::h2::message::Gather;
use engine::net::inbox::Inbox;
use engine::net::outbox::Outbox;
use libfuzzer_sys::fuzz_target;

const BOUNDS: Bounds = Bounds {
    streams_max: 5,
    stream_window: 65_535,
    window: 65_535,
    list_max: 2_000,
    trailers_max: 500,
};

struct Peer {
    link: Link,
    pool: Pool,
    inbox: Inbox,
    outbox: Outbox,
    gather: Gather,
    trace: Vec<String>,
    /// Answers at random; nothing if events alone are looked at.
    chance: Option<Prng>,
}

fuzz_target!(|data: &[u8]| {
    let [role, seed, stream @ ..] = data else { return };
    let role = if role % 2 == 0 { Role::Server } else { Role::Client };
    let whole = Peer::new(role, None).read(stream, |rest| rest);
    let in_bytes = Peer::new(role, None).read(stream, |_| 1);
    assert_eq!(whole, in_bytes);
    let mut cuts = Prng::new(u64::from(*seed));
    let chance = cuts.split(1);
    let cut = |rest: usize| 1 + usize::try_from(cuts.below(rest as u64)).unwrap();
    Peer::new(role, Some(chance)).read(stream, cut);
});

impl Peer {
    fn new(role: Role, chance: Option<Prng>) -> Self {
        let pool = Pool::new(64, 1_000, 1_024, 1_000);
        let mut outbox = Outbox::default();
        let link = Link::new(role, BOUNDS, Time::ZERO, &mut outbox, &pool).expect("pages");
        let inbox = Inbox::default();
        let gather = Gather::default();
        let mut peer = Self { link, pool, inbox, outbox, gather, trace: Vec::new(), chance };
        if role == Role::Client {
            peer.with(|link, io| {
                for slot in [1, 3] {
                    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
                    link.open(io, id(slot), b"http", head, slot == 1).expect("pages");
                }
            });
        }
        peer
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Link, &mut Io<'_>) -> T) -> T {
        let mut io = Io {
            inbox: &mut self.inbox,
            outbox: &mut self.outbox,
            pool: &self.pool,
            gather: &mut self.gather,
            now: Time::ZERO,
        };
        act(&mut self.link, &mut io)
    }

    fn read(mut self, mut stream: &[u8], mut cut: impl FnMut(usize) -> usize) -> Vec<String> {
        while !stream.is_empty() {
            let (piece, rest) = stream.split_at(cut(stream.len()).min(1_024));
            stream = rest;
            let mut page = self.pool.take(PageSize::Large).expect("a page");
            page.append(piece);
            self.inbox.push(Lent::One(page), &mut Vec::new());
            loop {
                let result = self.with(Link::next);
                self.link.check();
                self.drain();
                match result {
                    Ok(Some(event)) => self.on_event(event),
                    Ok(None) => break,
                    Err(fatal) => {
                        assert_ne!(fatal, Fatal::NoPage);
                        self.trace.push(format!("{fatal:?}"));
                        return self.trace;
                    }
                }
            }
        }
        self.trace
    }

    /// Everything is written at once.
    fn drain(&mut self) {
        let mut batch = Batch::new();
        self.outbox.gather(usize::MAX, &mut batch);
        let bytes = batch.iter().map(Chunk::len).sum();
        self.outbox.sent(bytes);
        assert!(self.outbox.is_empty());
    }

    fn on_event(&mut self, event: Event) {
        let text = String::from_utf8_lossy(&self.gather.text).into_owned();
        match event {
            Event::Opened { stream, ended, too_large } => {
                self.link.adopt(stream, id(stream));
                self.trace.push(format!("opened {stream} {ended} {too_large} {text}"));
                self.answer(stream);
            }
            Event::Data { owner, data } => {
                let begin = format!("data {owner:?} ");
                let content = data.bytes().escape_ascii().to_string();
                match self.trace.last_mut().filter(|last| last.starts_with(&begin)) {
                    Some(last) => last.push_str(&content),
                    None => self.trace.push(begin + &content),
                }
                self.take(owner, data.len());
            }
            Event::Head { owner, ended } => self.trace.push(format!("{owner:?} {ended} {text}")),
            Event::Trailers { owner } => self.trace.push(format!("{owner:?} {text}")),
            Event::Reset { owner, .. } => {
                self.trace.push(format!("reset {owner:?}"));
                self.with(|link, io| link.let_go(io, owner.slot, Code::Cancel)).expect("pages");
            }
            event => self.trace.push(format!("{event:?}")),
        }
        self.link.check();
        self.drain();
    }

    /// Answers a request, or turns it away, or leaves it.
    fn answer(&mut self, stream: u32) {
        let Some(chance) = &mut self.chance else { return };
        let (choice, ends) = (chance.below(4), chance.one_in(2));
        let content = usize::try_from(chance.below(3_000)).unwrap();
        self.with(|link, io| {
            let mut body = Outbox::default();
            body.push(Chunk::shared(vec![b'x'; content].into()));
            let trailers: &[u8] = if ends { b"" } else { b"A: b\r\n" };
            match choice {
                0 => link.let_go(io, stream, Code::RefusedStream),
                1 => link.respond(io, stream, b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", true),
                2 => {
                    link.respond(io, stream, b"HTTP/1.1 103 E\r\n\r\n", false).expect("pages");
                    link.send(io, stream, &mut body, Some(trailers), 2_000).map(|_| ())
                }
                _ => Ok(()),
            }
        })
        .expect("pages");
    }

    /// Takes all or half of what came.
    fn take(&mut self, owner: ConnId, bytes: usize) {
        let Some(chance) = &mut self.chance else { return };
        let bytes = if chance.one_in(2) { bytes } else { bytes / 2 };
        let bytes = u32::try_from(bytes).unwrap();
        self.with(|link, io| link.release(io, owner.slot, bytes)).expect("pages");
    }
}

fn id(stream: u32) -> ConnId {
    ConnId { slot: stream, generation: 0 }
}
