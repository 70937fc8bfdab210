//! What the oracles may know about a run: documents and when each could be in force, who is a
//! mirror, and when somebody stopped an instance.

use crate::fault::Kind as FaultKind;
use crate::ledger::{Meant, Probe};
use crate::model::{self, Fate, Routed};
use crate::oracle::http::Excused;
use crate::plan::{Document, Kind};
use engine::base::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub struct Book {
    /// Names of the parent's entry points, in the order of their numbers.
    pub entries: Vec<String>,
    pub defaults: Vec<String>,
    /// Every document the parent's operator has written, by version; the first is empty.
    pub documents: Vec<Document>,
    /// The oldest version that some worker of the parent still serves.
    pub oldest: u32,
    /// The epoch of the oldest view that some worker of the parent still serves.
    pub oldest_epoch: u64,
    /// Balancers with a server that has no address, by the epoch of the parent's view.
    pub unresolved: BTreeMap<u64, BTreeSet<String>>,
    pub mirrors: BTreeSet<u16>,
    /// Who has called, as whoever stands behind a child that is met over TLS is told.
    pub caller: String,
    /// Instances were stopped from and until.
    pub stops: Vec<(Time, Time)>,
    /// Which of these instances were told to finish what they serve, and until when.
    pub drains: Vec<(usize, Time)>,
    /// When a worker of a child was last at work that had not got its configuration yet.
    pub child_begins: Option<Time>,
    /// A child of ours showed a wrong certificate from and until.
    pub deceits: Vec<(Time, Time)>,
    /// A worker turned something away for want of room.
    pub shed_at: Option<Time>,
    pub tight: bool,
    /// When a worker turned a request away for a bound that no other counter shows, and how.
    pub refusals: Vec<(Time, u16)>,
    /// A connection that was told off is not listened to for long: its answer may be lost.
    pub short_linger: bool,
    /// For how many bytes it is listened to.
    pub linger_bytes: u64,
    /// Something has happened that health checks may have noticed.
    pub unhealthy: Option<Time>,
    /// Polls and probes may fail for want of room.
    pub control_tight: bool,
    /// Bounds of workers are the usual ones: there is room to wait for the length of an answer.
    pub roomy: bool,
    /// Some answers may be compressed.
    pub compresses: bool,
    /// As many at once as are to be.
    pub may_compress: bool,
    /// Requests share connections with others.
    pub multiplexed: bool,
}

/// How long a stop is felt: clients come back, children are polled and probed again.
const STOP_LASTS: Span = Span::secs(20);

impl Book {
    /// The fate of a request under one version of the document.
    pub fn fate(&self, probe: &Probe, version: u32) -> Option<Fate> {
        let entry = &self.entries[probe.entry as usize];
        let defaults: Vec<&str> = self.defaults.iter().map(String::as_str).collect();
        let document = self.documents.get(version as usize)?;
        Some(model::fate(document, entry, &defaults, &probe.meant))
    }

    /// Fates that a request may meet, by the documents that may be in force for it.
    pub fn fates(&self, probe: &Probe) -> Vec<Fate> {
        let entry = &self.entries[probe.entry as usize];
        let defaults: Vec<&str> = self.defaults.iter().map(String::as_str).collect();
        let from = probe.oldest as usize;
        let candidates = &self.documents[from.min(self.documents.len() - 1)..];
        let mut fates: Vec<Fate> = Vec::new();
        for document in candidates {
            for fate in model::fates(document, entry, &defaults, &probe.meant) {
                if !fates.contains(&fate) {
                    fates.push(fate);
                }
            }
        }
        fates
    }

    pub fn response_edits(&self, probe: &Probe) -> Vec<Vec<(String, String)>> {
        let edits = |fate: Fate| match fate {
            Fate::Routed(routed) => Some(routed.response_edits),
            Fate::Nowhere
            | Fate::Loop
            | Fate::Broken { .. }
            | Fate::Unclean { .. }
            | Fate::TurnedAway { .. } => None,
        };
        self.fates(probe).into_iter().filter_map(edits).collect()
    }

    pub fn is_mirror(&self, server: u16) -> bool {
        self.mirrors.contains(&server)
    }

    /// Whether a service may have nobody to serve just now.
    pub fn may_lack_servers(&self, routed: &Routed) -> bool {
        self.documents.iter().any(|document| self.may_lack(document, &routed.service))
    }

    /// Whether some view that may be in force since `epoch` has a server without an address below
    /// this service: a worker learns late of a name that has been resolved.
    pub fn may_lack_addresses(&self, routed: &Routed, epoch: u64) -> bool {
        let names = self.names_below(routed);
        self.unresolved.range(epoch..).any(|(_, lacking)| !lacking.is_disjoint(&names))
    }

    /// Whether a child below this service finds that the request has come too far or in a circle.
    pub fn may_loop_below(&self, routed: &Routed, meant: &Meant) -> bool {
        let there = meant.hops().any(|hop| hop.starts_with("child-"));
        let too_far = meant.hops().count() >= model::HOPS_MAX;
        (there || too_far) && self.leads_to_children(routed)
    }

    /// Whether a request with this fate may be passed on to a child.
    pub fn asks_children(&self, fate: &Fate) -> bool {
        matches!(fate, Fate::Routed(routed) if self.leads_to_children(routed))
    }

    fn leads_to_children(&self, routed: &Routed) -> bool {
        self.names_below(routed).iter().any(|name| name.ends_with("@multicluster"))
    }

    /// Services below this one by any document, itself included.
    fn names_below(&self, routed: &Routed) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for document in &self.documents {
            let mut names = BTreeSet::new();
            model::below(document, &routed.service, &mut names);
            all.append(&mut names);
        }
        all
    }

    fn may_lack(&self, document: &Document, service: &str) -> bool {
        let mut names = BTreeSet::new();
        model::below(document, service, &mut names);
        names.iter().any(|name| match document.service(name).map(|service| &service.kind) {
            Some(Kind::Balancer { check, passive, .. }) => {
                let troubled = self.unhealthy.is_some() || self.control_tight;
                (check.is_some() && troubled) || *passive
            }
            Some(Kind::Weighted(members)) => members.iter().any(|(_, weight)| *weight == 0),
            Some(Kind::Failover { .. } | Kind::Mirroring { .. }) => false,
            None => true,
        })
    }

    pub fn attempts_max(&self) -> usize {
        4
    }

    /// Whether some instance was stopped then, or not long before.
    pub fn was_stopped(&self, started: Time, end: Time) -> bool {
        let stopped = |(from, until): &(Time, Time)| *from <= end && started <= *until + STOP_LASTS;
        self.stops.iter().any(stopped)
    }

    /// Whether only a drain was under way then, and what a server had got before it was still to be
    /// served.
    pub fn is_to_be_finished(&self, arrived: Time, end: Time) -> bool {
        let finishes = |(stop, by): &(usize, Time)| {
            let (from, _) = self.stops[*stop];
            arrived < from && from <= end && end < *by
        };
        let Some((drain, _)) = self.drains.iter().find(|drain| finishes(drain)) else {
            return false;
        };
        let meanwhile = |(stop, (from, until)): (usize, &(Time, Time))| {
            stop != *drain && *from <= end && arrived <= *until + Span::secs(1)
        };
        !self.stops.iter().enumerate().any(meanwhile)
    }

    pub fn was_deceived(&self, started: Time, end: Time) -> bool {
        self.deceits.iter().any(|(from, until)| *from <= end && started <= *until)
    }

    pub fn excuse(&self, started: Time, end: Time) -> Option<Excused> {
        if self.was_stopped(started, end) {
            return Some(Excused::Stopped);
        }
        self.excuse_calm(started, end)
    }

    pub fn excuse_calm(&self, started: Time, _end: Time) -> Option<Excused> {
        let shed = self.tight && self.shed_at.is_some_and(|at| at + Span::secs(5) >= started);
        shed.then_some(Excused::Bound)
    }

    /// Notes that something may have made a health check fail.
    pub fn note_trouble(&mut self, kind: FaultKind, now: Time) {
        let harmless =
            matches!(kind, FaultKind::ShortRead | FaultKind::ShortWrite | FaultKind::ByteByByte);
        if !harmless {
            self.unhealthy = Some(now);
        }
    }
}
