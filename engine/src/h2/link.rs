//! One HTTP/2 connection: what it knows of itself and of the other side. `read` turns bytes into
//! events, `write` turns messages into frames.

use super::flow::{Allowance, Credit};
use super::frame::{self, Code, Setting, WINDOW_INITIAL};
use super::hpack::{Decoder, Encoder};
use super::ledger::{Cheap, Ledger};
use super::message::Gather;
use super::stream::{State, Stream, Streams};
use crate::base::id::ConnId;
use crate::base::page::{Pool, Slice};
use crate::base::time::Time;
use crate::net::inbox::Inbox;
use crate::net::outbox::{NoPage, Outbox};

/// Which end of the connection we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Client,
    Server,
}

/// What we allow the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    pub streams_max: u32,
    /// Bytes that one stream may hold here once its reader has kept up for a while. At least what
    /// every stream begins with.
    pub stream_window: u32,
    /// Bytes that all streams together may.
    pub window: u32,
    /// Bytes of one list of fields, as RFC 9113 §6.5.2 counts them.
    pub list_max: u32,
    pub trailers_max: u32,
}

/// What the other side said in SETTINGS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Theirs {
    pub streams_max: u32,
    pub stream_window: u32,
    pub frame_max: u32,
    /// Streams may carry other protocols (RFC 8441 §3).
    pub tunnels: bool,
}

/// Where a connection reads and writes, for one call.
#[derive(Debug)]
pub struct Io<'a> {
    pub inbox: &'a mut Inbox,
    pub outbox: &'a mut Outbox,
    pub pool: &'a Pool,
    pub gather: &'a mut Gather,
    pub now: Time,
}

/// What the bytes came to.
#[derive(Debug)]
pub enum Event {
    /// The other side opened a stream; the head is in the `Gather`. It is to be adopted or let go.
    Opened {
        stream: u32,
        ended: bool,
        too_large: bool,
    },
    /// A head for a stream of ours, interim or final; it is in the `Gather`.
    Head {
        owner: ConnId,
        ended: bool,
    },
    Data {
        owner: ConnId,
        data: Slice,
    },
    /// The last fields; they are in the `Gather`.
    Trailers {
        owner: ConnId,
    },
    /// The other side has said all it had to say.
    Ended {
        owner: ConnId,
    },
    /// The stream is no more, whoever ended it.
    Reset {
        owner: ConnId,
        code: Code,
    },
    /// More may be sent on one stream, or on all.
    Granted {
        owner: Option<ConnId>,
    },
    /// Streams above this number were not and will not be served.
    GoingAway {
        last: u32,
        code: Code,
    },
    /// The first SETTINGS of a server came: all that it allows is known, and may be used.
    Greeted,
    /// Our PING came back.
    Pong,
}

/// The connection cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fatal {
    /// The other side was told why.
    Violation(Code),
    /// It was told to calm down.
    Abuse(Cheap),
    /// There was no page to write to.
    NoPage,
}

impl From<NoPage> for Fatal {
    fn from(_: NoPage) -> Self {
        Self::NoPage
    }
}

/// What is being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    /// So many bytes of the client's preface have come.
    Preface(usize),
    Frame,
    Data(DataFrame),
}

/// A DATA frame on its way in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DataFrame {
    pub(super) stream: u32,
    /// Content still to come.
    pub(super) content: u32,
    /// Padding behind it.
    pub(super) padding: u32,
    /// The first byte says how much padding there is.
    pub(super) padded: bool,
    pub(super) ends: bool,
    /// Nobody wants it.
    pub(super) dropped: bool,
}

/// A block of fields that goes on in CONTINUATION.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) ends: bool,
    pub(super) frames: usize,
    pub(super) broken: bool,
}

#[derive(Debug)]
pub struct Link {
    pub(super) role: Role,
    pub(super) bounds: Bounds,
    pub(super) theirs: Theirs,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) streams: Streams,
    pub(super) credit: Credit,
    pub(super) allowance: Allowance,
    pub(super) reading: Reading,
    /// A frame that lies in more than one page.
    pub(super) partial: Vec<u8>,
    pub(super) block: Vec<u8>,
    pub(super) block_of: Option<Block>,
    /// The other side's SETTINGS have come.
    pub(super) greeted: bool,
    /// The highest number of the other side's streams.
    pub(super) last_theirs: u32,
    pub(super) next_ours: u32,
    /// We said that we serve no more streams.
    pub(super) going_away: bool,
    /// The other side said so.
    pub(super) leaving: bool,
    pub(super) ledger: Ledger,
}

impl Link {
    /// A connection on which nothing was said. The first frames wait in `outbox` afterwards.
    pub fn new(
        role: Role,
        bounds: Bounds,
        now: Time,
        outbox: &mut Outbox,
        pool: &Pool,
    ) -> Result<Self, NoPage> {
        let window = bounds.window.max(WINDOW_INITIAL);
        let stream_window = bounds.stream_window.max(WINDOW_INITIAL);
        let bounds = Bounds { window, stream_window, ..bounds };
        let link = Self {
            role,
            bounds,
            theirs: Theirs {
                // RFC 9113 §6.5.2 has no limit before it is said; one that is far off would only
                // be refused.
                streams_max: 100,
                stream_window: WINDOW_INITIAL,
                frame_max: frame::PAYLOAD_MAX,
                tunnels: false,
            },
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            streams: Streams::default(),
            credit: Credit::new(WINDOW_INITIAL),
            allowance: Allowance::new(window),
            reading: if role == Role::Server { Reading::Preface(0) } else { Reading::Frame },
            partial: Vec::new(),
            block: Vec::new(),
            block_of: None,
            greeted: false,
            last_theirs: 0,
            next_ours: 1,
            going_away: false,
            leaving: false,
            ledger: Ledger::new(now),
        };
        link.greet(outbox, pool)?;
        Ok(link)
    }

    fn greet(&self, outbox: &mut Outbox, pool: &Pool) -> Result<(), NoPage> {
        if self.role == Role::Client {
            outbox.write(frame::PREFACE, pool)?;
        }
        let own: &[Setting] = match self.role {
            Role::Client => &[Setting::EnablePush(0)],
            Role::Server => &[
                Setting::MaxConcurrentStreams(self.bounds.streams_max),
                Setting::EnableConnectProtocol(1),
            ],
        };
        let shared = [Setting::MaxHeaderListSize(self.bounds.list_max)];
        let settings = own.iter().chain(&shared);
        let length = 6 * frame::length(own.len() + shared.len());
        let head = frame::Head { length, kind: frame::Kind::Settings, flags: 0, stream: 0 };
        outbox.write(&head.bytes(), pool)?;
        for setting in settings {
            outbox.write(&setting.bytes(), pool)?;
        }
        match self.bounds.window - WINDOW_INITIAL {
            0 => Ok(()),
            more => outbox.write(&frame::window_update(0, more), pool),
        }
    }

    /// So much of the preface was read elsewhere.
    pub fn skip_preface(&mut self, bytes: usize) {
        debug_assert_eq!(self.reading, Reading::Preface(0), "nothing was read here");
        self.reading = Reading::Preface(bytes);
    }

    /// Streams of ours that the other side allows.
    pub fn streams_allowed(&self) -> u32 {
        self.theirs.streams_max
    }

    /// What is known of that before the other side has said it.
    pub fn expect_streams(&mut self, streams_max: u32) {
        debug_assert!(!self.greeted, "what was said counts more than what was expected");
        self.theirs.streams_max = self.theirs.streams_max.min(streams_max);
    }

    /// Gives a stream that the other side opened to whoever serves it.
    pub fn adopt(&mut self, id: u32, owner: ConnId) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.owner = Some(owner);
        }
    }

    /// Whether one more stream may be opened here.
    pub fn may_open(&self) -> bool {
        !self.leaving
            && !self.going_away
            && self.next_ours < frame::WINDOW_MAX
            && self.streams.active() < self.theirs.streams_max.min(self.bounds.streams_max)
    }

    /// The other side's first SETTINGS have come.
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Whether the server opens tunnels of other protocols on streams.
    pub fn takes_tunnels(&self) -> bool {
        self.theirs.tunnels
    }

    /// Streams that somebody owns.
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    pub fn is_going_away(&self) -> bool {
        self.going_away
    }

    /// The other side takes no further streams.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Whoever owns streams above this number.
    pub fn owners_above(&self, last: u32) -> impl Iterator<Item = ConnId> {
        self.streams.iter().filter(move |stream| stream.id > last).filter_map(|it| it.owner)
    }

    pub(super) fn add(&mut self, id: u32, owner: Option<ConnId>, state: State, left: Option<u64>) {
        self.streams.push(Stream {
            id,
            owner,
            state,
            credit: Credit::new(self.theirs.stream_window),
            allowance: Allowance::growing(WINDOW_INITIAL, self.bounds.stream_window),
            left,
            headed: false,
            bare: false,
            tunnel: false,
        });
    }

    /// Whether a number can still become a stream.
    pub(super) fn is_unused(&self, id: u32) -> bool {
        let theirs = id % 2 == u32::from(self.role == Role::Server);
        if theirs { id > self.last_theirs && !self.going_away } else { id >= self.next_ours }
    }

    pub fn check(&self) {
        self.streams.check();
        let held: u32 = self.streams.iter().map(|stream| stream.allowance.held()).sum();
        assert!(held <= self.allowance.held(), "streams hold what the connection holds");
    }
}
