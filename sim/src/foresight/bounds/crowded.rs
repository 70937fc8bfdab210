//! Requests while a server is in trouble: in a world of the one who judges and of everybody below
//! it requests come one after another at an even rate; trouble begins right after the server was
//! asked how it does, and between, just as a request begins and just after one was answered; and
//! those that fail are counted.

use super::form::Trouble;
use super::search::Worst;
use super::toll::apart;
use super::trial::{Polls, Trial};
use super::unit::Unit;
use super::ways::{Asked, Way, offered};
use crate::foresight::crowd::{Class, Fate, Pace};
use crate::foresight::documents::Documents;
use crate::foresight::figures::{Figures, is_failure};
use crate::foresight::sample::ask_for;
use crate::foresight::stage::CLIENT_IP;
use engine::base::time::{Span, Time};
use engine::view::View;

/// The most that any instant gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suffered {
    pub failed: u64,
    /// Until nobody was sent there any more; zero if that was not waited for.
    pub moved: Worst,
    pub runs: u64,
    pub requests: u64,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quest<'a> {
    pub(super) way: &'a Way,
    pub(super) trouble: Trouble,
    pub(super) asked: Asked,
    pub(super) rate: u64,
    /// They are sent elsewhere.
    pub(super) saved: bool,
    /// Until nobody is sent there any more, by the settings.
    pub(super) moved: Option<Span>,
    /// The longest pause before a request is sent again.
    pub(super) pause: Span,
}

pub(super) struct Crowded<'a> {
    documents: Documents,
    unit: &'a Unit,
}

/// Which requests are the server's turn while all is well.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// The first of them.
    first: u64,
    /// Every so many; 1 if they do not come evenly.
    every: u64,
}

/// A request that begins so long before the trouble has been answered by then.
const ANSWERED: Span = Span::millis(3);
/// Where nothing takes time, whoever is dialled has answered by then.
const SOON: Span = Span::millis(2);
/// Moments when nobody has just been asked.
const OTHERS_MAX: usize = 4;
/// Requests of one search, more or less.
const REQUESTS_MAX: u64 = 3_000;
/// Requests of one run beyond which none is begun.
const REQUESTS_IN_RUN_MAX: u64 = 6_000;
/// Requests by which turns are known.
const SAMPLE: u64 = 24;
/// Without a bound it is looked at for so long.
const WATCHED: Span = Span::secs(5);

impl<'a> Crowded<'a> {
    pub(super) fn new(documents: &Documents, unit: &'a Unit) -> Self {
        Self { documents: unit.among(documents), unit }
    }

    /// Nothing if there is no request for these routers, if there would be too many, or if without
    /// a bound all fail.
    pub(super) fn run(&self, quest: Quest<'_>) -> Option<Suffered> {
        let share = self.share(quest)?;
        let rate = quest.rate.saturating_mul(share.every);
        let gap = apart(rate);
        let watched = quest.moved.or_else(|| quest.saved.then_some(WATCHED))?;
        let lasts = watched + gap.times(2 * share.every);
        let turns = lasts.nanos() / gap.nanos();
        if turns > REQUESTS_IN_RUN_MAX {
            return None;
        }
        let before = share.first + share.every;
        let leads = [Span::ZERO, ANSWERED];
        let leads = &leads[..if gap > ANSWERED.times(2) { 2 } else { 1 }];
        let fit = REQUESTS_MAX / ((turns + before) * leads.len() as u64);
        let instants = self.instants(gap.times(before) + ANSWERED, fit.max(2))?;
        let none = Worst::After(Span::ZERO);
        let mut worst = Suffered { failed: 0, moved: none, runs: 0, requests: 0 };
        for instant in &instants {
            for lead in leads {
                let beginning = *instant - gap.times(before) - *lead;
                let run = Run { quest, rate, beginning, strikes: *instant, lasts };
                let (failed, moved, requests) = self.suffer(&run)?;
                worst.failed = worst.failed.max(failed);
                worst.moved = worst.moved.longer(moved);
                worst.runs += 1;
                worst.requests += requests;
            }
        }
        Some(worst)
    }

    fn trial(&self) -> Option<Trial<'a>> {
        let mut trial = Trial::new(&self.documents, self.unit, Polls::Even)?;
        let near = trial.stage.net.terrain.zone(Span::ZERO);
        trial.stage.net.terrain.settle(CLIENT_IP.into(), near);
        Some(trial)
    }

    /// What a client says to come by these routers.
    fn class(&self, trial: &Trial<'_>, quest: Quest<'_>) -> Option<Class> {
        let process = &trial.stage.processes[0];
        let view = process.view.clone()?;
        let (port, bytes) = request(&view, quest)?;
        Some(Class { bytes, to: process.at(port), weight: 1 })
    }

    fn begin(&self, trial: &mut Trial<'_>, quest: Quest<'_>, rate: u64, lasts: Span) -> Option<()> {
        let class = self.class(trial, quest)?;
        let figures = Figures::new(trial.stage.net.now, lasts, 1, 0);
        let crowd = &mut trial.stage.crowd;
        (crowd.pace, crowd.rate, crowd.patience) = (Pace::Even, rate, Span::MAX);
        crowd.fates = Some(Vec::new());
        crowd.start(&mut trial.stage.net, vec![class], figures, lasts);
        Some(())
    }

    fn share(&self, quest: Quest<'_>) -> Option<Share> {
        let mut trial = self.trial()?;
        let lasts = apart(quest.rate).times(SAMPLE);
        // However long apart they are: what a turn is does not depend on it.
        let rate = quest.rate.max(100);
        let lasts = if rate > quest.rate { apart(rate).times(SAMPLE) } else { lasts };
        self.begin(&mut trial, quest, rate, lasts)?;
        trial.advance(trial.stage.net.now + lasts + Span::secs(1));
        let mut fates = trial.stage.crowd.fates.take().unwrap_or_default();
        fates.sort_by_key(|fate| fate.began);
        let mine = |fate: &Fate| fate.place.is_some_and(|at| trial.places.contains(&at));
        let turns: Vec<u64> =
            (0..).zip(&fates).filter(|(_, fate)| mine(fate)).map(|(at, _)| at).collect();
        let (first, second) = (*turns.first()?, turns.get(1).copied());
        let every = second.map_or(1, |second| second - first);
        let even = turns.windows(2).all(|pair| pair[1] - pair[0] == every);
        // What is sent again takes turns besides.
        let every = if even && !quest.saved { every } else { 1 };
        Some(Share { first: if every == 1 { 0 } else { first }, every })
    }

    /// Moments of one cycle that begins so late: right after the server has answered whoever judges
    /// it, which is when that is longest away again; and some between, as many as fit.
    fn instants(&self, late: Span, count_max: u64) -> Option<Vec<Time>> {
        let mut trial = self.trial()?;
        trial.advance(trial.stage.net.now + late);
        let timing = &self.unit.timing;
        let cycle = timing.check.map_or(Span::secs(1), |check| check.interval.max(check.timeout));
        let (from, until) = (trial.stage.net.now, trial.stage.net.now + cycle.times(2));
        let (mut answered, mut others) = (Vec::new(), Vec::new());
        trial.dialled = Time::ZERO;
        let mut last = (trial.dialled, from);
        while trial.event(until) {
            let now = trial.stage.net.now;
            if trial.dialled != last.0 && last.0 != Time::ZERO {
                answered.push(last.1);
            }
            if trial.dialled != last.0 || now.since(trial.dialled) <= SOON {
                last = (trial.dialled, now);
            } else {
                others.push(now);
            }
        }
        answered.truncate(usize::try_from(count_max).unwrap_or(usize::MAX));
        let left = usize::try_from(count_max).unwrap_or(usize::MAX) - answered.len();
        let step = others.len().div_ceil(left.clamp(1, OTHERS_MAX)).max(1);
        let others = others.into_iter().skip(step / 2).step_by(step);
        answered.extend(others.take(left.clamp(1, OTHERS_MAX)));
        answered.dedup();
        Some(answered)
    }

    /// Those that failed, how long until nobody was sent there, and how many there were.
    fn suffer(&self, run: &Run<'_>) -> Option<(u64, Worst, u64)> {
        let Run { quest, rate, beginning, strikes, lasts } = *run;
        let mut trial = self.trial()?;
        trial.advance(beginning);
        self.begin(&mut trial, quest, rate, strikes.since(beginning) + lasts)?;
        trial.advance(strikes);
        trial.strike(quest.trouble);
        trial.advance(strikes + lasts);
        let sight = trial.sights.iter().find(|sight| sight.at > strikes && !sight.serving);
        let moved = sight.map(|sight| sight.at + super::search::crossing());
        let timing = &self.unit.timing;
        let waits = timing.dial_timeout + timing.header_timeout + quest.pause + Span::secs(1);
        let end = trial.stage.net.now + waits;
        trial.advance_to(end, |trial| trial.stage.crowd.is_done(trial.stage.net.now));
        let crowd = &trial.stage.crowd;
        let answered = crowd.fates.iter().flatten();
        let failed = answered.filter(|fate| is_failure(fate.status)).map(|fate| fate.began);
        let failed: Vec<Time> = failed.chain(crowd.waiting()).filter(|it| *it >= strikes).collect();
        let requests = crowd.fates.as_ref().map_or(0, Vec::len) as u64;
        // If nobody else serves, what begins later fails for want of anybody.
        let counts =
            |began: &&Time| self.goes_on(&trial, quest) || moved.is_none_or(|it| **began < it);
        let count = failed.iter().filter(counts).count() as u64;
        let moved = match moved {
            Some(moved) => Worst::After(moved.since(strikes)),
            None if quest.moved.is_some() => Worst::Never,
            None => Worst::After(Span::ZERO),
        };
        Some((count, moved, requests))
    }

    fn goes_on(&self, trial: &Trial<'_>, quest: Quest<'_>) -> bool {
        let view = trial.stage.processes[0].view.as_ref();
        let node = view.and_then(|view| view.services.get(quest.way.service.0));
        let rests = self.unit.timing.check.is_none() && self.unit.timing.passive.is_some();
        node.is_some_and(|node| node.up) && !rests
    }
}

#[derive(Clone, Copy)]
struct Run<'a> {
    quest: Quest<'a>,
    rate: u64,
    /// Of the requests.
    beginning: Time,
    strikes: Time,
    /// How long requests come after that.
    lasts: Span,
}

/// A request for the first of these routers that one is known for, and at which port.
fn request(view: &View, quest: Quest<'_>) -> Option<(u16, Vec<u8>)> {
    for it in offered(view).into_iter().filter(|it| !it.secure) {
        for (rule, route) in it.routes.rules() {
            if quest.way.routers.iter().all(|name| *name != *route.name) {
                continue;
            }
            let field = it.uplink.map(|uplink| ("X-Uplink-Name", uplink));
            let method = quest.asked.method();
            if let Some(ask) = ask_for(it.routes, rule, &route.name, method, CLIENT_IP.into()) {
                return Some((it.port, ask.with(field).bytes()));
            }
        }
    }
    None
}
