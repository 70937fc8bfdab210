//! Circuit breakers, by what the documentation says of them: C4. Every line of a router or service
//! that has one tells when its request came and how it ended, which is all that a breaker goes by.
//! So its states are worked out again, and whoever was refused or let pass is held against them.

use super::{Oracle, Verdict};
use engine::base::time::{Span, Time};
use std::collections::BTreeMap;

/// What a breaker is told by its document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// 502 and 504 count, and not all from 500 on.
    pub network: bool,
    /// It opens when more than this part of a hundred answers count.
    pub percent: u64,
    /// It stands before services.
    pub inner: bool,
}

impl Settings {
    pub const PERIOD: Span = Span::millis(100);
    pub const FALLBACK: Span = Span::secs(3);
    pub const RECOVERY: Span = Span::secs(2);
    /// Nobody else answers that: those before routers, and those before services.
    pub const STATUS: u16 = 529;
    pub const INNER_STATUS: u16 = 530;

    pub const fn status(self) -> u16 {
        if self.inner { Self::INNER_STATUS } else { Self::STATUS }
    }

    fn counts(self, status: u16) -> bool {
        if self.network { matches!(status, 502 | 504) } else { (500..600).contains(&status) }
    }

    /// Of answers that surely count and of those that perhaps count no more.
    fn opens(self, sure: &Sum, perhaps: &Sum) -> Opens {
        let above = |bad: u64, all: u64| bad * 100 > all * self.percent;
        let least = above(sure.bad, sure.all + perhaps.all - perhaps.bad);
        let most = above(sure.bad + perhaps.bad, sure.all + perhaps.bad);
        match (least, most) {
            (true, _) => Opens::Surely,
            (false, true) => Opens::Perhaps,
            (false, false) => Opens::No,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opens {
    No,
    Perhaps,
    Surely,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Sum {
    all: u64,
    bad: u64,
}

/// A request that came to a breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Came {
    pub started: Time,
    pub ended: Time,
    /// 0 if nobody was there to be answered.
    pub status: u16,
    /// The breaker itself has answered.
    pub refused: bool,
}

/// By instance and life, and by router or service.
pub type Place = (String, u64, String);

/// What the logs have said of routers and services with breakers.
#[derive(Debug, Default)]
pub struct Breakers(BTreeMap<Place, Told>);

/// What is told of one breaker.
#[derive(Debug)]
struct Told {
    settings: Settings,
    came: Vec<Came>,
    /// From then on it may have counted what no line tells.
    blurred: Time,
    story: Story,
}

/// Whether a breaker kept requests off meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Shut {
    No,
    Perhaps,
    Surely,
}

impl Breakers {
    pub fn note(&mut self, place: Place, settings: Settings, came: Came) {
        self.told(place, settings).came.push(came);
    }

    /// An answer that no line tells was counted after this moment.
    pub fn blur(&mut self, place: Place, settings: Settings, from: Time) {
        let told = self.told(place, settings);
        told.blurred = told.blurred.min(from);
    }

    fn told(&mut self, place: Place, settings: Settings) -> &mut Told {
        let (came, blurred, story) = (Vec::new(), Time::NEVER, Story::default());
        self.0.entry(place).or_insert_with(|| Told { settings, came, blurred, story })
    }

    /// Of an instance's life of which every line was read.
    pub fn judge(&mut self, instance: &str, life: u64, now: Time, verdict: &mut Verdict) {
        for ((of, at, name), told) in &mut self.0 {
            if of == instance && *at == life {
                told.tell();
                for text in told.problems() {
                    verdict.add(Oracle::C4, now, || format!("{of}, breaker of {name}: {text}"));
                }
            }
        }
    }

    /// Whether a breaker, of which all was judged, kept requests off from one moment to another.
    pub fn shut(&self, place: &Place, from: Time, to: Time) -> Shut {
        let Some(told) = self.0.get(place) else { return Shut::No };
        let openings = &told.story.openings;
        let surely = |opened: &Time| *opened < from && to < *opened + Settings::FALLBACK;
        let perhaps = |opened: &Time| *opened <= to && from <= over(*opened, &told.came);
        if to >= told.story.until {
            Shut::Perhaps
        } else if openings.iter().any(surely) {
            Shut::Surely
        } else if openings.iter().any(perhaps) {
            Shut::Perhaps
        } else {
            Shut::No
        }
    }
}

/// When a breaker opened, as far as that can be told: until then and no further.
#[derive(Debug, Default)]
struct Story {
    openings: Vec<Time>,
    until: Time,
}

impl Told {
    fn tell(&mut self) {
        self.came.sort_by_key(|came| came.ended);
        self.story = story(self.settings, &self.came);
        self.story.until = self.story.until.min(self.blurred);
    }

    /// What is wrong with what became of those who came.
    fn problems(&self) -> Vec<String> {
        let known = self.came.iter().take_while(|came| came.ended < self.story.until);
        known.filter_map(|came| problem(&self.story.openings, &self.came, *came)).collect()
    }
}

fn problem(openings: &[Time], all: &[Came], came: Came) -> Option<String> {
    if came.refused {
        let may =
            openings.iter().any(|from| *from <= came.ended && came.started <= over(*from, all));
        return (!may).then(|| format!("{came:?} was refused; it opened at {openings:?}"));
    }
    let shut = |from: &&Time| **from < came.started && came.ended < **from + Settings::FALLBACK;
    let from = openings.iter().find(shut).filter(|_| came.status != 0)?;
    Some(format!("{came:?} passed; it was open from {from} on"))
}

/// The last moment at which somebody may be refused, if it does not open again: the first who asks
/// after the fallback begins the recovery.
fn over(from: Time, all: &[Came]) -> Time {
    let rested = from + Settings::FALLBACK;
    let first = all.iter().filter(|came| came.started >= rested).map(|came| came.ended).min();
    first.map_or(Time::NEVER, |first| first + Settings::RECOVERY)
}

fn story(settings: Settings, all: &[Came]) -> Story {
    let mut story = Story { openings: Vec::new(), until: Time::NEVER };
    let mut counted: Vec<Came> = Vec::new();
    let mut due = Time::ZERO;
    // A tunnel says nothing, and neither does whoever was not answered.
    let tells = |came: &&Came| !came.refused && !matches!(came.status, 0 | 101);
    let answered: Vec<Came> = all.iter().filter(tells).copied().collect();
    for group in answered.chunk_by(|one, two| one.ended == two.ended) {
        let now = group[0].ended;
        let is_due = now >= due;
        due = if is_due { now + Settings::PERIOD } else { due };
        let open = story.openings.last().map(|from| *from + Settings::FALLBACK);
        let is_open = open.is_some_and(|until| now < until);
        // Who came first of several at once is not told, nor when an early one was looked at.
        let mixed = group.len() > 1 && group.iter().any(|came| settings.counts(came.status));
        let early = open.is_some_and(|until| group[0].started < until);
        counted.extend(group);
        if !is_due || is_open {
            continue;
        }
        let (sure, perhaps) = sums(settings, &counted, now);
        match settings.opens(&sure, &perhaps) {
            Opens::No if !mixed => {}
            Opens::Surely if !mixed && !early => {
                story.openings.push(now);
                counted.clear();
            }
            Opens::No | Opens::Surely | Opens::Perhaps => {
                story.until = now;
                return story;
            }
        }
    }
    story
}

/// Answers of the last ten seconds; those of a second more may or may not count any more.
fn sums(settings: Settings, counted: &[Came], now: Time) -> (Sum, Sum) {
    let (mut sure, mut perhaps) = (Sum::default(), Sum::default());
    for came in counted {
        let age = now.since(came.ended);
        let sum = match age {
            age if age < Span::secs(9) => &mut sure,
            age if age <= Span::secs(10) => &mut perhaps,
            _ => continue,
        };
        sum.all += 1;
        sum.bad += u64::from(settings.counts(came.status));
    }
    (sure, perhaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests of milliseconds and statuses, answered at once; whether all is right.
    #[track_caller]
    fn check(all: &[(u64, u16)], right: bool) {
        let settings = Settings { network: false, percent: 50, inner: false };
        let mut breakers = Breakers::default();
        let place = ("parent".to_owned(), 1, "r0@file".to_owned());
        for (at, status) in all {
            let started = Time::ZERO + Span::millis(*at);
            let (ended, refused) = (started + Span::micros(1), *status == Settings::STATUS);
            let came = Came { started, ended, status: *status, refused };
            breakers.note(place.clone(), settings, came);
        }
        let told = breakers.0.get_mut(&place).expect("somebody came");
        told.tell();
        let problems = told.problems();
        assert_eq!(problems.is_empty(), right, "{all:?}: {problems:?}");
    }

    #[test]
    fn an_open_breaker_refuses_until_its_rest_is_over() {
        check(&[(0, 500), (10, 529), (2_990, 529), (3_010, 529), (5_020, 200)], true);
        check(&[(0, 500), (10, 200)], false);
        check(&[(0, 500), (3_010, 529), (4_000, 200), (5_000, 529)], true);
        check(&[(0, 500), (3_010, 529), (5_020, 529)], false);
        check(&[(0, 200), (10, 529)], false);
        check(&[(0, 200), (200, 500), (300, 500), (400, 529)], true);
        check(&[(0, 200), (200, 500), (400, 500), (500, 200)], false);
        check(&[(0, 200), (50, 500), (90, 500), (95, 200)], true);
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        check(&[(0, 200), (10, 200), (20, 200), (12_000, 500), (12_010, 529)], true);
        check(&[(0, 200), (10, 200), (20, 200), (12_000, 500), (12_010, 200)], false);
        check(&[(0, 200), (9_500, 500), (9_600, 500), (9_610, 200)], true);
    }
}
