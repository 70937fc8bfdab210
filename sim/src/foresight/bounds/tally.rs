//! Requests of some routers that fail while a server is in trouble: by the settings, and searched.

use super::crowded::{Crowded, Quest, Suffered};
use super::form::Trouble;
use super::search::Worst;
use super::toll::Toll;
use super::ways::{Asked, Way};
use super::{Bound, Unit};
use engine::base::time::Span;

/// By one way, at one rate.
#[derive(Clone, Debug)]
pub struct Tally {
    pub way: Way,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub trouble: Trouble,
    /// None if the method makes no difference.
    pub asked: Option<Asked>,
    /// None is without bound.
    pub failing: Option<u64>,
    /// Until nobody is sent there any more; none is never.
    pub moved: Option<Span>,
    /// The setting with the largest part, or what sends requests elsewhere.
    pub by: &'static str,
    /// None if nothing bounds it, or it could not be searched.
    pub searched: Option<Suffered>,
}

/// Troubles in which requests fail.
const FAILING: [Trouble; 3] = [Trouble::Refused, Trouble::BlackHoled, Trouble::Failing];

pub(super) fn tallies(
    crowded: &Crowded<'_>,
    unit: &Unit,
    bounds: &[Bound],
    rate: u64,
) -> Vec<Tally> {
    let tally = |way: &Way| {
        let mut rows = Vec::new();
        for bound in bounds.iter().filter(|bound| FAILING.contains(&bound.trouble)) {
            rows.extend(Of { crowded, unit, bound, way, rate }.rows());
        }
        Tally { way: way.clone(), rows }
    };
    unit.ways.iter().map(tally).collect()
}

struct Of<'a> {
    crowded: &'a Crowded<'a>,
    unit: &'a Unit,
    bound: &'a Bound,
    way: &'a Way,
    rate: u64,
}

impl Of<'_> {
    fn rows(&self) -> Vec<Row> {
        let [(one, first), (other, second)] = Asked::ALL.map(|asked| self.row(asked));
        let searched = |row: Row, quest| Row { searched: self.crowded.run(quest), ..row };
        if (one.failing, one.by) == (other.failing, other.by) {
            return vec![Row { asked: None, ..searched(other, second) }];
        }
        vec![searched(one, first), searched(other, second)]
    }

    /// What the settings say, and what is to be searched for.
    fn row(&self, asked: Asked) -> (Row, Quest<'_>) {
        let trouble = self.bound.trouble;
        let toll = self.unit.toll(self.bound, Some(self.rate));
        let failing = toll.as_ref().map(|toll| toll.at(self.rate));
        let saved = self.way.saves(trouble, asked, &self.unit.timing, self.unit.bad_status);
        let left = match &saved {
            Some(saved) => saved.left(failing, self.rate),
            None => failing,
        };
        let by = match (&saved, &toll) {
            (Some(saved), _) => saved.by,
            (None, Some(toll)) => toll.dominant(self.rate),
            (None, None) => "no setting",
        };
        let moved = toll.map(|toll| toll.moved(self.rate));
        let quest = Quest {
            way: self.way,
            trouble,
            asked,
            rate: self.rate,
            saved: saved.is_some(),
            moved,
            pause: saved.map_or(Span::ZERO, |saved| saved.pause),
        };
        (Row { trouble, asked: Some(asked), failing: left, moved, by, searched: None }, quest)
    }
}

impl Unit {
    /// What ends it first: checks, or requests that failed. None if nothing does.
    pub(super) fn toll(&self, bound: &Bound, rate: Option<u64>) -> Option<Toll> {
        let never = bound.found.is_some_and(|found| found.moved == Worst::Never);
        let within = bound.forms.moved.clone().filter(|_| !never);
        let checked = within.map(|within| Toll { first: 0, within });
        let failed = self.ejected(bound.trouble, rate);
        let (Some(a), Some(b)) = (&checked, &failed) else { return checked.or(failed) };
        let Some(rate) = rate else { return checked };
        if b.at(rate) < a.at(rate) { failed } else { checked }
    }

    /// What requests that fail come to.
    pub(super) fn ejected(&self, trouble: Trouble, rate: Option<u64>) -> Option<Toll> {
        self.timing.ejected(trouble, rate).filter(|_| self.stood_in)
    }
}
