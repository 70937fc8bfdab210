//! HTTP/2 as a station speaks it: requests are told with their streams, answers go back to them.

use crate::net::Net;
use crate::wire::EndId;
use engine::base::id::ConnId;
use engine::base::page::{Chunk, PageSize, Pool};
use engine::base::time::Time;
use engine::boundary::{Fault, Lent};
use engine::h2::frame::{Code, PREFACE};
use engine::h2::link::{Bounds, Event, Io, Link, Role};
use engine::h2::message::Gather;
use engine::net::inbox::Inbox;
use engine::net::outbox::{NoPage, Outbox};

const BOUNDS: Bounds = Bounds {
    streams_max: 1_000,
    stream_window: 65_535,
    window: 1 << 20,
    list_max: 1 << 16,
    trailers_max: 1 << 14,
};

const GRPC: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n";
/// A `HealthCheckResponse` that says SERVING, in its frame.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

/// One connection of a client.
#[derive(Debug)]
pub(super) struct Streams {
    link: Link,
    pool: Pool,
    inbox: Inbox,
    outbox: Outbox,
    gather: Gather,
}

/// A request, by its stream.
pub(super) struct Asked {
    pub(super) stream: u32,
    /// By the health protocol of gRPC.
    pub(super) health: bool,
}

/// Whether these are the first bytes of HTTP/2.
pub(super) fn begins(heard: &[u8]) -> bool {
    heard.starts_with(&PREFACE[..16])
}

impl Streams {
    pub(super) fn new(now: Time) -> Self {
        let pool = Pool::new(1_024, 10_000, 17_000, 1_000);
        let mut outbox = Outbox::default();
        let link = Link::new(Role::Server, BOUNDS, now, &mut outbox, &pool).expect("a fresh pool");
        let (inbox, gather) = (Inbox::default(), Gather::default());
        Self { link, pool, inbox, outbox, gather }
    }

    fn with<T>(&mut self, now: Time, act: impl FnOnce(&mut Link, &mut Io<'_>) -> T) -> T {
        let Self { link, pool, inbox, outbox, gather } = self;
        act(link, &mut Io { inbox, outbox, pool, gather, now })
    }

    /// Takes what was heard. Nothing if the client does not keep the rules.
    pub(super) fn hear(&mut self, mut bytes: &[u8], now: Time) -> Option<Vec<Asked>> {
        while !bytes.is_empty() {
            let mut page = self.pool.take(PageSize::Large)?;
            let count = page.append(bytes);
            bytes = &bytes[count..];
            self.inbox.push(Lent::One(page), &mut Vec::new());
        }
        let mut asked = Vec::new();
        while let Some(event) = self.with(now, Link::next).ok()? {
            match event {
                Event::Opened { stream, .. } => {
                    self.link.adopt(stream, owner(stream));
                    let health =
                        self.gather.text.starts_with(b"POST /grpc.health.v1.Health/Check ");
                    asked.push(Asked { stream, health });
                }
                Event::Data { owner, data } => {
                    let count = u32::try_from(data.len()).expect("a frame is small");
                    self.with(now, |link, io| link.release(io, owner.slot, count)).ok()?;
                }
                Event::Reset { owner, .. } => self.part(owner.slot, now).ok()?,
                Event::GoingAway { .. }
                | Event::Trailers { .. }
                | Event::Ended { .. }
                | Event::Granted { .. }
                | Event::Head { .. }
                | Event::Greeted
                | Event::Pong => {}
            }
        }
        Some(asked)
    }

    /// Answers a request, whose client may have left it.
    pub(super) fn answer(
        &mut self,
        stream: u32,
        head: &[u8],
        body: &[u8],
        now: Time,
    ) -> Option<()> {
        self.send(stream, head, body, b"", now).ok()
    }

    /// Says that it serves.
    pub(super) fn serve(&mut self, stream: u32, now: Time) -> Option<()> {
        self.send(stream, GRPC, SERVING, b"grpc-status: 0\r\n", now).ok()
    }

    fn send(
        &mut self,
        stream: u32,
        head: &[u8],
        body: &[u8],
        trailers: &[u8],
        now: Time,
    ) -> Result<(), NoPage> {
        let mut content = Outbox::default();
        content.push(Chunk::shared(body.into()));
        self.with(now, |link, io| {
            link.respond(io, stream, head, false)?;
            link.send(io, stream, &mut content, Some(trailers), usize::MAX)
        })?;
        self.part(stream, now)
    }

    fn part(&mut self, stream: u32, now: Time) -> Result<(), NoPage> {
        self.with(now, |link, io| link.let_go(io, stream, Code::NoError))
    }

    /// Writes what waits. Windows of the simulated net are far larger than that.
    pub(super) fn write(&mut self, net: &mut Net, end: EndId) -> Result<(), Fault> {
        while let Some(chunk) = self.outbox.take(usize::MAX) {
            net.write(end, chunk.bytes())?;
        }
        Ok(())
    }
}

fn owner(stream: u32) -> ConnId {
    ConnId { slot: stream, generation: 0 }
}
