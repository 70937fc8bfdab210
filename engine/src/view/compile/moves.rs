//! What a new snapshot of definitions changes for routers, and what is wrong between definitions.

use super::Compiler;
use crate::base::diag::Diagnostic;
use crate::config;
use crate::config::fixed::Fixed;
use crate::config::typed::{Dynamic, Router};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// With more changes than this all routers are compiled anew at once.
const SIMPLE_MAX: usize = 1_000;

/// Two snapshots of routers, compared.
#[derive(Debug, Default)]
pub(super) struct RouterChanges {
    /// Came, went or mean something else.
    pub(super) names: Vec<Arc<str>>,
    /// Mean the same and stand elsewhere.
    moved: Vec<Arc<Router>>,
    dropped: Vec<Arc<str>>,
    kept: usize,
    changed: usize,
    /// Some router among them is under another, or has others under it.
    layered: bool,
}

/// Whether two snapshots are the same; most of what they share is shared in memory.
pub(super) fn same<T: PartialEq>(old: &[Arc<T>], new: &[Arc<T>]) -> bool {
    let pairs = || old.iter().zip(new);
    old.len() == new.len() && pairs().all(|(old, new)| Arc::ptr_eq(old, new) || old == new)
}

impl RouterChanges {
    /// Both are sorted by name.
    pub(super) fn between(old: &[Arc<Router>], new: &[Arc<Router>]) -> Self {
        let mut changes = Self::default();
        let (mut before, mut after) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) if Arc::ptr_eq(old, new) => Ordering::Equal,
                (Some(old), Some(new)) => old.name.cmp(&new.name),
            };
            let old = before.next_if(|_| order != Ordering::Greater);
            let new = after.next_if(|_| order != Ordering::Less);
            changes.note(old, new);
        }
    }

    fn note(&mut self, old: Option<&Arc<Router>>, new: Option<&Arc<Router>>) {
        let name = |router: &Arc<Router>| Arc::from(router.name.as_str());
        let is_layered = |router: &Router| !router.parents.is_empty() || router.service.is_empty();
        let names = self.names.len();
        self.sort_out(old, new, name);
        if self.names.len() > names {
            self.layered |= old.into_iter().chain(new).any(|router| is_layered(router));
        }
    }

    fn sort_out(
        &mut self,
        old: Option<&Arc<Router>>,
        new: Option<&Arc<Router>>,
        name: impl Fn(&Arc<Router>) -> Arc<str>,
    ) {
        match (old, new) {
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => self.kept += 1,
            (Some(old), Some(new)) if alike(old, new) => {
                self.kept += 1;
                if old.place != new.place {
                    self.moved.push(Arc::clone(new));
                }
            }
            (Some(_), Some(new)) => {
                self.changed += 1;
                self.names.push(name(new));
            }
            (Some(old), None) => {
                self.dropped.push(name(old));
                self.names.push(name(old));
            }
            (None, Some(new)) => self.names.push(name(new)),
            (None, None) => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.moved.is_empty()
    }

    /// Whether it is worth compiling only what changed.
    pub(super) fn is_simple(&self) -> bool {
        self.names.len() <= SIMPLE_MAX && !self.layered
    }

    /// What it means for state that routers have.
    pub(super) fn report(&self, report: &mut Vec<String>) {
        for name in &self.dropped {
            report.push(format!("dropped: figures of router {name}: it is gone"));
        }
        let (kept, changed) = (self.kept, self.changed);
        if kept + changed > 0 {
            report.push(format!("kept: figures of all routers; {changed} changed, {kept} did not"));
        }
    }
}

/// Whether two definitions mean the same, wherever they stand. One text is one rule.
fn alike(a: &Router, b: &Router) -> bool {
    let Router { name, place: _, rule_text, rule: _, .. } = a;
    let Router { priority, entry_points, middlewares, service, uplinks, .. } = a;
    let Router { parents, tls, broken, observability, .. } = a;
    *name == b.name
        && (rule_text, a.syntax) == (&b.rule_text, b.syntax)
        && (*priority, a.rank) == (b.priority, b.rank)
        && (entry_points, middlewares) == (&b.entry_points, &b.middlewares)
        && (service, uplinks) == (&b.service, &b.uplinks)
        && (parents, tls, broken) == (&b.parents, &b.tls, &b.broken)
        && *observability == b.observability
}

/// What is wrong between definitions, so that what one router says can be changed alone.
#[derive(Debug, Default)]
pub(super) struct Between {
    routers: BTreeMap<Arc<str>, Vec<Diagnostic>>,
    others: Vec<Diagnostic>,
}

impl Between {
    pub(super) fn new(dynamic: &Dynamic, fixed: &Fixed) -> Self {
        let others = config::between_others(dynamic, Some(fixed));
        let mut between = Self { others, ..Self::default() };
        between.look_at(&dynamic.routers, dynamic, fixed);
        between
    }

    fn look_at(&mut self, routers: &[Arc<Router>], dynamic: &Dynamic, fixed: &Fixed) {
        for (name, problems) in config::between_routers(routers, dynamic, Some(fixed)) {
            self.routers.insert(name, problems);
        }
    }

    /// Only these are different from what was looked at last.
    pub(super) fn change_routers(
        &mut self,
        changes: &RouterChanges,
        dynamic: &Dynamic,
        fixed: &Fixed,
    ) {
        let mut again: Vec<Arc<Router>> = changes.moved.clone();
        for name in &changes.names {
            let found = dynamic.routers.binary_search_by(|router| (*router.name).cmp(name));
            self.routers.remove(name);
            again.extend(found.ok().map(|at| Arc::clone(&dynamic.routers[at])));
        }
        for router in &changes.moved {
            self.routers.remove(router.name.as_str());
        }
        if !changes.names.is_empty() && (!dynamic.uplinks.is_empty() || dynamic.routers.len() < 2) {
            self.others = config::between_others(dynamic, Some(fixed));
        }
        self.look_at(&again, dynamic, fixed);
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Diagnostic> {
        self.routers.values().flatten().chain(&self.others)
    }
}

impl Compiler {
    /// Takes over where definitions stand now.
    pub(super) fn note_moved(&mut self, changes: &RouterChanges) {
        for router in &changes.moved {
            let name: Arc<str> = router.name.as_str().into();
            let state = self.routing.routers.get_mut(&name);
            if state.is_none_or(|state| !state.moves_to(router)) {
                self.pending.routers.insert(name);
            } else {
                self.pending.moved = true;
            }
        }
    }
}
