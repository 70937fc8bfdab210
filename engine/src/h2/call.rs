//! One bounded request after another on an HTTP/2 connection, as Control needs them for polls and
//! probes. What comes back goes through the collector that reads HTTP/1.1, so that both are judged
//! alike. It holds no connection.

use super::frame::{self, Code};
use super::link::{Bounds, Event, Fatal, Io, Link, Role};
use super::message::Gather;
use crate::base::id::ConnId;
use crate::base::page::{Chunk, Pool};
use crate::base::time::Time;
use crate::net::fetch::{Collector, Garbled, Reply};
use crate::net::inbox::Inbox;
use crate::net::outbox::{NoPage, Outbox};

const TRAILERS_MAX: u32 = 16 * 1024;

/// What to ask: a head as HTTP/1.1 writes it, and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub head: &'a [u8],
    pub scheme: &'a [u8],
    pub content: &'static [u8],
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unheard {
    /// The other side has not seen the request, and takes no further ones here.
    Away,
    Reset(Code),
    /// The other side does not speak HTTP/2, or not by its rules.
    Broken,
    Garbled(Garbled),
    NoPage,
}

impl From<NoPage> for Unheard {
    fn from(_: NoPage) -> Self {
        Self::NoPage
    }
}

/// A connection, and the request under way on it.
#[derive(Debug)]
pub struct Calls {
    link: Link,
    gather: Gather,
    /// The stream of the request under way.
    stream: u32,
    /// What is not sent of its content.
    content: Outbox,
    /// Its answer, of which only the end is missing.
    reply: Option<Reply>,
    /// What came behind the content.
    grpc_status: Option<u32>,
}

/// Streams belong to the connection: there is one at a time.
const NOBODY: ConnId = ConnId { slot: 0, generation: 0 };

impl Calls {
    /// A connection on which nothing was said; its first frames wait in `outbox` afterwards.
    pub fn new(
        head_bytes_max: u32,
        now: Time,
        outbox: &mut Outbox,
        pool: &Pool,
    ) -> Result<Self, NoPage> {
        let bounds = Bounds {
            streams_max: 1,
            stream_window: frame::WINDOW_INITIAL,
            window: frame::WINDOW_INITIAL,
            list_max: head_bytes_max,
            trailers_max: TRAILERS_MAX,
        };
        let link = Link::new(Role::Client, bounds, now, outbox, pool)?;
        let (gather, content) = (Gather::default(), Outbox::default());
        Ok(Self { link, gather, stream: 0, content, reply: None, grpc_status: None })
    }

    /// Whether one more request can be sent.
    pub fn takes_more(&self) -> bool {
        self.link.may_open()
    }

    pub fn ask(
        &mut self,
        call: Call<'_>,
        outbox: &mut Outbox,
        pool: &Pool,
        now: Time,
    ) -> Result<(), NoPage> {
        let (gather, inbox) = (&mut self.gather, &mut Inbox::default());
        let mut io = Io { inbox, outbox, pool, gather, now };
        let ends = call.content.is_empty();
        (self.reply, self.grpc_status) = (None, None);
        self.stream = self.link.open(&mut io, NOBODY, call.scheme, call.head, ends)?;
        self.content.clear();
        self.content.push(Chunk::Static(call.content));
        if ends { Ok(()) } else { self.send_content(outbox, pool, now) }
    }

    fn send_content(&mut self, outbox: &mut Outbox, pool: &Pool, now: Time) -> Result<(), NoPage> {
        if self.content.is_empty() {
            return Ok(());
        }
        let Self { link, gather, stream, content, .. } = self;
        let mut io = Io { inbox: &mut Inbox::default(), outbox, pool, gather, now };
        link.send(&mut io, *stream, content, Some(b""), usize::MAX).map(|_| ())
    }

    /// Reads what came. The answer once it is whole, or once its head is here if `collector` wants
    /// no more. Without a request nothing but the connection itself is looked after.
    pub fn hear(
        &mut self,
        inbox: &mut Inbox,
        mut collector: Option<&mut Collector>,
        outbox: &mut Outbox,
        pool: &Pool,
        now: Time,
    ) -> Result<Option<Reply>, Unheard> {
        loop {
            let gather = &mut self.gather;
            let mut io = Io { inbox: &mut *inbox, outbox: &mut *outbox, pool, gather, now };
            let event = match self.link.next(&mut io) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(Fatal::NoPage) => return Err(Unheard::NoPage),
                Err(Fatal::Violation(_) | Fatal::Abuse(_)) => return Err(Unheard::Broken),
            };
            let ended = match event {
                Event::Head { ended, .. } => {
                    self.take(&mut collector, None)?;
                    ended
                }
                Event::Data { data, .. } => {
                    self.take(&mut collector, Some(data.bytes()))?;
                    let length = frame::length(data.len());
                    let gather = &mut self.gather;
                    let inbox = &mut Inbox::default();
                    let mut io = Io { inbox, outbox: &mut *outbox, pool, gather, now };
                    self.link.release(&mut io, self.stream, length)?;
                    false
                }
                Event::Trailers { .. } => {
                    self.grpc_status = grpc_status(&self.gather.text);
                    true
                }
                Event::Ended { .. } => true,
                Event::Reset { code, .. } => return Err(Unheard::Reset(code)),
                Event::GoingAway { last, .. } if self.stream > last => return Err(Unheard::Away),
                Event::Granted { .. } | Event::Greeted => {
                    self.send_content(outbox, pool, now)?;
                    false
                }
                Event::GoingAway { .. } | Event::Pong | Event::Opened { .. } => false,
            };
            let Some(collector) = collector.as_deref_mut() else { continue };
            if ended || (self.reply.is_some() && !collector.wants_end()) {
                let reply = self.reply.take().map_or_else(|| collector.end(), Ok);
                let mut reply = reply.map_err(Unheard::Garbled)?;
                reply.grpc_status = reply.grpc_status.or(self.grpc_status);
                self.part(outbox, pool, now)?;
                reply.reusable = ended && self.takes_more();
                return Ok(Some(reply));
            }
        }
    }

    /// Hands on a head, or content.
    fn take(
        &mut self,
        collector: &mut Option<&mut Collector>,
        content: Option<&[u8]>,
    ) -> Result<(), Unheard> {
        let Some(collector) = collector.as_deref_mut() else { return Ok(()) };
        let fed = collector.feed(content.unwrap_or(&self.gather.text));
        if let Some(reply) = fed.map_err(Unheard::Garbled)? {
            self.reply = Some(reply);
        }
        Ok(())
    }

    /// Leaves the stream, whose answer is known.
    fn part(&mut self, outbox: &mut Outbox, pool: &Pool, now: Time) -> Result<(), NoPage> {
        let (gather, inbox) = (&mut self.gather, &mut Inbox::default());
        let mut io = Io { inbox, outbox, pool, gather, now };
        self.link.let_go(&mut io, self.stream, Code::Cancel)
    }
}

/// The status of a call, among the lines behind its content.
fn grpc_status(lines: &[u8]) -> Option<u32> {
    let value = std::str::from_utf8(lines).ok()?;
    let line = value.lines().find_map(|line| line.strip_prefix("grpc-status:"))?;
    line.trim().parse().ok()
}
