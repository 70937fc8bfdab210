//! What is wrong with services, and the list of everything that is wrong.

use super::Compiler;
use super::guards::Guarding;
use super::slots::Shape;
use crate::base::diag::Diagnostic;
use crate::base::id::{ChildId, ServiceId};
use crate::base::mark::Mark;
use crate::base::name::{MULTICLUSTER, split};
use crate::config::typed::{Place, Service, ServiceKind};
use crate::view::model::{Condition, Definition};
use std::sync::Arc;

/// Services of the process that the static configuration switches on.
const INTERNAL: [&str; 4] =
    ["api@internal", "dashboard@internal", "ping@internal", "prometheus@internal"];

/// What is wrong with a definition. Checking documents tells of what is wrong between them; told
/// here is only what depends on children and limits.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fault {
    pub(super) text: String,
    pub(super) told: Option<Diagnostic>,
}

impl Fault {
    pub(super) fn silent(text: impl Into<String>) -> Self {
        Self { text: text.into(), told: None }
    }

    pub(super) fn told(problem: Diagnostic, place: &Place) -> Self {
        let told = Some(problem.at(&place.file, place.line, place.column));
        Self { text: told.iter().map(|problem| problem.text.clone()).collect(), told }
    }
}

impl Compiler {
    /// Whether a service does what it says, and what it leaves out.
    pub(super) fn judge(&self, id: ServiceId, barred: Option<Arc<str>>) -> (Condition, Vec<Fault>) {
        let slot = self.slots.get(id);
        let service = match &slot.definition {
            None => return (Condition::Disabled, Vec::new()),
            Some(Definition::Written(service)) => service,
            Some(
                Definition::Child { .. } | Definition::Aggregate { .. } | Definition::Internal(_),
            ) => return (Condition::Enabled, Vec::new()),
        };
        if let Shape::Broken { why, told } = &slot.shape {
            let problem = Diagnostic::error("deep-service", path(service), &**why);
            let fault =
                if *told { Fault::silent(&**why) } else { Fault::told(problem, &service.place) };
            return (Condition::Disabled, vec![fault]);
        }
        if let Some(why) = barred {
            let missing = matches!(&slot.guarding, Some(Guarding { guard: Err(_), .. }));
            let problem = Diagnostic::error("deep-service", path(service), &*why);
            let fault =
                if missing { Fault::silent(&*why) } else { Fault::told(problem, &service.place) };
            return (Condition::Disabled, vec![fault]);
        }
        let mut faults = Vec::new();
        let mut works = false;
        for (field, place, below) in parts(service, &slot.shape) {
            if self.slots.get(below).condition == Condition::Disabled {
                let path = format!("{}.{field}", path(service));
                faults.push(self.left_out(path, place, below));
            } else {
                works = true;
            }
        }
        if faults.is_empty() {
            return (Condition::Enabled, faults);
        }
        self.stats.control.marks.hit(Mark::MemberLeftOut);
        let needs_main = matches!(slot.shape, Shape::Mirroring { main, .. }
            if self.slots.get(main).condition == Condition::Disabled);
        let condition = if works && !needs_main { Condition::Warning } else { Condition::Disabled };
        (condition, faults)
    }

    fn left_out(&self, path: String, place: &Place, below: ServiceId) -> Fault {
        let slot = self.slots.get(below);
        match &slot.shape {
            Shape::Missing => self.missing(below, path, place),
            Shape::Balancer { .. }
            | Shape::Weighted(_)
            | Shape::Failover { .. }
            | Shape::Mirroring { .. }
            | Shape::Internal(_)
            | Shape::Broken { .. } => {
                let text = format!("{} cannot serve, and is left out", slot.name);
                Fault::told(Diagnostic::warning("broken-service", path, text), place)
            }
        }
    }

    /// A reference at `path` to a service that nobody defines.
    pub(super) fn missing(&self, id: ServiceId, path: String, place: &Place) -> Fault {
        let text = self.why_missing(id);
        match self.offered_name(id) {
            Some(alias) if self.offers.clash(alias).is_some() => {
                Fault::told(Diagnostic::error("name-clash", path, &*text), place)
            }
            Some(_) if !self.children.is_empty() => {
                Fault::told(Diagnostic::warning("not-offered", path, &*text), place)
            }
            None if INTERNAL.contains(&&*self.slots.get(id).name) => {
                let problem = Diagnostic::error("internal-off", path, &*text);
                Fault::told(problem.help("switch it on in the static configuration"), place)
            }
            Some(_) | None => Fault::silent(&*text),
        }
    }

    /// The name of a service that children could offer, without its provider.
    fn offered_name(&self, id: ServiceId) -> Option<&str> {
        match split(&self.slots.get(id).name) {
            Some((name, MULTICLUSTER)) => Some(name),
            Some(_) | None => None,
        }
    }

    /// Why a request to a service that nobody defines gets 503.
    pub(super) fn why_missing(&self, id: ServiceId) -> Arc<str> {
        let name = &self.slots.get(id).name;
        match self.offered_name(id) {
            None => format!("there is no service {name}").into(),
            Some(alias) => match self.offers.clash(alias) {
                Some(clash) => clash.into(),
                None => format!("no child offers {name}").into(),
            },
        }
    }

    /// Brings the list of everything that is wrong up to date.
    pub(super) fn refresh_problems(&mut self) {
        if !std::mem::take(&mut self.pending.problems) {
            return;
        }
        let mut all: Vec<Diagnostic> = self.between.problems().cloned().collect();
        all.extend(self.routing.problems().cloned());
        all.extend(self.secure.problems.iter().cloned());
        for id in &self.slots.with_problems {
            all.extend(self.slots.get(*id).faults.iter().filter_map(|fault| fault.told.clone()));
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

/// Where a service names others, and which.
fn parts<'a>(service: &'a Arc<Service>, shape: &Shape) -> Vec<(String, &'a Place, ServiceId)> {
    let ids = shape.services();
    let places: Vec<(String, &Place)> =
        match &service.kind {
            ServiceKind::Weighted { services, manner } => (0..)
                .zip(services)
                .map(|(at, part)| (format!("{}[{at}].name", manner.members_key()), &part.place))
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
