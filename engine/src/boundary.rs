//! Everything that crosses between a machine and its driver. The contract is in the crate
//! documentation; the types are here.

use crate::base::id::{ConnId, EntryId, JobId, ListenerId, ServerId, TargetId};
use crate::base::page::{Chunk, Page};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::tls::Refusal;
use crate::view::View;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The operations a machine can ask for. At most one of each kind is outstanding per connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OpKind {
    Accept,
    Connect,
    Recv,
    Send,
    /// Half-close: no more will be written.
    Shut,
    Close,
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OpId {
    pub conn: ConnId,
    pub kind: OpKind,
}

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// An operation the machine asked for has finished. Exactly one per effect that starts one.
    Done { op: OpId, outcome: Outcome },
    /// The control machine published a newer view. Latest wins; older epochs are ignored.
    View(Arc<View>),
    /// A worker saw something that only the control machine may judge.
    Report(Report),
    /// A job that the machine asked for has finished. Exactly one per [`Effect::Job`].
    Job { job: JobId, answer: Answer },
    /// A Workload API told who we are and whom to trust (the answer of `FetchX509SVID`), or why it
    /// tells nothing any more.
    Workload(Result<Secret, String>),
    /// A worker was given a document that is to take the place of the last one.
    Offer(Offer),
    /// Watched files may have changed, or the operator asked for a reload.
    Changed,
    /// Stop accepting, finish what is in flight, give up at `by`.
    Drain { by: Time },
}

/// How an operation ended.
#[derive(Debug)]
pub enum Outcome {
    Accepted {
        peer: SocketAddr,
    },
    Connected,
    /// The pages that were lent, filled in order. No bytes at all is end of stream.
    Received(Lent),
    /// May be less than was gathered.
    Sent(u32),
    Shut,
    Closed,
    Failed(Fault),
}

/// What can go wrong with an operation, reduced to what a machine branches on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    Refused,
    Reset,
    TimedOut,
    Unreachable,
    /// The machine had no page to lend.
    NoPages,
    /// The process has no descriptor left.
    NoDescriptors,
    /// The connection was closed, or the listener stopped, while the operation was under way.
    Cancelled,
    Other(i32),
}

/// Pages on loan to a read: one as a rule, many once a body streams.
#[derive(Debug)]
pub enum Lent {
    One(Page),
    Many(Vec<Page>),
}

impl Lent {
    /// Bytes received into all pages.
    pub fn bytes(&self) -> usize {
        match self {
            Self::One(page) => page.len(),
            Self::Many(pages) => pages.iter().map(Page::len).sum(),
        }
    }
}

/// What a machine wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Accept one connection on `listener` and let it be `conn`.
    Accept {
        conn: ConnId,
        listener: ListenerId,
    },
    Connect {
        conn: ConnId,
        to: SocketAddr,
    },
    /// Permission for one read into what [`Machine::lend`] gives. [`Fault::NoPages`] if it gives
    /// nothing.
    Recv {
        conn: ConnId,
    },
    /// Bytes are waiting: one write of what [`Machine::gather`] gives.
    Send {
        conn: ConnId,
    },
    /// Half-close. Only asked for when nothing is being sent.
    Shut {
        conn: ConnId,
    },
    /// End every operation of `conn`, then release the socket.
    Close {
        conn: ConnId,
        how: Close,
    },
    /// Pending accepts of `listener` fail with [`Fault::Cancelled`]; the socket is closed.
    StopListening {
        listener: ListenerId,
    },
    /// Work for the helper thread: pull it with [`Machine::job`].
    Job {
        job: JobId,
    },
    /// A newer view is to reach every worker: pull it with [`Machine::published`].
    Publish,
    /// Deliver to the control machine.
    Report(Report),
    /// A document for the control machine: pull it with [`Machine::offered`] and deliver it.
    Offer,
    /// Log lines are ready: pull them with [`Machine::log`].
    Log,
    /// The machine has drained and wants no more calls.
    Finished,
}

/// How to release a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// Bytes already written still arrive.
    Gentle,
    /// The other side sees a reset: what it got so far is not the whole.
    Abort,
}

/// What a worker tells the control machine. Edges only; steady traffic reports nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// A request to a passively checked server failed.
    Failed { server: ServerId, at: Time },
    /// The first success after failures.
    Recovered { server: ServerId, at: Time },
    /// A Redis that requests are counted in could not be asked, or can be again.
    Ledger { target: TargetId, fault: Option<LedgerFault> },
    /// A TLS handshake came to nothing. At most one a second is told.
    Refused { whom: Whom, peer: SocketAddr, refusal: Refusal },
}

/// Why requests were not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LedgerFault {
    /// Its name has no address.
    NoAddress,
    /// The settings of TLS cannot be honoured.
    Unusable,
    Unreached,
    TimedOut,
    /// It does not know us, or we may not do this.
    Denied,
    /// It may not be written to.
    Replica,
    Cluster,
    /// It answered with another error.
    Refused,
    /// It does not speak as Redis does.
    Garbled,
    /// The connection ended.
    Lost,
}

impl LedgerFault {
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoAddress => "its name has no address",
            Self::Unusable => "its TLS settings cannot be honoured",
            Self::Unreached => "no connection to it came about",
            Self::TimedOut => "it did not answer in time",
            Self::Denied => "it refuses the user, the password or what is asked",
            Self::Replica => "it is a replica, which nobody may write to",
            Self::Cluster => "it is a node of a Redis Cluster, which is not supported",
            Self::Refused => "it answers with an error",
            Self::Garbled => "it does not speak the protocol of Redis",
            Self::Lost => "the connection to it ended",
        }
    }
}

/// The other side of a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    Client(EntryId),
    Server(TargetId),
}

/// Work that a machine cannot do itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// All addresses of a host name, in the resolver's order.
    Resolve { host: String },
    /// The contents of a file, or of every configuration file below a directory (`.yml`, `.yaml`,
    /// `.toml`), sorted by path.
    Load { path: String },
    /// The bytes of one file, which may be a private key.
    Read { path: Arc<str> },
    /// Whether a password is the one that a stored hash was made of: `$2y$` and its like (bcrypt),
    /// `$apr1$` and `$1$` (MD5), `{SHA}`.
    Verify { hash: String, password: Secret },
}

/// The end of a [`Job`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Resolved(Result<Vec<IpAddr>, String>),
    Loaded(Result<Vec<Document>, String>),
    Read(Result<Secret, String>),
    Verified(bool),
}

/// A file as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    pub path: String,
    /// The text, or why it could not be read.
    pub text: Result<String, String>,
}

/// Dynamic configuration that a client of a worker wants in effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    pub worker: u16,
    /// Of this worker's offers.
    pub serial: u64,
    pub text: String,
}

/// What the next write offers, in order.
pub type Batch = Vec<Chunk>;

/// A deadline and who wants it, for the day a loop is busy without need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    pub at: Time,
    pub who: &'static str,
}

/// What a machine holds, pages on loan to its driver included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Holdings {
    pub small_pages: u32,
    pub middle_pages: u32,
    pub large_pages: u32,
    /// Bytes of all pages in existence, free or held.
    pub page_bytes: u64,
    /// Bytes of request heads that outgrew their page.
    pub head_bytes: u64,
    /// Bytes of log lines that wait to be handed over.
    pub log_bytes: u64,
    pub clients: u32,
    pub upstreams: u32,
    pub exchanges: u32,
    /// Responses being compressed.
    pub compressors: u32,
}

/// A pure machine: inputs with their times in, effects out.
pub trait Machine {
    fn handle(&mut self, input: Input, now: Time);

    /// Fires deadlines that are due.
    fn tick(&mut self, now: Time);

    /// Appends what is to be done, in order, and forgets it.
    fn effects(&mut self, out: &mut Vec<Effect>);

    /// The pull side of [`Effect::Recv`].
    fn lend(&mut self, conn: ConnId) -> Option<Lent>;

    /// The pull side of [`Effect::Send`]: appends at most `Limits::chunks_per_write` chunks.
    fn gather(&mut self, conn: ConnId, out: &mut Batch);

    /// The pull side of [`Effect::Job`].
    fn job(&mut self, _job: JobId) -> Option<Job> {
        None
    }

    /// The pull side of [`Effect::Publish`].
    fn published(&mut self) -> Option<Arc<View>> {
        None
    }

    /// The pull side of [`Effect::Offer`]. None if it was pulled already.
    fn offered(&mut self) -> Option<Offer> {
        None
    }

    /// The pull side of [`Effect::Log`]: moves finished lines to `out`.
    fn log(&mut self, _out: &mut Vec<u8>) {}

    /// When [`Machine::tick`] wants to be called next.
    fn deadline(&self) -> Option<Deadline>;

    /// What the machine holds now. For simulation and debug builds.
    fn holdings(&self) -> Holdings {
        Holdings::default()
    }

    /// Sweeps every invariant; panics if one is broken. For simulation and debug builds.
    fn check(&self);
}
