//! The views of a capsule, made anew.

use crate::base::diag::Diagnostic;
use crate::base::id::{ChildId, ServerId};
use crate::base::limits::ControlLimits;
use crate::base::prng::Prng;
use crate::base::time::Wall;
use crate::config::fixed::{Fixed, Provider};
use crate::config::{Setting, dynamic_in, fixed_from_file};
use crate::service::standing::Health;
use crate::uplink::advert;
use crate::view::compile::Compiler;
use crate::view::stats::Stats;
use crate::view::{NodeKind, View};
use crate::worker::capsule::{Capsule, Moment};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is otherwise than when the capsule was recorded.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Path and text of a static document.
    pub fixed: Option<(String, String)>,
    /// Paths and texts of all dynamic documents.
    pub documents: Option<Vec<(String, String)>>,
}

/// The views of a capsule by epoch.
#[derive(Debug)]
pub struct Stage {
    pub views: BTreeMap<u64, Arc<View>>,
    /// What is wrong with the documents.
    pub problems: Vec<Diagnostic>,
    pub workers: u64,
    /// Addresses and names.
    children: Vec<(String, String)>,
}

struct Builder {
    compiler: Compiler,
    fixed: Arc<Fixed>,
    change: Change,
    /// What the capsule knows of servers.
    health: BTreeMap<(String, String), (Health, bool)>,
    problems: Vec<Diagnostic>,
    documents: usize,
}

impl Stage {
    /// Makes the views.
    ///
    /// # Errors
    /// What the capsule lacks, or why the other configuration cannot be used.
    pub fn new(capsule: &Capsule, change: Change) -> Result<Self, String> {
        let (path, text) = match &change.fixed {
            Some((path, text)) => (path.as_str(), text.as_str()),
            None => ("static.yml", capsule.header.fixed.as_str()),
        };
        let (mut fixed, problems) = fixed_from_file(path, text);
        fixed.tieline.instance.clone_from(&capsule.header.instance);
        if capsule.moments.is_empty() {
            return Err("the capsule has no view: it cannot be replayed".to_owned());
        }
        let fixed = Arc::new(fixed);
        let stats = Arc::new(Stats::new(1, 0, Wall(capsule.header.started)));
        // What was counted by source is told by the capsule, and not counted again.
        let limits = ControlLimits { source_words: 1, proof_words: 1, ..Default::default() };
        let mut compiler = Compiler::new(Arc::clone(&fixed), limits, stats, &mut Prng::new(1));
        compiler.assume_keys();
        let mut builder = Builder {
            compiler,
            fixed,
            change,
            health: BTreeMap::new(),
            problems: problems.into_iter().filter(Diagnostic::is_error).collect(),
            documents: 0,
        };
        let mut views = BTreeMap::new();
        for moment in &capsule.moments {
            views.insert(moment.epoch, Arc::new(builder.view(moment)?));
        }
        let Builder { problems, fixed, .. } = builder;
        let children = fixed.multicluster.iter().flat_map(|it| &it.children);
        let children = children.map(|it| (it.address.to_string(), it.name.clone())).collect();
        Ok(Self { views, problems, workers: capsule.header.workers, children })
    }

    /// The child at this address.
    pub fn child(&self, url: &str) -> Option<&str> {
        let found = self.children.iter().find(|(address, _)| address == url);
        found.map(|(_, name)| name.as_str())
    }
}

impl Builder {
    fn view(&mut self, moment: &Moment) -> Result<View, String> {
        if moment.too_large && self.change.documents.is_none() {
            return Err(format!(
                "the configuration of epoch {} is not told: it was too large or came over HTTP",
                moment.epoch
            ));
        }
        let first = self.documents == 0 && self.change.documents.is_some();
        let new = self.change.documents.as_ref().filter(|_| first);
        let own = moment.documents.as_ref().filter(|_| self.change.documents.is_none());
        if let Some(documents) = new.or(own).cloned() {
            self.documents += 1;
            let read = |(path, text): &(String, String)| match own {
                // What a capsule tells is JSON, whatever it was read from.
                Some(_) => (format!("{path}.yml"), text.clone()),
                None => (path.clone(), text.clone()),
            };
            let all: Vec<(String, String)> = documents.iter().map(read).collect();
            let texts = all.iter().map(|(path, text)| (path.as_str(), text.as_str()));
            let setting = Setting::of(&self.fixed, Provider::File);
            let reading = dynamic_in(&texts.collect::<Vec<_>>(), &setting);
            if self.change.documents.is_some() {
                let errors = reading.diagnostics.into_iter().filter(Diagnostic::is_error);
                self.problems.extend(errors);
            }
            self.compiler.set_dynamic(reading.dynamic);
        }
        for (child, adverts) in &moment.adverts {
            let decoded = advert::decode(adverts.as_bytes()).map_err(|why| {
                let why = why.join(", ");
                format!("epoch {}: what child {child} offered is unreadable: {why}", moment.epoch)
            })?;
            self.compiler.set_adverts(ChildId(*child), decoded.adverts);
        }
        for (child, freshness) in &moment.freshness {
            self.compiler.set_freshness(ChildId(*child), *freshness);
        }
        self.compiler.build();
        for server in &moment.servers {
            let place = (server.service.clone(), server.url.clone());
            self.health.insert(place, (server.health, server.ejected));
        }
        self.tell_health();
        self.compiler.build();
        Ok(self.compiler.view().clone())
    }

    /// Who was not known then is taken to be up.
    fn tell_health(&mut self) {
        let mut all: Vec<(ServerId, Health, bool)> = Vec::new();
        for node in self.compiler.view().services.iter() {
            let NodeKind::Balancer { servers, .. } = &node.kind else { continue };
            for server in servers {
                let place = (node.name.to_string(), server.url.to_string());
                match self.health.get(&place) {
                    Some((health, ejected)) => all.push((server.id, *health, *ejected)),
                    None if self.change.documents.is_some() => {
                        all.push((server.id, Health::Up, false));
                    }
                    None => {}
                }
            }
        }
        for (server, health, ejected) in all {
            self.compiler.set_health(server, health);
            self.compiler.set_ejected(server, ejected);
        }
    }
}

impl Stage {
    /// Names of fields and query parameters that rules look into by patterns, where all that is
    /// known of the value is a hash; with another configuration also those it compares with.
    pub(super) fn unseen(&self, changed: bool) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for view in self.views.values() {
            for router in view.model.routers.iter() {
                if let Some(rule) = &router.definition.rule {
                    super::again::unseen(rule.ast(), changed, &mut names);
                }
            }
        }
        names
    }
}
