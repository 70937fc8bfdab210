//! What is wrong with services, and the list of everything that is wrong.

use super::Compiler;
use super::slots::Shape;
use crate::base::diag::Diagnostic;
use crate::base::id::{ChildId, ServiceId};
use crate::base::mark::Mark;
use crate::base::name::{MULTICLUSTER, split};
use crate::config::typed::{Place, Service, ServiceKind};
use crate::view::model::{Condition, Definition};
use std::sync::Arc;

impl Compiler {
    /// Whether a service does what it says, and what it leaves out.
    pub(super) fn judge(&self, id: ServiceId) -> (Condition, Vec<Diagnostic>) {
        let slot = self.slots.get(id);
        let service = match &slot.definition {
            None => return (Condition::Disabled, Vec::new()),
            Some(Definition::Written(service)) => service,
            Some(
                Definition::Child { .. } | Definition::Aggregate { .. } | Definition::Internal(_),
            ) => return (Condition::Enabled, Vec::new()),
        };
        if let Shape::Broken(why) = &slot.shape {
            return (Condition::Disabled, self.broken_problem(service, why));
        }
        let mut problems = Vec::new();
        let mut works = false;
        for (field, place, below) in parts(service, &slot.shape) {
            let below = self.slots.get(below);
            if below.condition == Condition::Disabled {
                let exists = !matches!(below.shape, Shape::Missing);
                problems.push(self.left_out(service, &field, place, &below.name, exists));
            } else {
                works = true;
            }
        }
        if problems.is_empty() {
            return (Condition::Enabled, problems);
        }
        self.stats.control.marks.hit(Mark::MemberLeftOut);
        let needs_main = matches!(slot.shape, Shape::Mirroring { main, .. }
            if self.slots.get(main).condition == Condition::Disabled);
        let condition = if works && !needs_main { Condition::Warning } else { Condition::Disabled };
        (condition, problems)
    }

    /// A service that could not be read was explained where it was read.
    fn broken_problem(&self, service: &Service, why: &str) -> Vec<Diagnostic> {
        if matches!(service.kind, ServiceKind::Broken(_)) {
            return Vec::new();
        }
        let problem = Diagnostic::error("service-cycle", path(service), why);
        vec![at(problem, &service.place)]
    }

    fn left_out(
        &self,
        service: &Service,
        field: &str,
        place: &Place,
        name: &str,
        exists: bool,
    ) -> Diagnostic {
        let path = format!("{}.{field}", path(service));
        let is_offer = matches!(split(name), Some((_, MULTICLUSTER)));
        let clash = split(name).and_then(|(alias, _)| self.offers.clash(alias));
        let problem = match (exists, is_offer, clash) {
            (true, ..) => {
                Diagnostic::error("broken-service", path, format!("{name} cannot serve: left out"))
            }
            (false, true, Some(clash)) => {
                Diagnostic::error("name-clash", path, format!("{name} is left out: {clash}"))
            }
            (false, true, None) => Diagnostic::warning(
                "not-offered",
                path,
                format!("no child offers {name}: left out"),
            ),
            (false, false, _) => {
                let text = format!("service {name} does not exist: left out");
                self.suggest(Diagnostic::error("unknown-service", path, text), name)
            }
        };
        at(problem, place)
    }

    /// Adds the name that was probably meant.
    pub(super) fn suggest(&self, problem: Diagnostic, name: &str) -> Diagnostic {
        const LOOK_AMONG: usize = 1_000;
        let names = self.slots.by_name.iter().map(|(name, _)| &**name).take(LOOK_AMONG);
        match crate::base::nearest::nearest(name, names) {
            Some(near) => problem.help(format!("did you mean {near}?")),
            None => problem,
        }
    }

    /// Brings the list of everything that is wrong up to date.
    pub(super) fn refresh_problems(&mut self) {
        if !std::mem::take(&mut self.pending.problems) {
            return;
        }
        let mut all: Vec<Diagnostic> = self.routing.problems().cloned().collect();
        for id in &self.slots.with_problems {
            all.extend(self.slots.get(*id).problems.iter().cloned());
        }
        all.extend(self.offer_problems());
        all.sort_by(|a, b| place_of(a).cmp(&place_of(b)));
        all.dedup();
        if *all != *self.pending.diagnostics {
            self.pending.diagnostics = all.into();
            self.pending.changed = true;
        }
    }

    fn offer_problems(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for (alias, text) in self.offers.clashes() {
            self.stats.control.marks.hit(Mark::AliasClash);
            problems.push(Diagnostic::error("name-clash", format!("{alias}@{MULTICLUSTER}"), text));
        }
        for (at, child) in (0..).zip(&self.children) {
            let path = format!("hub.providers.multicluster.children.{}", child.name);
            for text in self.offers.refused(ChildId(at)) {
                problems.push(Diagnostic::error("name-clash", path.clone(), text.clone()));
            }
        }
        problems
    }

    /// Keeps the list of services in order of names.
    pub(super) fn refresh_names(&mut self) {
        if std::mem::take(&mut self.slots.names_changed) {
            let ids: Vec<ServiceId> = self.slots.by_name.iter().map(|(_, id)| *id).collect();
            self.view.model.services_by_name = ids.into();
            self.pending.changed = true;
        }
    }
}

fn place_of(problem: &Diagnostic) -> (&str, u32, u32, &str, &str) {
    (&problem.file, problem.line, problem.column, &problem.path, &problem.text)
}

/// `http.services.<name>`.
fn path(service: &Service) -> String {
    let name = split(&service.name).map_or(&*service.name, |(name, _)| name);
    format!("http.services.{name}")
}

pub(super) fn at(problem: Diagnostic, place: &Place) -> Diagnostic {
    problem.at(&place.file, place.line, place.column)
}

/// Where a service names others, and which.
fn parts<'a>(service: &'a Arc<Service>, shape: &Shape) -> Vec<(String, &'a Place, ServiceId)> {
    let ids = shape.services();
    let places: Vec<(String, &Place)> =
        match &service.kind {
            ServiceKind::Weighted { services } => (0..)
                .zip(services)
                .map(|(at, part)| (format!("weighted.services[{at}].name"), &part.place))
                .collect(),
            ServiceKind::Failover(_) => vec![
                ("failover.service".into(), &service.place),
                ("failover.fallback".into(), &service.place),
            ],
            ServiceKind::Mirroring(mirroring) => {
                std::iter::once(("mirroring.service".into(), &service.place))
                    .chain((0..).zip(&mirroring.mirrors).map(|(at, mirror)| {
                        (format!("mirroring.mirrors[{at}].name"), &mirror.place)
                    }))
                    .collect()
            }
            ServiceKind::Balancer(_) | ServiceKind::Broken(_) => Vec::new(),
        };
    places.into_iter().zip(ids).map(|((path, place), id)| (path, place, id)).collect()
}
