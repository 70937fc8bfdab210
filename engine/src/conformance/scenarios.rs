//! The scenarios.

use super::Act::{self, Read, ReadEnd, ReadReset, Reset};
use super::Ask::{
    self, Accept, Close, Connect, ConnectToNobody, Recv, RecvNothing, RecvPages, Send,
    StopListening,
};
use super::Scenario;
use super::Seen;
use super::Seen::{Accepted, Closed, Connected, End, Failed, Received, SentAll, SentSome};
use super::Step::{self, See};
use crate::boundary::Close::{Abort, Gentle};
use crate::boundary::{Fault, OpKind};

const fn ask(what: Ask) -> Step {
    Step::Ask(what)
}

const fn peer(what: Act) -> Step {
    Step::Peer(what)
}

/// More than any socket buffers.
pub(super) const FLOOD: u32 = 16 << 20;

const RECV_CANCELLED: Seen = Failed(OpKind::Recv, Fault::Cancelled);
const SEND_CANCELLED: Seen = Failed(OpKind::Send, Fault::Cancelled);

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "bytes pass both ways",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Recv),
            peer(Act::Send(5)),
            See(&[Received(5)]),
            ask(Send(7, 1)),
            See(&[SentAll]),
            peer(Read(7)),
            ask(Close(Gentle)),
            See(&[Closed]),
            peer(ReadEnd),
        ],
    },
    Scenario {
        name: "a vectored write sends its chunks in order and a vectored read fills its pages",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            peer(Act::Send(100)),
            ask(RecvPages(4, 64)),
            See(&[Received(100)]),
            ask(Send(3000, 5)),
            See(&[SentAll]),
            peer(Read(3000)),
            peer(Act::Send(1000)),
            ask(RecvPages(4, 64)),
            See(&[Received(256)]),
            ask(Close(Gentle)),
            See(&[Closed]),
        ],
    },
    Scenario {
        name: "a half-closed peer is read to its end and can still be answered",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Recv),
            peer(Act::Send(3)),
            See(&[Received(3)]),
            peer(Act::Shut),
            ask(Recv),
            See(&[End]),
            ask(Recv),
            See(&[End]),
            ask(Send(9, 2)),
            See(&[SentAll]),
            peer(Read(9)),
            ask(Close(Gentle)),
            See(&[Closed]),
            peer(ReadEnd),
        ],
    },
    Scenario {
        name: "a machine that half-closes still reads",
        steps: &[
            ask(Connect),
            peer(Act::Accept),
            See(&[Connected]),
            ask(Ask::Shut),
            See(&[Seen::Shut]),
            peer(ReadEnd),
            ask(Recv),
            peer(Act::Send(4)),
            See(&[Received(4)]),
            ask(Close(Gentle)),
            See(&[Closed]),
        ],
    },
    Scenario {
        name: "connecting to nobody is refused and leaves nothing open",
        steps: &[
            ask(ConnectToNobody),
            See(&[Failed(OpKind::Connect, Fault::Refused)]),
            ask(Close(Gentle)),
            See(&[Closed]),
        ],
    },
    Scenario {
        name: "a reset ends a waiting read",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Recv),
            peer(Reset),
            See(&[Failed(OpKind::Recv, Fault::Reset)]),
            ask(Close(Gentle)),
            See(&[Closed]),
        ],
    },
    Scenario {
        name: "a reset ends a waiting write",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Send(FLOOD, 1)),
            See(&[SentSome]),
            ask(Send(FLOOD, 1)),
            peer(Reset),
            See(&[Failed(OpKind::Send, Fault::Reset)]),
            ask(Close(Abort)),
            See(&[Closed]),
        ],
    },
    Scenario {
        name: "a write after a reset fails",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Recv),
            peer(Reset),
            See(&[Failed(OpKind::Recv, Fault::Reset)]),
            ask(Send(10, 1)),
            See(&[Failed(OpKind::Send, Fault::Reset)]),
            ask(Close(Gentle)),
            See(&[Closed]),
        ],
    },
    Scenario {
        name: "a full socket takes part of a write",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Send(FLOOD, 3)),
            See(&[SentSome]),
            ask(Close(Abort)),
            See(&[Closed]),
            peer(ReadReset),
        ],
    },
    Scenario {
        name: "a peer that never reads keeps a write waiting until the close",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Send(FLOOD, 1)),
            See(&[SentSome]),
            ask(Send(FLOOD, 4)),
            ask(Close(Gentle)),
            See(&[SEND_CANCELLED]),
            See(&[Closed]),
        ],
    },
    Scenario {
        name: "a gentle close ends a waiting read and says a clean end",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Recv),
            ask(Close(Gentle)),
            See(&[RECV_CANCELLED]),
            See(&[Closed]),
            peer(ReadEnd),
        ],
    },
    Scenario {
        name: "an abort ends both directions and resets the peer",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(RecvPages(3, 100)),
            ask(Send(FLOOD, 1)),
            See(&[SentSome]),
            ask(Send(FLOOD, 1)),
            ask(Close(Abort)),
            See(&[RECV_CANCELLED, SEND_CANCELLED]),
            See(&[Closed]),
            peer(ReadReset),
        ],
    },
    Scenario {
        name: "an abort resets a connection that was idle",
        steps: &[
            ask(Connect),
            peer(Act::Accept),
            See(&[Connected]),
            ask(Close(Abort)),
            See(&[Closed]),
            peer(ReadReset),
        ],
    },
    Scenario {
        name: "bytes written before a gentle close arrive",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(Send(12_000, 2)),
            See(&[SentAll]),
            ask(Close(Gentle)),
            See(&[Closed]),
            peer(Read(12_000)),
            peer(ReadEnd),
        ],
    },
    Scenario {
        name: "a machine without a page is told so",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(RecvNothing),
            See(&[Failed(OpKind::Recv, Fault::NoPages)]),
            peer(Act::Send(2)),
            ask(Recv),
            See(&[Received(2)]),
            ask(Close(Gentle)),
            See(&[Closed]),
        ],
    },
    Scenario {
        name: "a listener that stops cancels its waiting accept and every later one",
        steps: &[
            ask(Accept),
            ask(StopListening),
            See(&[Failed(OpKind::Accept, Fault::Cancelled)]),
            ask(Accept),
            See(&[Failed(OpKind::Accept, Fault::Cancelled)]),
        ],
    },
    Scenario {
        name: "connections outlive the listener they came from",
        steps: &[
            ask(Accept),
            peer(Act::Connect),
            See(&[Accepted]),
            ask(StopListening),
            ask(Recv),
            peer(Act::Send(6)),
            See(&[Received(6)]),
            ask(Send(6, 1)),
            See(&[SentAll]),
            peer(Read(6)),
            ask(Close(Gentle)),
            See(&[Closed]),
        ],
    },
];
