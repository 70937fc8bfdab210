//! One connection as its transport sees it: which operations are under way, what came in, what is
//! to go out, when to lose patience. It knows nothing of HTTP.

use super::inbox::Inbox;
use super::outbox::Outbox;
use crate::base::id::ConnId;
use crate::base::time::Time;
use crate::boundary::{Close, Effect, OpKind};

/// Why a connection may be called by the clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// The next request's first byte.
    Idle,
    /// The whole request.
    Request,
    /// The whole response.
    Response,
    /// A connection to the server, or a turn for one.
    Dial,
    /// The server's response head.
    ResponseHead,
    /// The server's word on `Expect: 100-continue`.
    Continue,
    /// Silence while reading.
    Read,
    /// No progress while writing.
    Write,
    /// A mirrored request as a whole.
    Whole,
    /// The other side's end after ours.
    Linger,
    /// Another try for a page to read into.
    Pages,
}

const DUES: usize = 11;

impl Due {
    const ALL: [Self; DUES] = [
        Self::Idle,
        Self::Request,
        Self::Response,
        Self::Dial,
        Self::ResponseHead,
        Self::Continue,
        Self::Read,
        Self::Write,
        Self::Whole,
        Self::Linger,
        Self::Pages,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Request => "request",
            Self::Response => "response",
            Self::Dial => "dial",
            Self::ResponseHead => "response head",
            Self::Continue => "continue",
            Self::Read => "read",
            Self::Write => "write",
            Self::Whole => "whole",
            Self::Linger => "linger",
            Self::Pages => "pages",
        }
    }
}

/// Where a connection stands with its socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// An accept or a connect is under way.
    Pending,
    Open,
    /// To be closed now.
    Ending(Close),
    /// Asked to close, or never had a socket. The slot is free once no operation is under way.
    Gone,
}

/// Our half of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    Open,
    /// To be shut once everything is written.
    Shutting,
    Shut,
    /// A write failed: what else is written is lost.
    Broken,
}

#[derive(Debug)]
pub struct Wire {
    pub id: ConnId,
    pub link: Link,
    pub half: Half,
    /// The other side has ended its half.
    pub eof: bool,
    /// On the list of connections that wait to be settled.
    pub touched: bool,
    /// Something that had to be written was lost: the connection is of no more use.
    pub failed: bool,
    /// Not reading, because the other side of the exchange does not keep up.
    pub held: bool,
    /// The read under way waits with a large page.
    pub waits_large: bool,
    /// Pages for the next read.
    pub read_pages: u16,
    /// Pages of the read under way.
    pub lent_pages: u16,
    ops: u8,
    pub inbox: Inbox,
    pub outbox: Outbox,
    deadlines: [Time; DUES],
}

impl Wire {
    pub fn new(id: ConnId) -> Self {
        Self {
            id,
            link: Link::Pending,
            half: Half::Open,
            eof: false,
            touched: false,
            failed: false,
            held: false,
            waits_large: false,
            read_pages: 1,
            lent_pages: 0,
            ops: 0,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            deadlines: [Time::NEVER; DUES],
        }
    }

    pub fn is_under_way(&self, kind: OpKind) -> bool {
        self.ops & bit(kind) != 0
    }

    pub fn has_operations(&self) -> bool {
        self.ops != 0
    }

    /// Notes that an operation was asked for.
    pub fn start(&mut self, kind: OpKind) {
        debug_assert!(!self.is_under_way(kind), "one operation of a kind at a time");
        self.ops |= bit(kind);
    }

    /// Notes that an operation ended. False if it was not under way.
    pub fn finish(&mut self, kind: OpKind) -> bool {
        let was = self.is_under_way(kind);
        self.ops &= !bit(kind);
        was
    }

    /// Whether bytes can be exchanged.
    pub fn is_open(&self) -> bool {
        self.link == Link::Open
    }

    pub fn is_ending(&self) -> bool {
        matches!(self.link, Link::Ending(_) | Link::Gone)
    }

    /// Whether everything that was to be written is written.
    pub fn is_flushed(&self) -> bool {
        self.outbox.is_empty() && !self.is_under_way(OpKind::Send)
    }

    pub fn end(&mut self, how: Close) {
        if !self.is_ending() {
            self.link = Link::Ending(how);
        }
    }

    pub fn shut(&mut self) {
        if self.half == Half::Open {
            self.half = Half::Shutting;
        }
    }

    pub fn set(&mut self, due: Due, at: Time) {
        self.deadlines[due as usize] = at;
    }

    pub fn at(&self, due: Due) -> Time {
        self.deadlines[due as usize]
    }

    pub fn clear_deadlines(&mut self) {
        self.deadlines = [Time::NEVER; DUES];
    }

    /// The earliest deadline.
    pub fn deadline(&self) -> Time {
        let earliest = self.deadlines.iter().fold(u64::MAX, |min, at| min.min(at.nanos()));
        Time::from_nanos(earliest)
    }

    /// What the earliest deadline is about.
    pub fn who(&self) -> &'static str {
        let earliest = self.deadline();
        Due::ALL.iter().find(|due| self.at(**due) == earliest).map_or("nobody", |due| due.name())
    }

    /// Takes one deadline that is due.
    pub fn take_due(&mut self, now: Time) -> Option<Due> {
        let due = Due::ALL.into_iter().find(|due| self.at(*due) <= now)?;
        self.set(due, Time::NEVER);
        Some(due)
    }

    /// Asks for the operations that the state calls for; `read` says whether bytes are welcome.
    pub fn ask(&mut self, read: bool, effects: &mut Vec<Effect>) {
        let conn = self.id;
        if let Link::Ending(how) = self.link {
            self.link = Link::Gone;
            self.start(OpKind::Close);
            effects.push(Effect::Close { conn, how });
        }
        if !self.is_open() {
            return;
        }
        let writable = matches!(self.half, Half::Open | Half::Shutting);
        if writable && !self.outbox.is_empty() && !self.is_under_way(OpKind::Send) {
            self.start(OpKind::Send);
            effects.push(Effect::Send { conn });
        }
        if self.half == Half::Shutting && self.is_flushed() {
            self.half = Half::Shut;
            self.start(OpKind::Shut);
            effects.push(Effect::Shut { conn });
        }
        if read && !self.eof && !self.is_under_way(OpKind::Recv) {
            self.start(OpKind::Recv);
            effects.push(Effect::Recv { conn });
        }
    }

    pub fn check(&self) {
        self.inbox.check();
        self.outbox.check();
        assert!(
            self.is_under_way(OpKind::Recv) || !self.waits_large,
            "{:?} waits for nothing",
            self.id
        );
        let pending = self.is_under_way(OpKind::Accept) || self.is_under_way(OpKind::Connect);
        assert!(self.link != Link::Pending || pending, "{:?} is pending for nothing", self.id);
        assert!(self.link != Link::Open || !pending, "{:?} is open before its socket", self.id);
    }
}

const fn bit(kind: OpKind) -> u8 {
    1 << kind as u8
}
