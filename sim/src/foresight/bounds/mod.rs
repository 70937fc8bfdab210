//! Worst cases: how long it takes at most until a server that is in trouble is found out, until
//! nobody is sent there any more, and until it serves again. Once as a sum of settings (`form`),
//! and once as the longest that any order of events gave when the machines ran (`search`, of
//! `trial`s with one `unit` each). The second never exceeds the first.

mod form;
mod report;
mod search;
mod services;
mod surprises;
mod trial;
mod unit;

pub use form::{Check, Forms, Poll, Sum, Timing, Trouble};
pub use search::{Effort, Found, Worst};
pub use services::Loss;
pub use unit::Unit;

use super::documents::Documents;
use super::stage::Stage;
use engine::base::time::Span;
use search::Search;

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
}

pub fn bounds(documents: &Documents) -> Bounds {
    let stage = Stage::settled(documents);
    let units = unit::units(documents, &stage);
    let judged: Vec<Judged> = units.into_iter().map(|unit| judge(documents, unit)).collect();
    let mut effort = Effort::default();
    judged.iter().for_each(|it| effort.add(it.effort));
    let losses = services::losses(documents, &judged);
    Bounds { judged, losses, effort }
}

/// By the settings, how long each server may be in trouble before that is known.
pub(super) fn timings(documents: &Documents, stage: &Stage) -> Vec<Span> {
    let units = unit::units(documents, stage);
    let forms = units.iter().flat_map(|unit| Trouble::ALL.map(|it| unit.timing.forms(it).moved));
    forms.flatten().map(|sum| sum.total()).collect()
}

fn judge(documents: &Documents, unit: Unit) -> Judged {
    let alone = unit.alone(documents);
    let search = Search::new(&alone, &unit);
    let bounds = Trouble::ALL.map(|trouble| Bound {
        trouble,
        forms: unit.timing.forms(trouble),
        found: search.run(trouble),
    });
    let effort = search.effort();
    Judged { bounds: bounds.into(), effort, unit }
}
