//! One connection as its transport sees it: which operations are under way, what came in, what is
//! to go out, when to lose patience. It knows nothing of HTTP, and of TLS only that bytes pass
//! through it.

use super::inbox::Inbox;
use super::outbox::{NoPage, Outbox};
use super::secure::Secure;
use crate::base::id::ConnId;
use crate::base::mutant::{Mutant, planted};
use crate::base::page::Pool;
use crate::base::time::Time;
use crate::boundary::{Batch, Close, Effect, Lent, OpKind};
use crate::tls::Trouble;

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
    /// The end of the TLS handshake.
    Handshake,
    /// A sign of life on an HTTP/2 connection.
    Ping,
}

const DUES: usize = 13;

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
        Self::Handshake,
        Self::Ping,
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
            Self::Handshake => "handshake",
            Self::Ping => "ping",
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

/// What stands between the wire and what is read and written.
#[derive(Debug)]
pub enum Cover {
    /// Nothing.
    Clear,
    /// A balancer may say first who this is; what it said so far.
    Announced(Vec<u8>),
    /// The first byte will show whether it is TLS.
    Unseen,
    Tls(Box<Secure>),
}

#[derive(Debug)]
pub struct Wire {
    pub id: ConnId,
    pub cover: Cover,
    pub link: Link,
    pub half: Half,
    /// The other side has ended its half.
    pub eof: bool,
    /// It did so without saying so under TLS: what lasts until the end is not whole.
    pub cut: bool,
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
            cover: Cover::Clear,
            link: Link::Pending,
            half: Half::Open,
            eof: false,
            cut: false,
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
        self.outbox.is_empty() && self.is_sealed_flushed() && !self.is_under_way(OpKind::Send)
    }

    fn is_sealed_flushed(&self) -> bool {
        self.secure().is_none_or(|secure| secure.sealed.is_empty())
    }

    pub fn secure(&self) -> Option<&Secure> {
        match &self.cover {
            Cover::Tls(secure) => Some(secure),
            Cover::Clear | Cover::Announced(_) | Cover::Unseen => None,
        }
    }

    /// Opens bytes that arrived under TLS, into the inbox.
    pub fn open(&mut self, lent: &Lent, pool: &Pool) -> Result<(), Trouble> {
        let Cover::Tls(secure) = &mut self.cover else { return Ok(()) };
        let pages = match lent {
            Lent::One(page) => std::slice::from_ref(page),
            Lent::Many(pages) => pages,
        };
        let opened = secure.open(pages, &mut self.inbox, pool);
        self.eof |= secure.session.is_closed_by_peer();
        opened
    }

    /// Seals what is to be written, and the notice that nothing more comes.
    pub fn seal(&mut self, pool: &Pool) -> Result<(), NoPage> {
        let Cover::Tls(secure) = &mut self.cover else { return Ok(()) };
        if self.link != Link::Open || !matches!(self.half, Half::Open | Half::Shutting) {
            return Ok(());
        }
        secure.seal(&mut self.outbox, pool)?;
        if self.half == Half::Shutting && self.outbox.is_empty() {
            secure.close(pool)?;
        }
        Ok(())
    }

    /// Bytes for the next write.
    pub fn gather(&mut self, limit: usize, out: &mut Batch) {
        self.outgoing().gather(limit, out);
    }

    /// Forgets bytes that were written.
    pub fn sent(&mut self, count: usize) {
        self.outgoing().sent(count);
    }

    /// Gives up whatever is not written.
    pub fn forget_unsent(&mut self) {
        self.outbox.clear();
        self.outgoing().clear();
    }

    /// Bytes that are not written yet.
    pub fn unsent(&self) -> usize {
        self.outbox.bytes() + self.secure().map_or(0, |secure| secure.sealed.bytes())
    }

    fn outgoing(&mut self) -> &mut Outbox {
        match &mut self.cover {
            Cover::Tls(secure) => &mut secure.sealed,
            Cover::Clear | Cover::Announced(_) | Cover::Unseen => &mut self.outbox,
        }
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
            if !planted(Mutant::SocketLeft) || conn.slot % 4 != 3 {
                self.start(OpKind::Close);
                effects.push(Effect::Close { conn, how });
            }
        }
        if !self.is_open() {
            return;
        }
        let writable = matches!(self.half, Half::Open | Half::Shutting);
        let waits = match &self.cover {
            Cover::Tls(secure) => !secure.sealed.is_empty(),
            Cover::Clear | Cover::Announced(_) | Cover::Unseen => !self.outbox.is_empty(),
        };
        if writable && waits && !self.is_under_way(OpKind::Send) {
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
            if planted(Mutant::ReadsTwice) {
                effects.push(Effect::Recv { conn });
            }
        }
    }

    pub fn check(&self) {
        self.inbox.check();
        self.outbox.check();
        if let Some(secure) = self.secure() {
            secure.sealed.check();
        }
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
