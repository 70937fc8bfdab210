//! Mirrors: C3. A mirrored arrival has a ticket that says so, and a ticket that says so has its
//! arrival, or a reason that the engine counted and the world knows of.

use super::Oracle;
use super::choice::{Choices, Record};
use super::http::struck;
use crate::actors::Scene;
use crate::gateway::Gateway;
use crate::ledger::{BodyKind, Ended, Ledger, Probe};
use crate::model::{self, Fate};
use crate::net::Net;
use crate::plan::{Document, Kind};
use engine::base::limits::Limits;
use engine::base::time::Span;
use engine::view::NodeKind;
use engine::view::stats::MirrorSkip;
use std::collections::BTreeMap;

/// Why a request that should have been mirrored did not reach the mirror.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Skipped {
    /// A tunnel is not mirrored.
    Upgrade,
    /// Its path is refused, wherever it goes.
    Unclean,
    /// Its body is longer than the service allows.
    BodyTooLarge,
    /// A bound drawn for this run keeps no body, or no further mirror.
    Bound,
    /// It did not end as a request that is complete does.
    Unfinished,
    /// Its instance was stopped, or crashed.
    Stopped,
    /// A fault struck that may have cost the mirror's connection.
    Fault(crate::fault::Kind),
    /// A connection to the mirror was spoilt.
    Wound(crate::fault::Kind),
}

/// A mirror starts when its request is answered, and may wait for a connection.
const LATE: Span = Span::secs(10);

/// What a mirroring service of a document says.
struct Wanted {
    percents: Vec<u8>,
    body: bool,
    max: Option<u64>,
}

impl Wanted {
    fn of(record: &Record, service: &str, documents: &[Document]) -> Option<Self> {
        let document = documents.get(record.version as usize)?;
        let kind = &document.service(service)?.kind;
        let Kind::Mirroring { mirrors, body, max, .. } = kind else { return None };
        let percents = mirrors.iter().map(|(_, percent)| *percent).collect();
        (record.gateway == "parent").then_some(Self { percents, body: *body, max: *max })
    }
}

/// At the end: what reached mirrors is what tickets say.
pub fn judge(choices: &Choices, scene: &mut Scene<'_>, bound: bool) {
    let mut found = Vec::new();
    for probe in &scene.ledger.probes {
        let records = choices.records.get(&probe.id);
        // Lines that a crash has taken away tell nothing.
        let told = |records: &&Vec<Record>| records.iter().any(|at| at.gateway == "parent");
        let Some(records) = records.filter(told) else { continue };
        let arrived = probe.arrivals.iter().filter(|at| scene.book.is_mirror(at.server)).count();
        let mut due: Vec<Wanted> = Vec::new();
        for record in records {
            for (service, ticket, _) in &record.choices {
                let wanted = Wanted::of(record, service, &scene.book.documents);
                let Some(wanted) = wanted else { continue };
                for percent in &wanted.percents {
                    if model::mirrored(*ticket, *percent) {
                        let Wanted { body, max, .. } = wanted;
                        due.push(Wanted { percents: vec![*percent], body, max });
                    }
                }
            }
        }
        let beyond = |wanted: &Wanted| {
            wanted.body && wanted.max.is_some_and(|max| probe.meant.body_bytes > max)
        };
        if arrived > 0 && !due.is_empty() && due.iter().all(beyond) {
            found.push((probe.id, arrived, 0));
            continue;
        }
        // An attempt that met a dead connection is repeated if that is safe.
        let repeated = !due.is_empty() && probe.idempotent();
        if arrived > due.len() && !repeated {
            found.push((probe.id, arrived, due.len()));
        }
        if arrived >= due.len() {
            continue;
        }
        let unclean = records.iter().any(|record| is_unclean(scene, probe, record));
        let why = if unclean {
            Some(Skipped::Unclean)
        } else {
            due.iter().find_map(|wanted| reason(scene, probe, wanted, bound))
        };
        match why {
            Some(why) => scene.net.verdict.excuse(format!("Skipped::{why:?}")),
            None => found.push((probe.id, arrived, due.len())),
        }
    }
    for (id, arrived, due) in found {
        scene.net.verdict.add(Oracle::C3, scene.net.now, || {
            format!("probe {id} reached a mirror {arrived} times instead of {due}")
        });
    }
}

fn is_unclean(scene: &Scene<'_>, probe: &Probe, record: &Record) -> bool {
    matches!(scene.book.fate(probe, record.version), Some(Fate::Unclean { .. }))
}

fn reason(scene: &Scene<'_>, probe: &Probe, wanted: &Wanted, bound: bool) -> Option<Skipped> {
    let bodied = probe.meant.body != BodyKind::None;
    if probe.meant.upgrade {
        return Some(Skipped::Upgrade);
    }
    if wanted.body && wanted.max.is_some_and(|max| probe.meant.body_bytes > max) {
        return Some(Skipped::BodyTooLarge);
    }
    if bound {
        return Some(Skipped::Bound);
    }
    let finished = probe.end.is_some_and(|(_, how)| how == Ended::Answered) && !timed_out(probe);
    let early = wanted.body && bodied && !probe.arrivals.iter().any(|arrival| arrival.whole);
    // The answer came before the whole request was said, and then the client left.
    let unsaid = bodied && probe.all_sent.is_none();
    if !finished || early || unsaid || probe.want.early && bodied {
        return Some(Skipped::Unfinished);
    }
    let (end, _) = probe.end?;
    if scene.book.was_stopped(probe.started, end) {
        return Some(Skipped::Stopped);
    }
    let servers = scene.net.wounds.of_servers(probe.started, end + LATE);
    let mut wounds = servers.filter(|wound| scene.book.is_mirror(wound.actor));
    let wound = wounds.next().map(|wound| Skipped::Wound(wound.kind));
    wound.or_else(|| struck(scene, probe.started, end).map(Skipped::Fault))
}

/// Whether its instance gave up waiting for the rest of the request and said so.
fn timed_out(probe: &Probe) -> bool {
    probe.answer.as_ref().is_some_and(|answer| answer.server.is_none() && answer.status == 408)
}

/// What the requests of an instance's log give reason to skip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Account {
    /// Mirrors that tickets ask for.
    due: u64,
    /// Of these, by lines that name no request of ours.
    unnamed: u64,
    tunnels: u64,
    too_large: u64,
    /// No server has seen all of the body: what never left was not kept either.
    unserved: u64,
    /// A bound drawn for this run is below the usual one.
    few: bool,
    scarce: bool,
}

impl Account {
    fn of(gateway: &Gateway, choices: &Choices, ledger: &Ledger, limits: &Limits) -> Self {
        let usual = Limits::default();
        let mut account = Self {
            due: choices.mirrors_due(gateway),
            few: limits.mirrors_max < usual.mirrors_max,
            scarce: limits.kept_bytes < usual.kept_bytes,
            ..Self::default()
        };
        account.unnamed = account.due;
        for (id, record) in choices.records_of(gateway) {
            let Some(probe) = ledger.get(id) else { continue };
            let Some(view) = gateway.views.get(&record.epoch) else { continue };
            for (service, ticket, _) in &record.choices {
                let node = view.services.iter().find(|node| *node.name == **service);
                let Some(NodeKind::Mirroring(node)) = node.map(|node| &node.kind) else { continue };
                let due = node.mirrors.iter().filter(|at| model::mirrored(*ticket, at.percent));
                let due = due.count() as u64;
                let beyond = node.body_bytes_max.is_some_and(|max| probe.meant.body_bytes > max);
                account.unnamed -= due;
                account.tunnels += if probe.meant.upgrade { due } else { 0 };
                account.too_large += if node.mirror_body && beyond { due } else { 0 };
                let whole = probe.arrivals.iter().any(|arrival| arrival.whole);
                let bodied = probe.meant.body != BodyKind::None;
                account.unserved += if bodied && !whole { due } else { 0 };
            }
        }
        account
    }

    /// What is wrong with the counts of an engine that has begun `begun` mirrors. One that found
    /// no server, or was kept from it, was begun before that.
    fn problem(&self, begun: u64, skipped: &BTreeMap<MirrorSkip, u64>) -> Option<String> {
        let of = |why: MirrorSkip| skipped.get(&why).copied().unwrap_or(0);
        let late = [MirrorSkip::NoServer, MirrorSkip::Refused];
        let reasons = MirrorSkip::ALL.iter().filter(|why| !late.contains(why));
        let sum: u64 = begun + reasons.map(|why| of(*why)).sum::<u64>();
        if sum != self.due {
            return Some(format!("{} were due", self.due));
        }
        let few = if self.few { u64::MAX } else { 0 };
        let scarce = if self.scarce { self.due } else { 0 };
        let most = [
            (MirrorSkip::Upgrade, self.tunnels + self.unnamed),
            (MirrorSkip::BodyTooLarge, self.too_large + self.unserved + self.unnamed + scarce),
            (MirrorSkip::TooMany, few),
            (MirrorSkip::NoBudget, self.unnamed + scarce),
            (MirrorSkip::NoServer, begun),
            (MirrorSkip::Refused, 0),
        ];
        let (why, most) = most.iter().find(|(why, most)| of(*why) > *most)?;
        Some(format!("{why:?} is the reason for {most} at most"))
    }
}

/// What the account of an engine is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    pub ledger: &'a Ledger,
    pub limits: &'a Limits,
}

/// The engine's own account, at the end: every mirror that was due was begun or skipped, and no
/// reason is given more often than there was reason to.
pub fn judge_account(gateway: &Gateway, choices: &Choices, kept: &Kept<'_>, net: &mut Net) {
    let sum = |of: &dyn Fn(&engine::view::stats::WorkerStats) -> u64| -> u64 {
        gateway.stats.workers.iter().map(of).sum()
    };
    let begun = sum(&|worker| worker.mirrors.get());
    let skipped: BTreeMap<MirrorSkip, u64> = MirrorSkip::ALL
        .iter()
        .map(|why| (*why, sum(&|worker| worker.mirrors_skipped[*why as usize].get())))
        .collect();
    let account = Account::of(gateway, choices, kept.ledger, kept.limits);
    if let Some(text) = account.problem(begun, &skipped) {
        let name = &gateway.instance.name;
        net.verdict.add(Oracle::C3, net.now, || {
            format!("{name}: {text}; {begun} mirrors were begun, {skipped:?} skipped: {account:?}")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(begun: u64, skipped: &[(MirrorSkip, u64)], right: bool) {
        let account = Account { due: 9, tunnels: 2, too_large: 1, ..Account::default() };
        let problem = account.problem(begun, &skipped.iter().copied().collect());
        assert_eq!(problem.is_none(), right, "{begun}, {skipped:?}: {problem:?}");
    }

    #[test]
    fn a_false_account_of_mirrors_is_noticed() {
        check(9, &[], true);
        check(8, &[], false);
        check(9, &[(MirrorSkip::NoServer, 9)], true);
        check(9, &[(MirrorSkip::NoServer, 10)], false);
        check(6, &[(MirrorSkip::Upgrade, 2), (MirrorSkip::BodyTooLarge, 1)], true);
        check(6, &[(MirrorSkip::Upgrade, 3)], false);
        check(7, &[(MirrorSkip::BodyTooLarge, 2)], false);
        check(8, &[(MirrorSkip::TooMany, 1)], false);
        check(8, &[(MirrorSkip::NoBudget, 1)], false);
        check(4, &[(MirrorSkip::ClientGone, 5)], true);
    }
}
