//! What a worker knows about a connection beyond its wire.

use super::session::{Session, is_preface};
use super::stream::Stream;
use crate::base::id::{ConnId, EntryId, TargetId};
use crate::base::limits::Limits;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::h1::parse::Progress;
use crate::net::wire::{Half, Wire};
use std::net::SocketAddr;
use std::rc::Rc;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) wire: Wire,
    pub(super) role: Role,
    /// Set if this is a stream of another connection.
    pub(super) stream: Option<Box<Stream>>,
}

#[derive(Debug)]
pub(super) enum Role {
    /// Waits for a client on the listener of this number.
    Accepting(EntryId),
    Client(Client),
    Upstream(Upstream),
    /// An HTTP/2 connection: its streams are clients, or connections to a server.
    Session(Box<Session>),
    /// A connection to a Redis, of this clerk.
    Clerk(Key),
}

/// A connection that a client opened.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) entry: EntryId,
    pub(super) peer: SocketAddr,
    pub(super) talk: Talk,
    /// Requests taken from this connection.
    pub(super) requests: u32,
    pub(super) opened: Time,
    pub(super) partial: Partial,
    /// The connection ends after the response under way.
    pub(super) last: bool,
    /// The client itself said so: nothing comes behind its request.
    pub(super) said_last: bool,
}

/// Where the conversation with a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Talk {
    /// A request head is awaited, perhaps half of it is here.
    Listening,
    /// A request is being served.
    Busy(Key),
    /// Nothing more is read as HTTP; what still comes is thrown away, so that the last answer is
    /// not destroyed by a reset. How many bytes more.
    Lingering { left: u32 },
    /// The last answer is on its way out.
    Leaving,
}

/// A head that did not come in one page.
#[derive(Debug, Default)]
pub(super) struct Partial {
    bytes: Option<Rc<Vec<u8>>>,
    pub(super) progress: Progress,
}

impl Partial {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_none()
    }

    /// Whether this and what comes behind it is the start of HTTP/2.
    pub(super) fn begins_h2(&self, next: &[u8]) -> bool {
        let Some(bytes) = &self.bytes else { return is_preface(next) };
        let mut first = [0; 4];
        let whole = bytes.iter().chain(next).take(first.len());
        bytes.len() < first.len()
            && first.iter_mut().zip(whole).map(|(to, from)| *to = *from).count() == 4
            && is_preface(&first)
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, |bytes| bytes.len())
    }

    /// Adds a piece; how many bytes there were before it, and all of them, which whoever reads a
    /// head from them may keep.
    pub(super) fn extend(&mut self, piece: &[u8]) -> (usize, Rc<Vec<u8>>) {
        let bytes = self.bytes.get_or_insert_default();
        let before = bytes.len();
        Rc::make_mut(bytes).extend_from_slice(piece);
        (before, Rc::clone(bytes))
    }

    /// Makes room for the next head.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) target: TargetId,
    pub(super) addr: SocketAddr,
    pub(super) usage: Usage,
    pub(super) partial: Partial,
    /// Zero is none.
    pub(super) read_timeout: Span,
    /// Zero is none.
    pub(super) write_timeout: Span,
    /// How long it may stay idle.
    pub(super) idle_timeout: Span,
    /// It becomes an HTTP/2 connection once it is there, or is a stream of one.
    pub(super) multiplexed: bool,
}

/// What a connection to a server is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Usage {
    Busy(Key),
    /// Its exchange is over, its last bytes are still on their way; then it is idle.
    Flushing,
    Idle,
    /// Of no use to anybody, while its last words are on their way.
    Parting,
    /// Being closed.
    Over,
}

impl Conn {
    pub(super) fn id(&self) -> ConnId {
        self.wire.id
    }

    /// Whether all that was to be written is on its way, a stream's end included.
    pub(super) fn is_delivered(&self) -> bool {
        let ended = matches!(self.wire.half, Half::Shut | Half::Broken);
        self.wire.is_flushed() && (self.stream.is_none() || ended)
    }

    /// Whether nothing but a head may be written before the connection is there.
    pub(super) fn awaits_session(&self) -> bool {
        self.stream.is_none() && self.upstream().is_some_and(|upstream| upstream.multiplexed)
    }

    /// Bytes that may wait here before whoever feeds it is held back.
    pub(super) fn outbox_max(&self, limits: &Limits) -> usize {
        let most = match self.stream {
            Some(_) => limits.stream_outbox_bytes.min(limits.outbox_bytes),
            None => limits.outbox_bytes,
        };
        most as usize
    }

    pub(super) fn exchange(&self) -> Option<Key> {
        match &self.role {
            Role::Client(Client { talk: Talk::Busy(key), .. })
            | Role::Upstream(Upstream { usage: Usage::Busy(key), .. }) => Some(*key),
            Role::Accepting(_)
            | Role::Client(_)
            | Role::Upstream(_)
            | Role::Session(_)
            | Role::Clerk(_) => None,
        }
    }

    pub(super) fn client(&self) -> Option<&Client> {
        match &self.role {
            Role::Client(client) => Some(client),
            Role::Accepting(_) | Role::Upstream(_) | Role::Session(_) | Role::Clerk(_) => None,
        }
    }

    pub(super) fn client_mut(&mut self) -> Option<&mut Client> {
        match &mut self.role {
            Role::Client(client) => Some(client),
            Role::Accepting(_) | Role::Upstream(_) | Role::Session(_) | Role::Clerk(_) => None,
        }
    }

    pub(super) fn upstream(&self) -> Option<&Upstream> {
        match &self.role {
            Role::Upstream(upstream) => Some(upstream),
            Role::Accepting(_) | Role::Client(_) | Role::Session(_) | Role::Clerk(_) => None,
        }
    }

    pub(super) fn upstream_mut(&mut self) -> Option<&mut Upstream> {
        match &mut self.role {
            Role::Upstream(upstream) => Some(upstream),
            Role::Accepting(_) | Role::Client(_) | Role::Session(_) | Role::Clerk(_) => None,
        }
    }
}
