//! What a service chooses by when turns alone do not say it.

use super::Compiler;
use super::slots::{Part, Seat, Shape};
use crate::base::diag::Diagnostic;
use crate::base::id::ServiceId;
use crate::base::mutant::{Mutant, planted};
use crate::base::secret::Secret;
use crate::config::typed::{KeyFrom, Manner, Service, ServiceKind, Strategy};
use crate::service::choosing::{Candidate, Choosing, Sticking};
use crate::service::signed::{Signed, number_of};
use crate::service::standing::Standing;
use crate::service::sticky::Sticky;
use crate::view::Leash;
use std::sync::Arc;

/// What follows from a definition alone.
#[derive(Debug)]
pub(super) struct ChosenBy {
    strategy: Strategy,
    /// What members are told apart by.
    names: Arc<[Arc<str>]>,
    sticky: Option<Arc<Sticky>>,
    signed: Option<Arc<Signed>>,
}

impl ChosenBy {
    /// Nothing if turns say it all.
    pub(super) fn of(kind: &ServiceKind) -> Option<Self> {
        match kind {
            ServiceKind::Balancer(balancer) => {
                Self::new(&balancer.manner, balancer.servers.iter().map(|server| &*server.url))
            }
            ServiceKind::Weighted { services, manner } => {
                Self::new(manner, services.iter().map(|part| &*part.key))
            }
            ServiceKind::Failover(_) | ServiceKind::Mirroring(_) | ServiceKind::Broken(_) => None,
        }
    }

    fn new<'a>(manner: &Manner, names: impl Iterator<Item = &'a str>) -> Option<Self> {
        if manner.is_plain() {
            return None;
        }
        let names: Arc<[Arc<str>]> = names.map(Arc::from).collect();
        let sticky = manner.sticky.as_ref().filter(|cookie| cookie.signed_by.is_none());
        let sticky = sticky.map(|cookie| Sticky::new(cookie, names.iter().map(|name| &**name)));
        let strategy = manner.strategy;
        Some(Self { strategy, names, sticky: sticky.map(Arc::new), signed: None })
    }

    fn counts_load(&self) -> bool {
        matches!(self.strategy, Strategy::P2c | Strategy::LeastTime)
    }
}

impl Compiler {
    /// Of a service that stands as its `best` members do.
    pub(super) fn choosing(&mut self, id: ServiceId, best: Standing) -> Option<Choosing> {
        let chosen_by = Arc::clone(self.slots.get(id).chosen_by.as_ref()?);
        let members = self.members(id)?;
        let takes = |(standing, weight): (Standing, u32)| {
            let fit = standing == best || planted(Mutant::StrategyPicksDown);
            weight > 0 && fit && best.serves()
        };
        let candidates = (0..=u16::MAX)
            .zip(&members)
            .filter(|(_, member)| takes(**member))
            .map(|(position, (_, weight))| Candidate { position, weight: *weight });
        // A session stays where it is until its member is known to be down: a request is turned
        // away neither by a check that has not answered yet nor by a weight of 0.
        let stays = members.iter().map(|(standing, _)| standing.serves());
        let sticky = chosen_by
            .sticky
            .as_ref()
            .map(|cookie| Sticking { cookie: Arc::clone(cookie), stays: stays.collect() });
        let candidates = candidates.collect();
        let loads = if chosen_by.counts_load() { self.loads(id) } else { Box::default() };
        Some(Choosing {
            strategy: chosen_by.strategy,
            candidates,
            names: Arc::clone(&chosen_by.names),
            loads,
            sticky,
            signed: chosen_by.signed.clone(),
        })
    }

    /// What a service chooses by, its keys read.
    pub(super) fn chosen_by(&mut self, service: &Service) -> Option<ChosenBy> {
        let mut chosen_by = ChosenBy::of(&service.kind)?;
        let cookie = service.kind.manner().and_then(|manner| manner.sticky.as_ref());
        if let Some(cookie) = cookie
            && let Some(from) = &cookie.signed_by
        {
            let keys = self.keys(from);
            chosen_by.signed = Some(Arc::new(Signed::new(&service.name, cookie, keys)));
        }
        Some(chosen_by)
    }

    fn keys(&mut self, from: &KeyFrom) -> Vec<Secret> {
        let path = match from {
            KeyFrom::Inline(key) => return vec![key.clone()],
            KeyFrom::File(_) if self.servers.assumes_keys => {
                return vec![Secret::new(b"in the place of the one in the file".as_slice())];
            }
            KeyFrom::File(path) => path,
        };
        let read = self.secure.keyring.plain(path);
        let read = read.and_then(|text| lines(&text).map_err(|why| format!("{path}: {why}")));
        let held = self.sticky_keys.entry(Arc::clone(path)).or_default();
        match read {
            Ok(keys) => *held = (keys, String::new()),
            Err(why) => held.1 = why,
        }
        held.0.clone()
    }

    /// Services whose cookie is signed with keys of a file that is another now.
    pub(super) fn read_keys_again(&mut self, path: &Arc<str>) {
        let services = self.dynamic.services.clone();
        for service in services {
            let file = service.kind.manner().and_then(Manner::key_file);
            let id = self.registry.services.find(&*service.name).map(ServiceId);
            if let (Some(id), true) = (id, file == Some(path)) {
                self.slots.get_mut(id).chosen_by = self.chosen_by(&service).map(Arc::new);
                self.slots.touch(id);
            }
        }
    }

    /// Says which files have no key to sign with, and forgets those that nobody names.
    pub(super) fn explain_keys(&mut self) {
        let named = |path: &Arc<str>| {
            let mut all = self.dynamic.services.iter().filter_map(|it| it.kind.manner());
            all.any(|manner| manner.key_file() == Some(path))
        };
        self.sticky_keys.retain(|path, _| named(path));
        for service in &self.dynamic.services {
            let Some(manner) = service.kind.manner() else { continue };
            let Some((keys, why)) = manner.key_file().and_then(|it| self.sticky_keys.get(it))
            else {
                continue;
            };
            if why.is_empty() {
                continue;
            }
            let then = if keys.is_empty() {
                "no session sticks"
            } else {
                "the keys of its last good reading stay"
            };
            let name = service.name.trim_end_matches("@file");
            let kind = if matches!(service.kind, ServiceKind::Balancer(_)) {
                "loadBalancer"
            } else {
                manner.kind()
            };
            let path = format!("http.services.{name}.{kind}.sticky.tieline.allLevels.keyFile");
            let problem = Diagnostic::error("key-file", path, format!("{why}; {then}"));
            let place = &service.place;
            self.secure.problems.push(problem.at(&place.file, place.line, place.column));
        }
    }

    /// How cookies for all levels name a service and its members, where there are such cookies.
    pub(super) fn leash(&self, id: ServiceId) -> Option<Leash> {
        if !self.leashes {
            return None;
        }
        let members = self.members(id)?;
        let slot = self.slots.get(id);
        let numbers = match &slot.shape {
            Shape::Balancer { seats, .. } => {
                seats.iter().map(|seat| number_of(&seat.node.url)).collect()
            }
            Shape::Weighted(parts) => {
                parts.iter().map(|it| number_of(&self.slots.get(it.service).name)).collect()
            }
            Shape::Missing
            | Shape::Failover { .. }
            | Shape::Mirroring { .. }
            | Shape::Internal(_)
            | Shape::Broken { .. } => return None,
        };
        let stays = members.iter().map(|(standing, _)| standing.serves()).collect();
        Some(Leash { service: number_of(&slot.name), members: numbers, stays })
    }

    /// Whether any service has a cookie for all levels. All are looked at again if that is news.
    pub(super) fn note_leashes(&mut self, services: &[Arc<Service>]) {
        let signs = |service: &Arc<Service>| {
            let cookie = service.kind.manner().and_then(|manner| manner.sticky.as_ref());
            cookie.is_some_and(|cookie| cookie.signed_by.is_some())
        };
        let leashes = services.iter().any(signs);
        if std::mem::replace(&mut self.leashes, leashes) != leashes {
            let ids: Vec<ServiceId> = self.slots.iter().map(|(id, _)| id).collect();
            ids.into_iter().for_each(|id| self.slots.touch(id));
        }
    }

    /// How each member stands, and its weight.
    fn members(&self, id: ServiceId) -> Option<Vec<(Standing, u32)>> {
        let seat = |seat: &Seat| (self.seat_standing(seat), seat.weight);
        let part = |part: &Part| (self.slots.standing(part.service), self.weight(part));
        match &self.slots.get(id).shape {
            Shape::Balancer { seats, .. } => Some(seats.iter().map(seat).collect()),
            Shape::Weighted(parts) => Some(parts.iter().map(part).collect()),
            Shape::Missing
            | Shape::Failover { .. }
            | Shape::Mirroring { .. }
            | Shape::Internal(_)
            | Shape::Broken { .. } => None,
        }
    }

    fn loads(&mut self, id: ServiceId) -> Box<[Arc<crate::service::load::Load>]> {
        let servers: Vec<_> = self.slots.get(id).shape.servers().collect();
        servers.into_iter().map(|server| self.servers.load(server)).collect()
    }
}

/// A key a line, spaces around it aside.
fn lines(text: &Secret) -> Result<Vec<Secret>, String> {
    let text = std::str::from_utf8(text.reveal()).map_err(|_| "it is no text".to_owned())?;
    let keys: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if keys.iter().any(|key| key.len() < KeyFrom::BYTES_MIN) {
        return Err(format!("a key in it has less than {} letters", KeyFrom::BYTES_MIN));
    }
    if keys.is_empty() {
        return Err("there is no key in it".to_owned());
    }
    Ok(keys.iter().map(|key| Secret::new(key.as_bytes())).collect())
}
