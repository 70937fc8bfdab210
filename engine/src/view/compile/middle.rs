//! Chains of middlewares, unrolled once for all routers that name the same.

use crate::config::fixed::Fixed;
use crate::config::references::Middlewares;
use crate::config::typed::Middleware;
use crate::service::middleware::GAUGES_MAX;
use crate::view::Step;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Middle {
    pub(super) middlewares: Middlewares,
    /// By name.
    steps: BTreeMap<String, Step>,
    /// By entry point, those with middlewares of their own.
    of_entries: BTreeMap<usize, Result<Vec<Step>, String>>,
    /// By entry point and names.
    unrolled: BTreeMap<usize, BTreeMap<Vec<String>, Unrolled>>,
    entry_names: BTreeMap<usize, BTreeSet<String>>,
}

/// What a list of names comes to, and every name on the way.
#[derive(Clone, Debug)]
pub(super) struct Unrolled {
    pub(super) steps: Result<Arc<[Step]>, String>,
    pub(super) through: Arc<BTreeSet<String>>,
}

impl Middle {
    pub(super) fn new(
        all: &[Arc<Middleware>],
        steps: BTreeMap<String, Step>,
        fixed: &Fixed,
    ) -> Self {
        let middlewares = Middlewares::new(all);
        let entries = fixed.entry_points.iter().chain(&fixed.uplink_entry_points);
        let (mut of_entries, mut entry_names) = (BTreeMap::new(), BTreeMap::new());
        for (at, entry) in (0..).zip(entries).filter(|(_, entry)| entry.shapes_routes()) {
            let mut through = BTreeSet::new();
            let list = middlewares.unroll(&entry.middlewares, &mut through);
            let refused = Some(entry.encoded_refused).filter(|refused| !refused.is_none());
            let first = refused.map(Step::Encoded);
            let step = |it: &Arc<Middleware>| steps.get(&*it.name).cloned();
            let list = list
                .map(|list| first.into_iter().chain(list.into_iter().filter_map(step)).collect());
            let list = list.map_err(|why| format!("entry point {}: {why}", entry.name));
            of_entries.insert(at, list);
            let through = through.into_iter().map(str::to_owned).collect();
            entry_names.insert(at, through);
        }
        Self { middlewares, steps, of_entries, unrolled: BTreeMap::new(), entry_names }
    }

    /// The steps of a router on `entry`.
    pub(super) fn steps(&mut self, entry: usize, names: &[String]) -> Unrolled {
        if let Some(known) = self.unrolled.get(&entry).and_then(|lists| lists.get(names)) {
            return known.clone();
        }
        let unrolled = self.unroll(entry, names);
        self.unrolled.entry(entry).or_default().insert(names.to_vec(), unrolled.clone());
        unrolled
    }

    fn unroll(&self, entry: usize, names: &[String]) -> Unrolled {
        let mut through = BTreeSet::new();
        let own = self.middlewares.unroll(names, &mut through);
        let before = self.of_entries.get(&entry).cloned().unwrap_or(Ok(Vec::new()));
        let steps = before.and_then(|mut steps| {
            let step = |it: &Arc<Middleware>| self.steps.get(&*it.name).cloned();
            steps.extend(own?.into_iter().filter_map(step));
            let gauges = steps.iter().filter(|step| matches!(step, Step::InFlight(_))).count();
            if gauges > GAUGES_MAX {
                return Err(format!("more than {GAUGES_MAX} inFlightReq in a row"));
            }
            Ok(steps.into())
        });
        let of_entry = self.entry_names.get(&entry).into_iter().flatten().cloned();
        let through = through.into_iter().map(str::to_owned).chain(of_entry).collect();
        Unrolled { steps, through: Arc::new(through) }
    }

    /// Forgets lists of names: those of routers that are gone would never be asked for again.
    pub(super) fn forget_lists(&mut self) {
        self.unrolled.clear();
    }
}
