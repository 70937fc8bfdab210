//! What a build hands over besides the view: differences against the build before.

use super::servers::Servers;
use crate::base::diag::Diagnostic;
use crate::base::id::{ServerId, TargetId};
use crate::config::fixed::{Authority, Transport};
use crate::config::typed::{HealthCheck, PassiveCheck};
use crate::view::{UplinkRef, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The next view and what follows from it.
#[derive(Debug)]
pub struct Build {
    /// By value, so that status can be put in before it is shared.
    pub view: View,
    /// All that stand now.
    pub diagnostics: Arc<[Diagnostic]>,
    pub probes: ProbeChanges,
    pub passives: PassiveChanges,
    pub names: NameChanges,
    /// What became of state that belonged to definitions which changed, with reasons.
    pub report: Vec<String>,
}

/// Stop first, then start: a check that changed is in both, and its server is unknown again.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ProbeChanges {
    pub stopped: Vec<ServerId>,
    pub started: Vec<Probe>,
}

/// An active check to carry out.
#[derive(Clone, PartialEq, Debug)]
pub struct Probe {
    pub server: ServerId,
    pub target: TargetId,
    pub authority: Authority,
    /// `host` or `host:port`, as `Host` wants it.
    pub host_field: String,
    pub transport: Transport,
    pub check: Arc<HealthCheck>,
    pub uplink: Option<UplinkRef>,
}

/// Stop first, then start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PassiveChanges {
    pub stopped: Vec<ServerId>,
    pub started: Vec<(ServerId, PassiveCheck)>,
}

/// Host names whose addresses the view needs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameChanges {
    pub dropped: Vec<String>,
    pub wanted: Vec<String>,
}

impl ProbeChanges {
    pub fn is_empty(&self) -> bool {
        self.stopped.is_empty() && self.started.is_empty()
    }
}

impl PassiveChanges {
    pub fn is_empty(&self) -> bool {
        self.stopped.is_empty() && self.started.is_empty()
    }
}

impl NameChanges {
    pub fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.wanted.is_empty()
    }
}

/// What the next build has to look at or tell.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Something in the view is different.
    pub(super) changed: bool,
    /// All routers must be compiled anew.
    pub(super) routing: bool,
    /// Names of routers that came, went or changed.
    pub(super) routers: BTreeSet<Arc<str>>,
    /// Routers stand elsewhere in their documents.
    pub(super) moved: bool,
    /// The list of problems may be different.
    pub(super) problems: bool,
    pub(super) report: Vec<String>,
    pub(super) diagnostics: Arc<[Diagnostic]>,
    /// What was told of servers that were touched since.
    pub(super) probed: BTreeMap<ServerId, Option<Probe>>,
    pub(super) watched: BTreeMap<ServerId, Option<PassiveCheck>>,
}

impl Pending {
    /// Remembers what was told of a server before it changes.
    pub(super) fn about_to_change(&mut self, server: ServerId, servers: &Servers) {
        self.probed.entry(server).or_insert_with(|| servers.probe(server));
        self.watched.entry(server).or_insert_with(|| servers.passive(server));
    }

    pub(super) fn probe_changes(&mut self, servers: &Servers) -> ProbeChanges {
        let mut changes = ProbeChanges::default();
        for (server, old) in std::mem::take(&mut self.probed) {
            let new = servers.probe(server);
            if old != new {
                changes.stopped.extend(old.map(|_| server));
                changes.started.extend(new);
            }
        }
        changes
    }

    pub(super) fn passive_changes(&mut self, servers: &Servers) -> PassiveChanges {
        let mut changes = PassiveChanges::default();
        for (server, old) in std::mem::take(&mut self.watched) {
            let new = servers.passive(server);
            if old != new {
                changes.stopped.extend(old.map(|_| server));
                changes.started.extend(new.map(|check| (server, check)));
            }
        }
        changes
    }
}
