//! What every driver must do alike: scenarios as data, and a toy machine to play them on. The
//! production driver plays them over real sockets, a simulated one over its own network, and both
//! must see the same outcomes in the same order. Only drivers' tests ask for this feature.

mod scenarios;
mod toy;

pub use scenarios::SCENARIOS;
pub use toy::{Script, Toy, pattern};

use crate::boundary::{Close, Fault, OpKind};

/// One play between a machine with one connection and the peer at its other end.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// A true sentence.
    pub name: &'static str,
    pub steps: &'static [Step],
}

/// A step begins when the one before it is complete.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The machine asks for an operation.
    Ask(Ask),
    /// The other side does something, and is done with it.
    Peer(Act),
    /// The next outcomes are these, in any order among themselves.
    See(&'static [Seen]),
}

/// What the machine can ask for; always for its one connection or its one listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    Accept,
    /// To an address where the peer listens.
    Connect,
    /// To an address where nobody does.
    ConnectToNobody,
    /// Into one page.
    Recv,
    /// Into as many pages of this many bytes.
    RecvPages(u32, u32),
    /// Into no page: the machine has none.
    RecvNothing,
    /// This many bytes in this many chunks.
    Send(u32, u32),
    Shut,
    Close(Close),
    StopListening,
}

/// What the other side can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Connect,
    /// Takes the connection that the machine made.
    Accept,
    Send(u32),
    /// Reads exactly this many bytes.
    Read(u32),
    /// Reads to a clean end, and nothing before it.
    ReadEnd,
    /// Reads until the connection turns out to have been reset.
    ReadReset,
    /// Half-closes.
    Shut,
    /// Closes so that the machine's side is reset.
    Reset,
}

/// An outcome, without what differs between networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    Accepted,
    Connected,
    Received(u32),
    /// Received nothing: end of stream.
    End,
    SentAll,
    SentSome,
    Shut,
    Closed,
    Failed(OpKind, Fault),
}
