//! Middlewares of services themselves: what stands before a service, whoever leads to it.

use super::Compiler;
use super::slots::Slot;
use crate::base::id::ServiceId;
use crate::config::typed::Service;
use crate::service::middleware::{GAUGES_MAX, Step};
use crate::view::model::Definition;
use crate::view::registry::User;
use crate::view::{Before, GUARDS_MAX, Guard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What stands before one service.
#[derive(Clone, Debug)]
pub(super) struct Guarding {
    name: Arc<str>,
    /// Why it cannot be reached, if the middlewares cannot be used.
    pub(super) guard: Result<Arc<Guard>, Arc<str>>,
    through: Arc<BTreeSet<String>>,
}

/// Who is guarded, and by what.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// Services with middlewares, or with some until a moment ago.
    ids: BTreeSet<ServiceId>,
    /// Of these, whose middlewares have to be looked at again.
    touched: BTreeSet<ServiceId>,
    /// By middleware: the names of services that it stands before.
    used_by: BTreeMap<String, BTreeSet<Arc<str>>>,
    /// Middlewares whose users may be others than were shown.
    seen: BTreeSet<String>,
}

impl Guards {
    pub(super) fn users(&self, middleware: &str) -> impl Iterator<Item = &Arc<str>> {
        self.used_by.get(middleware).into_iter().flatten()
    }

    pub(super) fn uses(&self, middleware: &str, service: &str) -> bool {
        self.used_by.get(middleware).is_some_and(|users| users.contains(service))
    }
}

impl Slot {
    fn written(&self) -> Option<&Arc<Service>> {
        match &self.definition {
            Some(Definition::Written(service)) => Some(service),
            Some(
                Definition::Child { .. } | Definition::Aggregate { .. } | Definition::Internal(_),
            )
            | None => None,
        }
    }
}

impl Compiler {
    /// Has the middlewares of a service looked at again, if it has any or had.
    pub(super) fn touch_guard(&mut self, id: ServiceId) {
        let slot = self.slots.get(id);
        let guarded = slot.written().is_some_and(|service| !service.middlewares.is_empty());
        if guarded || slot.guarding.is_some() {
            self.guards.ids.insert(id);
            self.guards.touched.insert(id);
        }
    }

    /// Makes anew what stands before services, all of them if the middlewares are others. Says
    /// which middlewares it saw.
    pub(super) fn build_guards(&mut self, all: bool) -> BTreeSet<String> {
        let touched = std::mem::take(&mut self.guards.touched);
        let ids = if all { self.guards.ids.clone() } else { touched };
        for id in ids {
            self.forget_guarding(id);
            let slot = self.slots.get(id);
            let service = slot.written().filter(|it| !it.middlewares.is_empty()).cloned();
            match service {
                Some(service) => {
                    let guarding = self.guarding(&service);
                    for middleware in guarding.through.iter() {
                        self.guards.seen.insert(middleware.clone());
                        let users = self.guards.used_by.entry(middleware.clone()).or_default();
                        users.insert(Arc::clone(&guarding.name));
                    }
                    self.slots.get_mut(id).guarding = Some(guarding);
                }
                None => {
                    self.guards.ids.remove(&id);
                }
            }
            self.slots.touch(id);
        }
        std::mem::take(&mut self.guards.seen)
    }

    pub(super) fn forget_guarding(&mut self, id: ServiceId) {
        let Some(old) = self.slots.get_mut(id).guarding.take() else { return };
        for middleware in old.through.iter() {
            self.guards.seen.insert(middleware.clone());
            if let Some(users) = self.guards.used_by.get_mut(middleware) {
                users.remove(&old.name);
            }
        }
    }

    fn guarding(&mut self, service: &Service) -> Guarding {
        let unrolled = self.routing.middle.steps(usize::MAX, &service.middlewares);
        let name: Arc<str> = service.name.as_str().into();
        let guard = unrolled.steps.map_err(Arc::from).map(|steps| {
            let user = User::Service(Arc::clone(&name));
            let counts = user.to_string().into();
            Arc::new(Guard { counts, steps: self.own_breakers(steps, &user) })
        });
        Guarding { name, guard, through: unrolled.through }
    }

    /// What a request may meet at a service and below it.
    pub(super) fn before(&self, id: ServiceId) -> Before {
        let slot = self.slots.get(id);
        let mut most = Before::default();
        for below in slot.shape.services() {
            let Some(node) = self.view.services.get(below.0) else { continue };
            most.guards = most.guards.max(node.before.guards);
            most.gauges = most.gauges.max(node.before.gauges);
            most.breaks |= node.before.breaks;
        }
        if let Some(Guarding { guard: Ok(guard), .. }) = &slot.guarding {
            let is_gauge = |step: &&Step| matches!(step, Step::InFlight(_));
            most.guards += 1;
            most.gauges += guard.steps.iter().filter(is_gauge).count();
            most.breaks |= guard.breaks();
        }
        most
    }

    /// Why nothing passes what stands before a service.
    pub(super) fn why_barred(&self, id: ServiceId, before: Before) -> Option<Arc<str>> {
        match &self.slots.get(id).guarding {
            Some(Guarding { guard: Err(why), .. }) => Some(Arc::clone(why)),
            Some(_) if before.guards > GUARDS_MAX => {
                let text = format!("more than {GUARDS_MAX} services with middlewares nest");
                Some(text.into())
            }
            Some(_) if before.gauges > GAUGES_MAX => {
                Some(format!("more than {GAUGES_MAX} inFlightReq of services in a row").into())
            }
            Some(_) | None => None,
        }
    }
}
