//! What this instance offers to its parents.

use super::Compiler;
use crate::base::diag::Diagnostic;
use crate::base::name::normalised;
use crate::config::fixed::EntryPoint;
use crate::config::typed::Uplink;
use crate::uplink::advert::{self, Advert};
use crate::view::model::Condition;
use crate::view::{Advertised, EntryView, Offer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct UplinkState {
    /// As advertised.
    pub(super) name: Arc<str>,
    /// The name in the form in which names are compared.
    pub(super) key: String,
    definition: Arc<Uplink>,
    /// Positions among all entry points.
    pub(super) entries: Vec<usize>,
    pub(super) works: bool,
}

impl Compiler {
    pub(super) fn resolve_uplinks(&self, uplinks: &[Arc<Uplink>]) -> Vec<UplinkState> {
        let mut by_key: BTreeMap<String, Vec<&Arc<Uplink>>> = BTreeMap::new();
        for uplink in uplinks {
            by_key.entry(normalised(&uplink.name).into_owned()).or_default().push(uplink);
        }
        let mut states = Vec::new();
        for (key, same) in by_key {
            // A parent could not tell them apart.
            let is_alone = same.len() == 1;
            for uplink in same {
                let entries = self.uplink_entries(uplink);
                states.push(UplinkState {
                    name: uplink.name.as_str().into(),
                    key: key.clone(),
                    definition: Arc::clone(uplink),
                    works: is_alone && !entries.is_empty(),
                    entries,
                });
            }
        }
        states
    }

    /// Empty if the uplink must not be in effect: one that names an ordinary entry point would be
    /// open to clients.
    fn uplink_entries(&self, uplink: &Uplink) -> Vec<usize> {
        let ordinary = self.fixed.entry_points.len();
        let of_uplinks = &self.fixed.uplink_entry_points;
        if uplink.entry_points.is_empty() {
            let marked = of_uplinks.iter().any(|entry| entry.as_default);
            let chosen = (ordinary..).zip(of_uplinks).filter(|(_, e)| e.as_default || !marked);
            return chosen.map(|(at, _)| at).collect();
        }
        let is_ordinary =
            |name: &String| self.fixed.entry_points.iter().any(|entry| entry.name == *name);
        if uplink.entry_points.iter().any(is_ordinary) {
            return Vec::new();
        }
        let named = |entry: &EntryPoint| uplink.entry_points.contains(&entry.name);
        (ordinary..).zip(of_uplinks).filter(|(_, e)| named(e)).map(|(at, _)| at).collect()
    }

    /// The answer to `GET /api/uplinks` on one entry point: uplinks in effect there that some
    /// router serves.
    pub(super) fn advertised(&self, entry: usize) -> Arc<Advertised> {
        let ordinary = self.fixed.entry_points.len();
        let names = &self.fixed.uplink_entry_points;
        let served = self.served_uplinks();
        let is_offered = |uplink: &&UplinkState| {
            uplink.works && uplink.entries.contains(&entry) && served.contains(&*uplink.key)
        };
        let mut adverts: Vec<Advert> = self
            .routing
            .uplinks
            .iter()
            .filter(is_offered)
            .map(|uplink| Advert {
                name: Arc::clone(&uplink.name),
                entry_points: uplink
                    .entries
                    .iter()
                    .map(|at| names[at - ordinary].name.clone())
                    .collect(),
                weight: uplink.definition.weight,
                health_check: uplink.definition.health_check.clone(),
                passive: uplink.definition.passive.clone(),
            })
            .collect();
        adverts.sort_by(|a, b| a.name.cmp(&b.name));
        let body = advert::encode(&adverts);
        let etag = advert::etag(&body);
        Arc::new(Advertised { body: body.into(), etag })
    }

    /// Compared names of uplinks that a router without faults serves.
    fn served_uplinks(&self) -> BTreeSet<String> {
        let working =
            self.routing.routers.values().filter(|r| r.info.condition != Condition::Disabled);
        let names = working.flat_map(|router| &router.definition.uplinks);
        names.map(|name| normalised(name).into_owned()).collect()
    }

    /// Carries changes of what is served over to the adverts.
    pub(super) fn refresh_adverts(&mut self) {
        if self.routing.uplinks.is_empty() && self.routing.idle.is_empty() {
            return;
        }
        self.warn_of_idle_uplinks();
        for at in self.fixed.entry_points.len()..self.view.entries.len() {
            let view = &self.view.entries[at];
            let Offer::Uplinks { uplinks, advert } = &view.offer else { continue };
            let new = self.advertised(at);
            if new.body == advert.body {
                continue;
            }
            let uplinks = uplinks.clone();
            self.view.entries[at] = Arc::new(EntryView {
                id: view.id,
                settings: Arc::clone(&view.settings),
                stats: Arc::clone(&view.stats),
                offer: Offer::Uplinks { uplinks, advert: new },
                secure: view.secure.clone(),
            });
            self.pending.changed = true;
        }
    }

    /// An uplink that nobody serves is not offered: a parent would send requests into 404s.
    fn warn_of_idle_uplinks(&mut self) {
        let served = self.served_uplinks();
        let names = self.routing.routers.values().flat_map(|router| &router.definition.uplinks);
        let named: BTreeSet<String> = names.map(|name| normalised(name).into_owned()).collect();
        let idle: Vec<Diagnostic> = self
            .routing
            .uplinks
            .iter()
            .filter(|uplink| uplink.works && !served.contains(&uplink.key))
            .filter(|uplink| named.contains(&uplink.key))
            .map(|uplink| {
                let path = format!("http.uplinks.{}", uplink.name);
                let text = "all its routers are disabled, so it is not advertised";
                let place = &uplink.definition.place;
                let problem = Diagnostic::warning("idle-uplink", path, text);
                problem.at(&place.file, place.line, place.column)
            })
            .collect();
        self.pending.problems |= self.routing.idle != idle;
        self.routing.idle = idle;
    }
}
