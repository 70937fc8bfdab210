//! Of the two servers that a ticket names the less busy one serves: C1 for `p2c`, at the end. How
//! busy a server was is known within bounds. It surely has a request that it got before the choice
//! and that it was asked to answer later; and no more than all whose lines say that they were
//! there at that time.

use super::strategy::pair;
use super::{Oracle, Verdict};
use crate::ledger::{Ended, Ledger, Probe, ProbeId};
use engine::base::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A request that was sent to a server of such a service.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Nothing if a cookie chose.
    pub ticket: Option<u64>,
    pub turn: u16,
    /// By the model; empty where another strategy or nobody knows.
    pub weights: Vec<u32>,
    pub started: Time,
    pub ended: Time,
    pub probe: Option<ProbeId>,
}

/// By instance and life, and by service.
type Place = (String, u64, String);

#[derive(Debug, Default)]
pub struct Loads {
    sent: BTreeMap<Place, Vec<Sent>>,
    /// Instances and lives in which a failover has sent something again: where it was before is not
    /// told.
    vague: BTreeSet<(String, u64)>,
}

impl Loads {
    pub fn note(&mut self, place: Place, sent: Sent) {
        self.sent.entry(place).or_default().push(sent);
    }

    pub fn note_replay(&mut self, instance: &str, life: u64) {
        self.vague.insert((instance.to_owned(), life));
    }

    /// Of an instance's life of which every line was read.
    pub fn judge(&self, of: (&str, u64), ledger: &Ledger, now: Time, verdict: &mut Verdict) {
        if self.vague.contains(&(of.0.to_owned(), of.1)) {
            return;
        }
        let own = self.sent.iter().filter(|((name, life, _), _)| (name.as_str(), *life) == of);
        for ((_, _, service), sent) in own {
            for at in 0..sent.len() {
                if let Some(text) = problem(sent, at, ledger) {
                    verdict.add(Oracle::C1, now, || format!("{service}: {text}"));
                }
            }
        }
    }
}

fn problem(all: &[Sent], at: usize, ledger: &Ledger) -> Option<String> {
    let sent = &all[at];
    let probe = ledger.get(sent.probe?)?;
    let two = pair(sent.ticket?, &sent.weights);
    let turn = usize::from(sent.turn);
    let other = *two.iter().find(|member| **member != turn)?;
    let arrived = only_arrival(probe)?;
    // It was chosen between these.
    let (from, to) = (sent.started, arrived);
    let rest = || all.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, sent)| sent);
    let is_at = |sent: &&Sent, member: usize| usize::from(sent.turn) == member;
    let surely = |sent: &&Sent| is_at(sent, turn) && has(sent, from, to, ledger);
    let maybe = |sent: &&Sent| is_at(sent, other) && sent.started <= to && from <= sent.ended;
    let least = rest().filter(surely).count();
    let most = rest().filter(maybe).count();
    (least > most).then(|| {
        format!("{sent:?} went where {least} were under way, not to {other} with {most} at most")
    })
}

/// When it came to the only server that it came to.
fn only_arrival(probe: &Probe) -> Option<Time> {
    match &probe.arrivals[..] {
        [only] => Some(only.at),
        _ => None,
    }
}

/// Whether a server surely had this request all the while.
fn has(sent: &Sent, from: Time, to: Time, ledger: &Ledger) -> bool {
    let Some(probe) = sent.probe.and_then(|id| ledger.get(id)) else { return false };
    let [arrival] = &probe.arrivals[..] else { return false };
    let answered = probe.end.is_some_and(|(_, ended)| ended == Ended::Answered);
    let by = probe.answer.as_ref().and_then(|answer| answer.server);
    answered
        && by == Some(arrival.server)
        && arrival.fault.is_none()
        && arrival.at <= from
        && to <= arrival.at + probe.want.delay
}
