//! What may go wrong: the catalogue, which of it a run has on and how often, and the counters that
//! show that each was both injected and noticed by somebody.

use crate::entropy::Stream;
use engine::base::time::Time;
use std::fmt::Write;

const LAST_BIT: u8 = 62;

macro_rules! faults {
    ($($class:ident { $($name:ident $doc:literal,)* })*) => {
        /// One way in which the world misbehaves.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Kind { $($(#[doc = $doc] $name,)*)* }

        /// Where a fault strikes.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Class { $($class,)* }

        impl Class {
            pub const ALL: &'static [Self] = &[$(Self::$class,)*];
        }

        impl Kind {
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            pub const fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)*)* }
            }

            pub const fn about(self) -> &'static str {
                match self { $($(Self::$name => $doc,)*)* }
            }

            pub const fn class(self) -> Class {
                match self { $($(Self::$name => Class::$class,)*)* }
            }

            /// The last ones share a bit: the highest is not theirs.
            pub const fn bit(self) -> u64 {
                if (self as u8) < LAST_BIT { 1 << self as u8 } else { 1 << LAST_BIT }
            }
        }
    };
}

faults! {
    Operation {
        ShortRead "a read gives less than has arrived",
        ShortWrite "a write takes less than was offered",
        LateCompletion "an operation that could end ends later, after others that began later",
        RecvFails "a read ends with an error and the connection is dead",
        SendFails "a write ends with an error and the connection is dead",
        ConnectRefused "nobody listens where somebody should",
        ConnectFails "no route, a timeout of the system or another error while connecting",
        ConnectSilent "a connection attempt is never answered",
        AcceptFails "accepting one connection fails",
        NoDescriptors "accepting or connecting finds no descriptor left",
        DataRacesClose "a read that is being cancelled still delivers bytes",
    }
    Wire {
        ByteByByte "bytes arrive one at a time",
        Clumped "bytes of several writes arrive at once",
        SlowWire "a link is far slower than the others",
        Stall "a direction of a link stops delivering for good",
        TinyWindow "a connection holds few bytes in flight",
        Hold "all links of a host stop and go on later",
    }
    Origin {
        OriginDiesBeforeHead "a server cuts the connection instead of answering",
        OriginDiesInHead "a server cuts the connection within the head of its answer",
        OriginDiesInBody "a server cuts the connection within the body of its answer",
        OriginGarbage "a server answers what is no HTTP",
        OriginMute "a server never answers",
        OriginDeaf "a server stops reading",
        OriginHugeHead "a server answers with a head beyond any bound",
        OriginStorm "a server sends more interim responses than anybody wants",
        OriginExtraBytes "a server sends bytes after its answer",
        OriginClosesIdle "a server closes after an answer without having said so",
        OriginTalksFirst "a server answers before it is asked",
        OriginDown "a server is gone for a while",
        HealthFlips "a server fails its health checks for a while",
    }
    Client {
        ClientLeaves "a client closes or resets while it is being answered",
        ClientTrickles "a client sends a few bytes at a time",
        ClientDeaf "a client does not read for a while",
        ClientHalfCloses "a client ends its side after the request",
        ClientPipelines "a client does not wait for answers before it asks again",
    }
    Abuse {
        Smuggling "a request that two parsers could frame differently",
        HeadBomb "a head beyond any bound",
        ChunkBomb "chunk sizes and extensions beyond any bound",
        Noise "bytes that are no HTTP",
        SlowHead "a head that never ends",
    }
    Child {
        PollMute "a child never answers a poll",
        PollGarbage "a child answers a poll with what is no JSON",
        PollEmpty "a child answers a poll with nothing",
        PollHuge "a child answers a poll beyond the bound",
        PollWrongStatus "a child answers a poll with another status",
        PollCut "a child cuts its answer to a poll",
        AdvertLies "a child advertises what cannot be",
        AdvertFlaps "a child changes its advertisement",
    }
    Control {
        FileTorn "a file is read while it is half written",
        FileMissing "a file is gone when it is read",
        FileUnreadable "a file cannot be read",
        NameFails "a host name does not resolve",
        NameSlow "a host name resolves late",
        NameMoves "a host name resolves to other addresses in another order",
        Reload "the operator edits the configuration",
        LateView "a view reaches one worker later than another",
        Drain "an instance drains under load",
        Crash "an instance dies and starts again",
    }
    Time {
        LateTick "a machine is called later than its deadline",
        TimeJump "the clock leaps ahead and everything is late",
        Pause "a machine is not called for a while",
    }
    Secrecy {
        RecordSpoilt "a byte of a TLS handshake is changed on its way",
        RecordBroken "a byte of a TLS record is changed on its way, once both sides have agreed",
        RecordCut "a TLS connection ends within a record",
        RecordPlain "clear text comes between the records of a TLS connection",
        ProtocolUnknown "somebody shares no application protocol with us",
        ProtocolBroken "somebody agrees on HTTP/2 and speaks HTTP/1.1",
        NoticeMissing "an actor ends a TLS connection without saying so",
        Unsigned "a child shows a certificate of an authority that nobody trusts",
        Misnamed "a child shows a certificate for another name",
        Expired "a child shows a certificate that is out of date",
        Rotated "certificates and roots are replaced: the old ones, both, the new ones",
    }
    Streams {
        SmallWindow "an actor grants so little that content comes in pieces",
        GoesAway "a server takes no further streams on a connection that is in use",
        StreamsCut "an actor resets a stream that is in use",
        RapidReset "streams are begun and cancelled at once",
        PingFlood "PING after PING",
        SettingsFlood "SETTINGS after SETTINGS",
        FieldsFlood "a block of fields that never ends",
        EmptyFlood "DATA without data",
        FieldBomb "a block of fields beyond any bound",
        WindowAbuse "windows that overflow, or grow by nothing",
    }
}

/// Which faults a run has on, and how rare each is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One in this many; zero is off.
    rarity: [u16; Kind::ALL.len()],
}

impl Plan {
    pub const QUIET: Self = Self { rarity: [0; Kind::ALL.len()] };

    /// Every fault of the mask is off, or on and drawn a rarity: a third of runs have one class on,
    /// a tenth none.
    pub fn draw(chance: &mut Stream, mask: u64) -> Self {
        let mut plan = Self::QUIET;
        let roll = chance.below(30);
        if chance.spent() || roll >= 27 {
            return plan;
        }
        let only = (roll < 10).then(|| *chance.pick(&Class::ALL[..Class::Secrecy as usize]));
        for &kind in Kind::ALL.iter().filter(|kind| kind.class() < Class::Secrecy) {
            let class_on = only.is_none_or(|only| only == kind.class());
            let on = class_on && chance.below(5) < if only.is_some() { 3 } else { 2 };
            let rarity = *chance.pick(&[0, 3, 10, 30, 100, 300]);
            if on && mask & kind.bit() != 0 {
                plan.rarity[kind as usize] = rarity;
            }
        }
        plan
    }

    /// The same for what can go wrong with TLS and HTTP/2 alone.
    pub fn draw_wires(&mut self, chance: &mut Stream, mask: u64) {
        if chance.one_in(4) {
            return;
        }
        for &kind in Kind::ALL.iter().filter(|kind| kind.class() >= Class::Secrecy) {
            let on = chance.below(5) < 2 && !chance.spent();
            let rarity = *chance.pick(&[0, 3, 10, 30, 100, 300]);
            if on && mask & kind.bit() != 0 {
                self.rarity[kind as usize] = rarity;
            }
        }
    }

    /// Every fault at one rarity.
    pub fn all(rarity: u16) -> Self {
        Self { rarity: [rarity; Kind::ALL.len()] }
    }

    /// One fault at a rarity, the others as they are.
    pub fn with(mut self, kind: Kind, rarity: u16) -> Self {
        self.rarity[kind as usize] = rarity;
        self
    }

    pub fn on(&self, kind: Kind) -> bool {
        self.rarity[kind as usize] != 0
    }
}

/// The plan of a run, its chance, and its counters.
#[derive(Debug)]
pub struct Faults {
    plan: Plan,
    /// Off in the liveness phase.
    active: bool,
    pub chance: Stream,
    pub counts: Counts,
    now: Time,
    last: [Option<Time>; Kind::ALL.len()],
}

/// How often each fault was injected and noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counts {
    injected: [u64; Kind::ALL.len()],
    observed: [u64; Kind::ALL.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Self { injected: [0; Kind::ALL.len()], observed: [0; Kind::ALL.len()] }
    }
}

impl Faults {
    pub fn new(plan: Plan, chance: Stream) -> Self {
        let last = [None; Kind::ALL.len()];
        Self { plan, active: true, chance, counts: Counts::default(), now: Time::ZERO, last }
    }

    /// The clock of the network.
    pub fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// A fault that struck before the clock leapt is felt only now.
    pub fn felt(&mut self, kind: Kind, now: Time) {
        self.now = now;
        self.last[kind as usize] = Some(now);
    }

    /// When this fault struck last.
    pub fn last(&self, kind: Kind) -> Option<Time> {
        self.last[kind as usize]
    }

    /// Whether a name was ever resolved late, otherwise or not at all.
    pub fn renamed(&self) -> bool {
        let names = [Kind::NameFails, Kind::NameSlow, Kind::NameMoves];
        names.iter().any(|kind| self.last(*kind).is_some())
    }

    /// Counts a fault that somebody decided on without asking for chance.
    pub fn injected(&mut self, kind: Kind) {
        self.counts.injected[kind as usize] += 1;
        self.last[kind as usize] = Some(self.now);
    }

    /// Whether this fault strikes now. Counts it as injected.
    #[inline]
    pub fn strikes(&mut self, kind: Kind) -> bool {
        let rarity = self.plan.rarity[kind as usize];
        if rarity == 0 || !self.active || !self.chance.one_in(u64::from(rarity)) {
            return false;
        }
        self.injected(kind);
        true
    }

    pub fn observed(&mut self, kind: Kind) {
        self.counts.observed[kind as usize] += 1;
    }

    /// Nothing goes wrong any more.
    pub fn cease(&mut self) {
        self.active = false;
    }

    pub fn active(&self) -> bool {
        self.active
    }

    pub fn on(&self, kind: Kind) -> bool {
        self.active && self.plan.on(kind)
    }
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        for at in 0..Kind::ALL.len() {
            self.injected[at] += other.injected[at];
            self.observed[at] += other.observed[at];
        }
    }

    pub fn injected(&self, kind: Kind) -> u64 {
        self.injected[kind as usize]
    }

    pub fn seen(&self, kind: Kind) -> u64 {
        self.observed[kind as usize]
    }

    /// Kinds that were never injected or never noticed.
    pub fn missing(&self) -> Vec<Kind> {
        let missing = |kind: &Kind| self.injected(*kind) == 0 || self.seen(*kind) == 0;
        Kind::ALL.iter().copied().filter(missing).collect()
    }

    pub fn table(&self) -> String {
        let mut out = String::new();
        for &kind in Kind::ALL {
            let (injected, seen) = (self.injected(kind), self.seen(kind));
            writeln!(out, "{:>18} {injected:>10} {seen:>10}  {}", kind.name(), kind.about())
                .expect("writing to a string");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, RunId};

    #[test]
    fn a_tenth_of_runs_have_no_fault_and_masks_switch_kinds_off() {
        let plan = |seed, mask| Plan::draw(&mut Entropy::new(RunId::new(seed)).topology, mask);
        let quiet = |plan: &Plan| Kind::ALL.iter().all(|kind| !plan.on(*kind));
        let quiet_runs = (0..1_000).filter(|&seed| quiet(&plan(seed, u64::MAX))).count();
        assert!((60..250).contains(&quiet_runs), "{quiet_runs}");
        assert!((0..1_000).all(|seed| quiet(&plan(seed, 0))));
    }
}
