//! What this instance offers to its parents.

use super::Compiler;
use super::problems::at;
use crate::base::diag::Diagnostic;
use crate::base::name::normalised;
use crate::config::typed::Uplink;
use crate::uplink::advert::{self, Advert};
use crate::view::model::Condition;
use crate::view::{Advertised, EntryView, Offer, UplinkRoutes};
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
    pub(super) fn resolve_uplinks(
        &self,
        uplinks: &[Arc<Uplink>],
    ) -> (Vec<UplinkState>, Vec<Diagnostic>) {
        let mut problems = Vec::new();
        let mut by_key: BTreeMap<String, Vec<&Arc<Uplink>>> = BTreeMap::new();
        for uplink in uplinks {
            by_key.entry(normalised(&uplink.name).into_owned()).or_default().push(uplink);
        }
        let mut states = Vec::new();
        for (key, same) in by_key {
            let is_alone = same.len() == 1;
            for uplink in &same {
                if !is_alone {
                    problems.push(clash(uplink, &same, &key));
                }
                let entries = self.uplink_entries(uplink, &mut problems);
                states.push(UplinkState {
                    name: uplink.name.as_str().into(),
                    key: key.clone(),
                    definition: Arc::clone(uplink),
                    works: is_alone && !entries.is_empty(),
                    entries,
                });
            }
        }
        (states, problems)
    }

    /// Empty if the uplink must not be in effect.
    fn uplink_entries(&self, uplink: &Uplink, problems: &mut Vec<Diagnostic>) -> Vec<usize> {
        let ordinary = self.fixed.entry_points.len();
        let of_uplinks = &self.fixed.uplink_entry_points;
        let mut problem = |field: &str, code: &'static str, text: String| {
            let path = format!("http.uplinks.{}{field}", uplink.name);
            problems.push(at(Diagnostic::error(code, path, text), &uplink.place));
        };
        if of_uplinks.is_empty() {
            let text = "there is no uplink entry point: see hub.uplinkEntryPoints";
            problem("", "no-uplink-entry-point", text.into());
            return Vec::new();
        }
        if uplink.entry_points.is_empty() {
            let marked = of_uplinks.iter().any(|entry| entry.as_default);
            let chosen = (ordinary..).zip(of_uplinks).filter(|(_, e)| e.as_default || !marked);
            return chosen.map(|(at, _)| at).collect();
        }
        let mut entries = Vec::new();
        let mut is_isolated = true;
        for (position, name) in (0..).zip(&uplink.entry_points) {
            let field = format!(".entryPoints[{position}]");
            if let Some(found) = of_uplinks.iter().position(|entry| entry.name == *name) {
                entries.push(ordinary + found);
            } else if self.fixed.entry_points.iter().any(|entry| entry.name == *name) {
                let text =
                    format!("{name} is not an uplink entry point: the uplink is not offered");
                problem(&field, "ordinary-entry-point", text);
                is_isolated = false;
            } else {
                let text = format!("there is no uplink entry point {name}");
                problem(&field, "unknown-entry-point", text);
            }
        }
        if is_isolated { entries } else { Vec::new() }
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
            self.routing.routers.iter().filter(|r| r.info.condition != Condition::Disabled);
        let names = working.flat_map(|router| &router.definition.uplinks);
        names.map(|name| normalised(name).into_owned()).collect()
    }

    /// Carries changes of what is served over to the adverts.
    pub(super) fn refresh_adverts(&mut self) {
        self.warn_of_idle_uplinks();
        for at in self.fixed.entry_points.len()..self.view.entries.len() {
            let view = &self.view.entries[at];
            let Offer::Uplinks { uplinks, advert } = &view.offer else { continue };
            let new = self.advertised(at);
            if new.body == advert.body {
                continue;
            }
            let copy = |uplink: &UplinkRoutes| UplinkRoutes {
                name: Arc::clone(&uplink.name),
                routes: Arc::clone(&uplink.routes),
            };
            let uplinks = uplinks.iter().map(copy).collect();
            self.view.entries[at] = Arc::new(EntryView {
                id: view.id,
                settings: Arc::clone(&view.settings),
                stats: Arc::clone(&view.stats),
                offer: Offer::Uplinks { uplinks, advert: new },
            });
            self.pending.changed = true;
        }
    }

    /// An uplink that nobody serves is not offered: a parent would send requests into 404s.
    fn warn_of_idle_uplinks(&mut self) {
        let served = self.served_uplinks();
        let idle: Vec<Diagnostic> = self
            .routing
            .uplinks
            .iter()
            .filter(|uplink| uplink.works && !served.contains(&uplink.key))
            .map(|uplink| {
                let path = format!("http.uplinks.{}", uplink.name);
                let text = "no router serves this uplink: it is not offered";
                let problem = Diagnostic::warning("idle-uplink", path, text);
                at(problem, &uplink.definition.place)
            })
            .collect();
        let problems = &mut self.routing.own_problems;
        problems.retain(|problem| problem.code != "idle-uplink");
        problems.extend(idle);
        self.pending.problems = true;
    }
}

fn clash(uplink: &Uplink, same: &[&Arc<Uplink>], key: &str) -> Diagnostic {
    let names: Vec<&str> = same.iter().map(|uplink| &*uplink.name).collect();
    let text = format!(
        "uplinks {} are one name when compared ({key}): none is offered",
        names.join(" and ")
    );
    let path = format!("http.uplinks.{}", uplink.name);
    at(Diagnostic::error("name-clash", path, text), &uplink.place)
}
