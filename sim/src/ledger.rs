//! What every request meant, where it arrived and what came of it: written by the actors, read by
//! the oracles.

use crate::fault::Kind;
use crate::secure::wardrobe::Leg;
use engine::base::time::{Span, Time};

/// Number of a request; its body and its answer are marked with it.
pub type ProbeId = u64;

/// One request of a client.
#[derive(Clone, Debug)]
pub struct Probe {
    pub id: ProbeId,
    pub client: u16,
    /// Which entry of the world's plan it was sent to.
    pub entry: u16,
    pub meant: Meant,
    pub want: Want,
    /// The first byte was written.
    pub started: Time,
    /// The last byte of the head was written.
    pub head_sent: Option<Time>,
    pub all_sent: Option<Time>,
    pub arrivals: Vec<Arrival>,
    pub answer: Option<Answer>,
    pub end: Option<(Time, Ended)>,
    /// Sent after the faults had ceased.
    pub calm: bool,
    /// The oldest version of the document that some worker served when it was sent.
    pub oldest: u32,
    /// The epoch of the oldest view that some worker served when it was sent.
    pub oldest_epoch: u64,
    /// Deliberate rudeness of the client.
    pub rude: Option<Kind>,
    /// The status of an answer that was on its way to the client in full when a reset overtook it.
    pub taken_back: Option<u16>,
    /// Where it begins among the bytes of its connection.
    pub from: u64,
    /// Bytes that were sent from its first on, when its connection was reset.
    pub sent: u64,
    pub leg: Leg,
    /// The number of its connection.
    pub link: u32,
    /// Instead of HTTP/2 its connection, which began then, was answered in HTTP/1.1 with this.
    pub plainly: Option<(Time, u16)>,
}

/// What the client asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meant {
    pub method: &'static str,
    pub target: String,
    pub host: String,
    /// End-to-end fields, names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: BodyKind,
    pub body_bytes: u64,
    pub trailers: bool,
    pub upgrade: bool,
    pub old_version: bool,
    /// Over TLS.
    pub secure: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BodyKind {
    #[default]
    None,
    Length,
    Chunked,
}

/// What the client wants to be answered; servers obey.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    pub status: u16,
    pub bytes: u64,
    pub framing: Frame,
    /// Interim responses first.
    pub interim: u8,
    pub trailers: bool,
    pub delay: Span,
    /// Answer as soon as the head is there.
    pub early: bool,
    /// The server closes afterwards and says so.
    pub close: bool,
}

impl Want {
    /// Whether the server says of its answer that it has coded it already.
    pub const fn is_coded(&self) -> bool {
        self.status != 101 && self.bytes % 8 == 3
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    Length,
    Chunked,
    UntilClose,
}

/// A request as a server saw it.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub server: u16,
    pub at: Time,
    /// The whole body was seen.
    pub whole: bool,
    pub body_bytes: u64,
    /// What the server did wrong on purpose.
    pub fault: Option<Kind>,
    /// The answer was written to its end.
    pub answered: bool,
    pub leg: Leg,
    /// The number of the connection that it came over.
    pub link: u32,
}

/// The final response as the client saw it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub at: Time,
    pub status: u16,
    /// The server that says it answered; none when the gateway did.
    pub server: Option<u16>,
    pub body_bytes: u64,
    pub interim: u32,
}

/// How it ended for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// A complete final response.
    Answered,
    /// The connection ended within the response.
    Cut,
    /// The connection ended without a response.
    Closed,
    /// The connection was reset without a response.
    Reset,
    /// Sent behind one whose answer ended the connection: never looked at, to be sent again.
    Skipped,
    /// The client left first.
    Left,
    /// The run was over.
    Open,
}

/// All requests of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    pub probes: Vec<Probe>,
    /// Ended, not yet judged.
    pub to_judge: Vec<ProbeId>,
    /// When each fault kind struck last.
    pub health_probes: u64,
    pub polls: u64,
}

impl Ledger {
    pub fn open(&mut self, client: u16, entry: u16, meant: Meant, want: Want) -> &mut Probe {
        let id = self.probes.len() as u64 + 1;
        self.probes.push(Probe {
            id,
            client,
            entry,
            meant,
            want,
            started: Time::ZERO,
            head_sent: None,
            all_sent: None,
            arrivals: Vec::new(),
            answer: None,
            end: None,
            calm: false,
            oldest: 0,
            oldest_epoch: 0,
            rude: None,
            taken_back: None,
            from: 0,
            sent: 0,
            leg: Leg::default(),
            link: 0,
            plainly: None,
        });
        self.probes.last_mut().expect("just pushed")
    }

    pub fn get(&self, id: ProbeId) -> Option<&Probe> {
        self.probes.get(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    pub fn get_mut(&mut self, id: ProbeId) -> Option<&mut Probe> {
        self.probes.get_mut(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    pub fn end(&mut self, id: ProbeId, now: Time, ended: Ended) {
        let probe = self.get_mut(id).expect("only opened probes end");
        if probe.end.is_none() {
            probe.end = Some((now, ended));
            self.to_judge.push(id);
        }
    }
}

impl Meant {
    /// Instances that the client says the request has passed.
    pub fn hops(&self) -> impl Iterator<Item = &str> {
        let lines = self.fields.iter().filter(|(name, _)| name == crate::model::HOPS);
        lines.flat_map(|(_, list)| list.split(", "))
    }
}

impl Probe {
    pub fn idempotent(&self) -> bool {
        !matches!(self.meant.method, "POST" | "PATCH")
    }
}
