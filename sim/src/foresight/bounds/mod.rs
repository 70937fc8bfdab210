//! Worst cases: how long it takes at most until a server that is in trouble is found out, until
//! nobody is sent there any more, and until it serves again. Once as a sum of settings (`form`),
//! and once as the longest that any order of events gave when the machines ran (`search`, of
//! `trial`s with one `unit` each). The second never exceeds the first. Likewise the requests that
//! fail meanwhile, by the routers that they come by (`ways`): as sums (`toll`), and counted
//! (`crowded`).

mod crowded;
mod form;
mod report;
mod search;
mod services;
mod surprises;
mod tally;
mod told;
mod toll;
mod trial;
mod unit;
mod ways;

pub use crowded::Suffered;
pub use form::{Below, Check, Forms, Poll, Sum, Timing, Trouble};
pub use search::{Effort, Found, Worst};
pub use services::Loss;
pub use tally::{Row, Tally};
pub use toll::Toll;
pub use unit::Unit;
pub use ways::{Asked, Way};

use super::documents::Documents;
use super::stage::Stage;
use crowded::Crowded;
use engine::base::time::Span;
use search::Search;
use tally::tallies;

/// Views follow one another at this distance: closer than that nothing is told apart.
pub const TICK: Span = Span::millis(20);

/// One kind of trouble with one server.
#[derive(Clone, PartialEq, Debug)]
pub struct Bound {
    pub trouble: Trouble,
    pub forms: Forms,
    /// None if the server does not come up even when nothing is wrong.
    pub found: Option<Found>,
}

#[derive(Clone, Debug)]
pub struct Judged {
    pub unit: Unit,
    pub bounds: Vec<Bound>,
    /// If there is a rate, by the routers that lead there.
    pub tallies: Vec<Tally>,
    pub effort: Effort,
}

/// All bounds of some documents.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub judged: Vec<Judged>,
    pub losses: Vec<Loss>,
    pub effort: Effort,
}

impl Judged {
    /// The longer of form and search until nobody is sent there any more; none is never.
    pub fn moved(&self, trouble: Trouble) -> Option<Span> {
        let bound = self.bounds.iter().find(|bound| bound.trouble == trouble)?;
        let form = bound.forms.moved.as_ref()?.total();
        match bound.found.map(|found| found.moved) {
            Some(Worst::Never) => None,
            Some(Worst::After(span)) => Some(form.max(span)),
            None => Some(form),
        }
    }

    /// The same, when requests that fail are looked at too: at the rate that was asked for, by
    /// whichever way leads there.
    pub fn moved_by_any(&self, trouble: Trouble) -> Option<Span> {
        let rows = self.tallies.iter().flat_map(|tally| &tally.rows);
        let by_requests = rows.filter(|row| row.trouble == trouble).map(|row| {
            match row.searched.map(|searched| searched.moved) {
                Some(Worst::Never) => None,
                Some(Worst::After(span)) => Some(row.moved?.max(span)),
                None => row.moved,
            }
        });
        let slowest = by_requests.reduce(|a, b| Some(a?.max(b?))).flatten();
        let checked = self.moved(trouble);
        slowest.map_or(checked, |span| Some(checked.map_or(span, |checked| checked.min(span))))
    }
}

/// With requests at this rate for each server, if there is one.
pub fn bounds(documents: &Documents, rate: Option<u64>) -> Bounds {
    let stage = Stage::settled(documents);
    let units = unit::units(documents, &stage);
    let judged: Vec<Judged> = units.into_iter().map(|unit| judge(documents, unit, rate)).collect();
    let mut effort = Effort::default();
    judged.iter().for_each(|it| effort.add(it.effort));
    let losses = services::losses(documents, &judged);
    Bounds { judged, losses, effort }
}

/// Only the requests for what a child offers, in one kind of trouble. How long that lasts is taken
/// from the closed forms.
pub fn requests(documents: &Documents, child: &str, trouble: Trouble, rate: u64) -> Vec<Tally> {
    let stage = Stage::settled(documents);
    let of_child = |unit: &Unit| unit.child.as_ref().is_some_and(|(name, _)| name == child);
    let units = unit::units(documents, &stage).into_iter().filter(of_child);
    units
        .flat_map(|unit| {
            let bound = Bound { trouble, forms: unit.timing.forms(trouble), found: None };
            tallies(&Crowded::new(documents, &unit), &unit, &[bound], rate)
        })
        .collect()
}

/// By the settings, how long each server may be in trouble before that is known.
pub(super) fn timings(documents: &Documents, stage: &Stage) -> Vec<Span> {
    let units = unit::units(documents, stage);
    let forms = units.iter().flat_map(|unit| Trouble::ALL.map(|it| unit.timing.forms(it).moved));
    forms.flatten().map(|sum| sum.total()).collect()
}

fn judge(documents: &Documents, unit: Unit, rate: Option<u64>) -> Judged {
    let alone = unit.alone(documents);
    let search = Search::new(&alone, &unit);
    let bounds = Trouble::ALL.map(|trouble| Bound {
        trouble,
        forms: unit.timing.forms(trouble),
        found: search.run(trouble),
    });
    let effort = search.effort();
    let crowded = Crowded::new(documents, &unit);
    let tallies = rate.map_or_else(Vec::new, |rate| tallies(&crowded, &unit, &bounds, rate));
    Judged { bounds: bounds.into(), tallies, effort, unit }
}
