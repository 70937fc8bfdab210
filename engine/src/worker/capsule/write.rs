//! The capsule of a process, by what a worker can see: the tapes of all workers, and the views of
//! the last while.

use super::{Capsule, Header, Moment, Server, VERSION, text};
use crate::base::limits::Limits;
use crate::base::time::Time;
use crate::http::discreet::{Veil, is_secret};
use crate::rule::{Matcher, Node};
use crate::service::stale::Freshness;
use crate::uplink::advert;
use crate::view::stats::Stats;
use crate::view::{NodeKind, View, past};
use crate::worker::recording::event::{Event, Record};
use crate::worker::recording::tail;
use std::collections::BTreeMap;

/// Nothing if nothing is recorded.
pub fn write(view: &View, stats: &Stats, now: Time) -> Option<String> {
    if view.past.0.is_empty() {
        return None;
    }
    let entries: Vec<&str> =
        view.entries.iter().map(|entry| entry.settings.name.as_str()).collect();
    let (mut records, before) = tail(stats, &entries, Limits::default().capsule_bytes);
    let open = Revealed::of(view);
    records.iter_mut().for_each(|record| open.reveal(record));
    let fixed = &view.fixed;
    let header = Header {
        capsule: VERSION,
        tieline: env!("CARGO_PKG_VERSION").to_owned(),
        instance: fixed.tieline.instance.clone(),
        workers: stats.workers.len() as u64,
        started: stats.started.0,
        at: now.nanos(),
        before,
        environment: Vec::new(),
        fixed: fixed.written.0.to_string(),
    };
    let moments = moments(view);
    Some(text(&Capsule { header, moments, records }))
}

/// Each moment by what differs from the one before.
fn moments(view: &View) -> Vec<Moment> {
    let mut earlier: Option<&past::Moment> = None;
    let mut servers = BTreeMap::new();
    let mut told = Vec::new();
    for moment in &view.past.0 {
        let (now, before) = (&moment.known, earlier.map(|it| &it.known));
        let same = before.is_some_and(|before| before.has_documents_of(now));
        let documents = now.documents.as_ref().filter(|_| !same);
        let adverts = (0..).zip(&now.adverts).filter(|(at, adverts)| {
            let old = before.and_then(|before| before.adverts.get(usize::from(*at)));
            old.is_none_or(|old| old != *adverts)
        });
        let adverts = adverts.map(|(at, adverts)| {
            let body = advert::encode(adverts.iter());
            (at, String::from_utf8_lossy(&body).into_owned())
        });
        let freshness = (0..).zip(&now.freshness).filter(|(at, freshness)| {
            let old = before.and_then(|before| before.freshness.get(usize::from(*at)));
            old.copied().unwrap_or(Freshness::Fresh) != **freshness
        });
        told.push(Moment {
            epoch: moment.view.epoch,
            at: moment.at.nanos(),
            documents: documents.map(|all| all.to_vec()),
            too_large: now.documents.is_none(),
            adverts: adverts.collect(),
            freshness: freshness.map(|(at, freshness)| (at, *freshness)).collect(),
            servers: changed(&moment.view, &mut servers),
        });
        earlier = Some(moment);
    }
    told
}

/// Servers of which checks say something else than `known`, which they are added to.
fn changed(view: &View, known: &mut BTreeMap<(String, String), Server>) -> Vec<Server> {
    let mut all = Vec::new();
    for node in view.services.iter() {
        let NodeKind::Balancer { servers, .. } = &node.kind else { continue };
        for server in servers {
            let Some(status) = view.status.servers.get(server.id.0) else { continue };
            let now = Server {
                service: node.name.to_string(),
                url: server.url.to_string(),
                health: status.health,
                ejected: status.ejected,
            };
            let place = (now.service.clone(), now.url.clone());
            if known.get(&place) != Some(&now) {
                known.insert(place, now.clone());
                all.push(now);
            }
        }
    }
    all
}

/// Values that the configuration compares with in the open: those are no secrets.
struct Revealed {
    /// By name in lower case and by what stands for the value.
    values: BTreeMap<(String, String), String>,
}

impl Revealed {
    fn of(view: &View) -> Self {
        let mut open = Self { values: BTreeMap::new() };
        let veil = Veil::new(view.key);
        for moment in &view.past.0 {
            for router in moment.view.model.routers.iter() {
                if let Some(rule) = &router.definition.rule {
                    open.gather(rule.ast(), veil);
                }
            }
        }
        open
    }

    fn gather(&mut self, node: &Node, veil: Veil) {
        match node {
            Node::Match(
                Matcher::Header { name, value } | Matcher::Query { key: name, value: Some(value) },
            ) if !is_secret(name) => {
                self.values.insert((name.to_lowercase(), veil.hidden(value)), value.clone());
            }
            Node::Match(_) => {}
            Node::Not(inner) => self.gather(inner, veil),
            Node::And(parts) | Node::Or(parts) => {
                parts.iter().for_each(|part| self.gather(part, veil));
            }
        }
    }

    fn reveal(&self, record: &mut Record) {
        let Event::Asked(asked) = &mut record.event else { return };
        for (name, value) in &mut asked.fields {
            if let Some(open) = self.values.get(&(name.to_lowercase(), value.clone())) {
                value.clone_from(open);
            }
        }
        let Some((path, query)) = asked.target.split_once('?') else { return };
        let pairs = query.split('&').map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let open = self.values.get(&(name.to_lowercase(), value.to_owned()))?;
            let plain = open.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
            plain.then(|| format!("{name}={open}"))
        });
        let pairs: Vec<String> = pairs
            .zip(query.split('&'))
            .map(|(open, pair)| open.unwrap_or_else(|| pair.to_owned()))
            .collect();
        asked.target = format!("{path}?{}", pairs.join("&"));
    }
}
