//! What is compared: shares once they have settled, and when they did.

use super::cases::{Case, FROM, INTERVAL_MILLIS, LENGTH, MOVED, Sign, UNTIL};
use super::{SHARE_OFF_MAX, TIME_OFF_MAX};
use std::fmt;

/// Slots of a run.
pub(super) const SLOTS: u64 = 60;
pub(super) const SLOT_MILLIS: u64 = LENGTH * 1_000 / SLOTS;

/// Requests that began within one part of the run.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) requests: u64,
    /// By `eu` and `us`.
    pub(super) served: [u64; 2],
    pub(super) median_millis: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) slots: Vec<Slot>,
    /// From the change, and from its end, to when it was noticed, if somebody says so.
    pub(super) noticed: Option<[u64; 2]>,
}

/// One comparison.
pub(super) struct Row {
    case: &'static str,
    what: String,
    unit: Unit,
    foreseen: u64,
    lived: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    PerMille,
    Millis,
}

impl Unit {
    fn most(self) -> u64 {
        match self {
            Self::PerMille => SHARE_OFF_MAX,
            Self::Millis => TIME_OFF_MAX,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PerMille => "%",
            Self::Millis => "s",
        }
    }

    /// Thousandths, or milliseconds.
    fn show(self, value: u64) -> String {
        match self {
            Self::PerMille => format!("{}.{} %", value / 10, value % 10),
            Self::Millis => format!("{}.{:02} s", value / 1_000, value % 1_000 / 10),
        }
    }

    fn read(self, text: &str) -> Option<u64> {
        let (number, unit) = text.split_once(' ')?;
        let digits: u64 = number.replace('.', "").parse().ok()?;
        match self {
            Self::PerMille => (unit == "%").then_some(digits),
            Self::Millis => (unit == "s").then_some(digits * 10),
        }
    }
}

impl Row {
    fn apart(&self) -> u64 {
        self.foreseen.abs_diff(self.lived)
    }

    pub(super) fn problem(&self) -> Option<String> {
        let most = self.unit.most();
        let (apart, name) = (self.unit.show(self.apart()), self.unit.name());
        let text =
            || format!("{apart} apart, and {most} thousandths of 1 {name} are allowed: {self}");
        (self.apart() > most).then(text)
    }

    /// Whether a line of the page is this comparison, made earlier.
    pub(super) fn is_told_by(&self, line: &str) -> bool {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [case, what, foreseen, lived, apart] = cells[..] else { return false };
        let values = [foreseen, lived, apart].map(|text| self.unit.read(text));
        let [Some(foreseen), Some(lived), Some(apart)] = values else { return false };
        let most = self.unit.most();
        // Each was cut to its last digit.
        let sums = foreseen.abs_diff(lived).abs_diff(apart) <= 20;
        let near = foreseen.abs_diff(self.foreseen) <= most;
        (case, what) == (self.case, &*self.what) && sums && near && apart <= most
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [foreseen, lived, apart] =
            [self.foreseen, self.lived, self.apart()].map(|value| self.unit.show(value));
        write!(f, "| {} | {} | {foreseen} | {lived} | {apart} |", self.case, self.what)
    }
}

pub(super) fn rows(case: &'static Case, foreseen: &[Outcome], lived: &Outcome) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |what: &str, unit, foreseen: u64, lived: u64| {
        rows.push(Row { case: case.name, what: what.to_owned(), unit, foreseen, lived });
    };
    let windows = windows(case);
    for (name, from, until) in &windows {
        // Who has more then, so that what neither of them answered shows.
        let child = usize::from(*name != "before" && *name != "afterwards");
        let share = |runs: &[Outcome]| share(runs, child, *from, *until);
        let text = format!("share of `{}` {name}", ["eu", "us"][child]);
        add(&text, Unit::PerMille, share(foreseen), share(std::slice::from_ref(lived)));
    }
    let ends = if case.what.ends() { 2 } else { 1 };
    for (at, text) in ["until it is noticed", "until it is back"].into_iter().enumerate().take(ends)
    {
        let time = |outcome: &Outcome| match case.sign {
            Sign::Shares => Some(moved(outcome, &windows, at)),
            Sign::Phase => outcome.noticed.map(|noticed| noticed[at]),
            Sign::None => None,
        };
        let foreseen = foreseen.iter().filter_map(time);
        let ends = foreseen.clone().min().zip(foreseen.max());
        if let (Some((least, most)), Some(lived)) = (ends, time(lived)) {
            add(text, Unit::Millis, least.midpoint(most), lived);
        }
    }
    if case.sign == Sign::None {
        let median = |runs: &[Outcome]| median(runs, FROM + 1, UNTIL);
        let lived = median(std::slice::from_ref(lived));
        add("half of the answers take at most", Unit::Millis, median(foreseen), lived);
    }
    rows
}

/// Where shares stand still, in seconds.
fn windows(case: &Case) -> Vec<(&'static str, u64, u64)> {
    let mut windows = vec![("before", 0, FROM), ("meanwhile", FROM + MOVED, UNTIL)];
    if case.what.ends() {
        windows.push(("afterwards", UNTIL + MOVED, LENGTH));
    } else {
        windows[1] = ("from then on", FROM + MOVED, LENGTH);
    }
    windows
}

/// Slots that lie within these seconds.
fn within(outcome: &Outcome, from: u64, until: u64) -> impl Iterator<Item = (u64, &Slot)> {
    let slots = (0..).zip(&outcome.slots).map(|(at, slot)| (at * SLOT_MILLIS, slot));
    slots.filter(move |(at, slot)| {
        (from * 1_000..=until * 1_000 - SLOT_MILLIS).contains(at) && slot.requests > 0
    })
}

fn share(runs: &[Outcome], child: usize, from: u64, until: u64) -> u64 {
    let all = || runs.iter().flat_map(|run| within(run, from, until));
    let served: u64 = all().map(|(_, slot)| slot.served[child]).sum();
    let requests: u64 = all().map(|(_, slot)| slot.requests).sum();
    (served * 1_000 + requests / 2) / requests
}

fn median(runs: &[Outcome], from: u64, until: u64) -> u64 {
    let all = runs.iter().flat_map(|run| within(run, from, until));
    let mut all: Vec<u64> = all.filter_map(|(_, slot)| slot.median_millis).collect();
    all.sort_unstable();
    all[all.len() / 2]
}

/// From the change, or from its end, to the first slot from which on `us` has what it has once
/// everything stands still.
fn moved(outcome: &Outcome, windows: &[(&str, u64, u64)], at: usize) -> u64 {
    let of = |window: (&str, u64, u64)| {
        share(std::slice::from_ref(outcome), 1, window.1, window.2).min(1_000)
    };
    let (old, new) = (of(windows[at]), of(windows[at + 1]));
    let from = [FROM, UNTIL][at];
    let until = windows[at + 1].2;
    let nearer_to_old = |slot: &Slot| {
        let share = slot.served[1] * 1_000 / slot.requests;
        share.abs_diff(old) <= share.abs_diff(new)
    };
    let last = within(outcome, from, until).filter(|(_, slot)| nearer_to_old(slot)).last();
    last.map_or(0, |(at, _)| at + SLOT_MILLIS - from * 1_000)
}

/// What is never noticed would be late by more than any tolerance.
const _: () = assert!((UNTIL - FROM) * 1_000 > 2 * INTERVAL_MILLIS);
