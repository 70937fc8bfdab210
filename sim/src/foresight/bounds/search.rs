//! Every order of events: the trouble begins, and ends, after each event of a whole cycle of probes
//! and just before the next one; and polls are shifted against probes so that each order of what
//! both publish is met. Between two events nothing changes, so between these instants nothing new
//! is to be found.

use super::form::{Poll, Sum, Trouble, publication};
use super::trial::{Polls, Trial};
use super::unit::Unit;
use crate::foresight::documents::Documents;
use engine::base::limits::ControlLimits;
use engine::base::time::{Span, Time};
use engine::view::status::ChildPhase;
use std::cell::Cell;

/// The longest that any order gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Worst {
    After(Span),
    /// In some order it did not come before the horizon.
    Never,
}

impl Worst {
    pub(super) fn longer(self, other: Self) -> Self {
        match (self, other) {
            (Self::After(a), Self::After(b)) => Self::After(a.max(b)),
            (Self::Never, _) | (_, Self::Never) => Self::Never,
        }
    }
}

/// What the search for one kind of trouble came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub found: Worst,
    pub moved: Worst,
    /// None if it was not sought, because nothing had moved.
    pub back: Option<Worst>,
}

/// How much was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effort {
    pub runs: u64,
    /// Instants of a cycle, before and after its events.
    pub instants: u64,
    /// Shifts of polls against probes.
    pub shifts: u64,
    /// The longest wait after a fault or its end.
    pub horizon: Span,
}

impl Effort {
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.instants += other.instants;
        self.shifts += other.shifts;
        self.horizon = self.horizon.max(other.horizon);
    }
}

pub(super) struct Search<'a> {
    documents: &'a Documents,
    unit: &'a Unit,
    effort: Cell<Effort>,
}

/// A moment of a cycle: after so many of its events, at once or just before the next.
#[derive(Clone, Copy, Debug)]
struct Moment {
    events: usize,
    late: bool,
}

/// How polls are moved against probes: answers to some in a row are held, and one more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Shift {
    holds: u32,
    last: Span,
}

/// After the beginning of a cycle everything that began with it is over.
const SETTLED: Span = Span::millis(2);
const HOLDS_MAX: u32 = 64;

impl<'a> Search<'a> {
    /// In a world of the unit alone.
    pub(super) fn new(documents: &'a Documents, unit: &'a Unit) -> Self {
        Self { documents, unit, effort: Cell::default() }
    }

    pub(super) fn effort(&self) -> Effort {
        self.effort.get()
    }

    fn count(&self, change: impl FnOnce(&mut Effort)) {
        let mut effort = self.effort.get();
        change(&mut effort);
        self.effort.set(effort);
    }

    /// Nothing if the server does not come up in a world where nothing is wrong.
    pub(super) fn run(&self, trouble: Trouble) -> Option<Found> {
        let mut worst: Option<Found> = None;
        for &polls in self.polls(trouble) {
            self.start(polls, Shift::default())?;
            let forms = self.unit.timing.forms(trouble);
            let fails = |poll: Poll| poll.next(trouble).total();
            let verdicts = |shift| self.verdicts(polls, shift, trouble);
            for shift in self.shifts(fails, forms.found.as_ref(), verdicts) {
                let (found, moved) = self.losses(polls, shift, trouble)?;
                let new = Found { found, moved, back: None };
                worst = Some(worst.map_or(new, |old| old.longer(new)));
            }
            if worst.is_some_and(|it| it.moved == Worst::Never) {
                continue;
            }
            let returns = |shift| self.returns(polls, shift, trouble);
            for shift in self.shifts(fails, forms.back.as_ref(), returns) {
                let back = self.recoveries(polls, shift, trouble)?;
                if let Some(worst) = &mut worst {
                    worst.back = Some(worst.back.map_or(back, |old| old.longer(back)));
                }
            }
        }
        worst
    }

    /// Polls are uneven by chance; what depends on them is looked at with the least and the most.
    fn polls(&self, trouble: Trouble) -> &'static [Polls] {
        let forms = self.unit.timing.forms(trouble);
        let polls = |sum: &Option<Sum>| {
            sum.as_ref().is_some_and(|sum| sum.0.iter().any(|(name, _)| name.contains("poll")))
        };
        let depends = polls(&forms.found) || polls(&forms.back);
        if depends { &[Polls::Even, Polls::Late] } else { &[Polls::Even] }
    }

    /// The length of a cycle, with what a failure in it may add.
    fn cycle(&self) -> Span {
        let timing = &self.unit.timing;
        let probes = timing.check.map(|check| check.interval.max(check.timeout));
        let polls = timing.poll.map(|poll| poll.interval + poll.jitter() + poll.timeout);
        probes.or(polls).unwrap_or(Span::secs(1))
    }

    fn down_cycle(&self, trouble: Trouble) -> Span {
        let timing = &self.unit.timing;
        let probes = timing.check.map(|check| check.unhealthy_interval.max(check.timeout));
        let stale = self
            .unit
            .timing
            .forms(trouble)
            .back
            .is_some_and(|sum| sum.0.iter().any(|(name, _)| name.contains("poll")));
        let polls = timing.poll.filter(|_| stale || probes.is_none());
        let polls = polls.map(|poll| poll.interval + poll.jitter() + poll.timeout);
        let below = timing.below[trouble as usize].back;
        probes.max(polls).unwrap_or(Span::secs(1)).max(below)
    }

    /// A world at the beginning of a cycle, its polls shifted against its probes.
    fn start(&self, polls: Polls, shift: Shift) -> Option<Trial<'a>> {
        self.count(|effort| effort.runs += 1);
        let mut trial = Trial::new(self.documents, self.unit, polls)?;
        let half = self.hold_max().divided(2);
        let holds = (0..shift.holds).map(|_| half).chain([shift.last]);
        for hold in holds.filter(|_| self.unit.timing.poll.is_some()) {
            self.next_poll(&mut trial);
            let until = trial.stage.net.now + hold;
            trial.hold(until);
        }
        self.next_cycle(&mut trial, self.cycle());
        trial.is_serving().then_some(trial)
    }

    fn hold_max(&self) -> Span {
        let timing = &self.unit.timing;
        let probe = timing.check.map_or(Span::MAX, |check| check.timeout.min(check.interval));
        let poll = timing.poll.map_or(Span::MAX, |poll| poll.timeout);
        Span::from_nanos((probe.min(poll).min(Span::secs(3_600)).nanos() / 2).max(1))
    }

    fn next_poll(&self, trial: &mut Trial<'_>) {
        let polls = trial.polls;
        let wait = self.unit.timing.poll.map_or(Span::ZERO, |poll| poll.interval.times(2));
        trial.advance_to(trial.stage.net.now + wait + wait, |trial| trial.polls > polls);
    }

    /// To the beginning of a probe, or of a poll where there are no probes.
    fn next_cycle(&self, trial: &mut Trial<'_>, cycle: Span) {
        let until = trial.stage.net.now + cycle.times(3);
        let probed = self.unit.timing.check.is_some();
        let begun = |trial: &Trial<'_>| if probed { trial.probes } else { trial.polls };
        let before = begun(trial);
        trial.advance_to(until, |trial| begun(trial) > before);
    }

    fn moments(&self, mut trial: Trial<'_>, cycle: Span) -> Vec<Moment> {
        let until = trial.stage.net.now + cycle;
        let mut all = vec![Moment { events: 0, late: false }];
        let (mut events, mut at) = (0, trial.stage.net.now);
        loop {
            let next = trial.stage.net.next_at().filter(|next| *next <= until);
            if next.is_some_and(|next| next > at) {
                all.push(Moment { events, late: true });
            }
            let Some(next) = next else { break };
            trial.event(until);
            (events, at) = (events + 1, next);
            all.push(Moment { events, late: false });
        }
        self.count(|effort| effort.instants += all.len() as u64);
        all
    }

    fn come_to(trial: &mut Trial<'_>, moment: Moment) {
        for _ in 0..moment.events {
            trial.event(Time::NEVER);
        }
        if let Some(next) = trial.stage.net.next_at().filter(|_| moment.late) {
            trial.stage.net.now = Time::from_nanos(next.nanos() - 1);
        }
    }

    /// How long to wait for what a form promises, or for what nothing promises.
    fn horizon(&self, form: Option<&Sum>) -> Span {
        let horizon = match form {
            Some(sum) => sum.total() + self.cycle(),
            None => self.cycle().times(3),
        };
        let horizon = horizon + Span::secs(1);
        self.count(|effort| effort.horizon = effort.horizon.max(horizon));
        horizon
    }

    /// Trouble at every moment of a cycle: until it was found, and until everything had moved.
    fn losses(&self, polls: Polls, shift: Shift, trouble: Trouble) -> Option<(Worst, Worst)> {
        let moments = self.moments(self.start(polls, shift)?, self.cycle());
        let forms = self.unit.timing.forms(trouble);
        let horizon = self.horizon(forms.moved.as_ref());
        let none = Worst::After(Span::ZERO);
        let (mut found, mut moved) = (none, none);
        for moment in moments {
            let mut trial = self.start(polls, shift)?;
            Self::come_to(&mut trial, moment);
            let at = trial.stage.net.now;
            trial.strike(trouble);
            if !trial.advance_to(at + horizon, |trial| !trial.is_serving()) {
                return Some((Worst::Never, Worst::Never));
            }
            let sight = trial.sights.last()?;
            // A verdict is told with its instant; that something is old is published at once.
            let known = if sight.since > at { sight.since } else { sight.at };
            found = found.longer(Worst::After(known.since(at)));
            moved = moved.longer(Worst::After(sight.at.since(at) + crossing()));
        }
        Some((found, moved))
    }

    /// A world in which the trouble has lasted, at the beginning of a cycle.
    fn down(&self, polls: Polls, shift: Shift, trouble: Trouble) -> Option<Trial<'a>> {
        let mut trial = self.start(polls, shift)?;
        trial.advance(trial.stage.net.now + SETTLED);
        let at = trial.stage.net.now;
        trial.strike(trouble);
        let forms = self.unit.timing.forms(trouble);
        let mut lasts =
            self.horizon(forms.moved.as_ref()) + self.unit.timing.below[trouble as usize].moved;
        if trouble.reaches_polls()
            && let Some(poll) = self.unit.timing.poll
        {
            lasts = lasts + poll.stale_for() + poll.interval.times(2) + poll.timeout;
        }
        trial.advance(at + lasts);
        self.next_cycle(&mut trial, self.down_cycle(trouble));
        (!trial.is_serving()).then_some(trial)
    }

    /// The end of the trouble at every moment of a cycle.
    fn recoveries(&self, polls: Polls, shift: Shift, trouble: Trouble) -> Option<Worst> {
        let moments = self.moments(self.down(polls, shift, trouble)?, self.down_cycle(trouble));
        let forms = self.unit.timing.forms(trouble);
        let horizon = self.horizon(forms.back.as_ref());
        let mut back = Worst::After(Span::ZERO);
        for moment in moments {
            let mut trial = self.down(polls, shift, trouble)?;
            Self::come_to(&mut trial, moment);
            let at = trial.stage.net.now;
            trial.heal();
            if !trial.advance_to(at + horizon, Trial::is_serving) {
                return Some(Worst::Never);
            }
            let sight = trial.sights.last()?;
            back = back.longer(Worst::After(sight.at.since(at) + crossing()));
        }
        Some(back)
    }

    /// By how much the verdict of the probe comes after that of the poll, if both come.
    fn verdicts(&self, polls: Polls, shift: Shift, trouble: Trouble) -> Option<i128> {
        if !trouble.reaches_polls() {
            return None;
        }
        let mut trial = self.start(polls, shift)?;
        trial.advance(trial.stage.net.now + SETTLED);
        let at = trial.stage.net.now;
        trial.strike(trouble);
        self.difference(trial, at, |phase| phase != ChildPhase::Fresh)
    }

    /// The same when the trouble is over.
    fn returns(&self, polls: Polls, shift: Shift, trouble: Trouble) -> Option<i128> {
        if !trouble.reaches_polls() {
            return None;
        }
        let mut trial = self.down(polls, shift, trouble)?;
        trial.advance(trial.stage.net.now + SETTLED);
        let at = trial.stage.net.now;
        trial.heal();
        self.difference(trial, at, |phase| phase == ChildPhase::Fresh)
    }

    fn difference(
        &self,
        mut trial: Trial<'_>,
        at: Time,
        turned: impl Fn(ChildPhase) -> bool,
    ) -> Option<i128> {
        self.unit.timing.check?;
        let poll = self.unit.timing.poll?;
        let until = at + self.cycle() + poll.interval.times(2) + poll.timeout;
        let both = |trial: &Trial<'_>| {
            let sight = trial.sights.last()?;
            let (phase, since) = sight.phase?;
            let judged = sight.since > at && since > at && turned(phase);
            judged.then(|| i128::from(sight.since.nanos()) - i128::from(since.nanos()))
        };
        trial.advance_to(until, |trial| both(trial).is_some());
        both(&trial)
    }

    /// No shift, and those for which a poll publishes just before the probe's verdict is in: by
    /// the gap between two publications, a little more and less, and at the same instant. Only
    /// then does a poll make a difference.
    fn shifts(
        &self,
        polled: impl Fn(Poll) -> Span,
        probed: Option<&Sum>,
        difference: impl Fn(Shift) -> Option<i128>,
    ) -> Vec<Shift> {
        let mut all = vec![Shift::default()];
        let gap = ControlLimits::default().publish_gap;
        let meet = |poll: Poll| probed.is_some_and(|sum| sum.total() <= polled(poll) + gap);
        if self.unit.timing.check.is_some() && self.unit.timing.poll.is_some_and(meet) {
            let gap = i128::from(gap.nanos());
            let mut wanted = vec![gap + 1, gap, gap - 1, 1, 0, -1];
            for holds in 0..HOLDS_MAX {
                let shift = Shift { holds, last: Span::ZERO };
                let Some(now) = difference(shift) else { continue };
                wanted.retain(|wanted| {
                    let good = self.shift_to(shift, now, *wanted, &difference);
                    all.extend(good);
                    good.is_none()
                });
                if wanted.is_empty() {
                    break;
                }
            }
        }
        self.count(|effort| effort.shifts += all.len() as u64);
        all
    }

    /// With a last hold that brings the difference to what is wanted, if one may last so long.
    fn shift_to(
        &self,
        mut shift: Shift,
        mut now: i128,
        wanted: i128,
        difference: impl Fn(Shift) -> Option<i128>,
    ) -> Option<Shift> {
        // What is held is a little late besides, which the second attempt knows.
        for _ in 0..3 {
            let last = i128::from(shift.last.nanos()) + now - wanted;
            shift.last = Span::from_nanos(u64::try_from(last).ok()?);
            if shift.last > self.hold_max() {
                return None;
            }
            now = difference(shift)?;
            if now == wanted {
                return Some(shift);
            }
        }
        None
    }
}

/// From whoever publishes to whoever sends.
pub(super) fn crossing() -> Span {
    let gap = ControlLimits::default().publish_gap;
    Span::from_nanos(publication().nanos() - gap.nanos())
}

impl Found {
    fn longer(self, other: Self) -> Self {
        let back = match (self.back, other.back) {
            (Some(a), Some(b)) => Some(a.longer(b)),
            (a, b) => a.or(b),
        };
        Self { found: self.found.longer(other.found), moved: self.moved.longer(other.moved), back }
    }
}
