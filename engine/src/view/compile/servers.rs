//! Servers with their health, and targets with their addresses.

use super::Compiler;
use super::changes::{NameChanges, Probe};
use crate::base::id::{ServerId, ServiceId, TargetId};
use crate::config::fixed::{Authority, Scheme, Transport};
use crate::config::typed::{HealthCheck, PassiveCheck};
use crate::service::load::Load;
use crate::service::standing::Standing;
use crate::view::status::Health;
use crate::view::table::Table;
use crate::view::{Cover, Target, UplinkRef};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Servers {
    /// By [`ServerId`].
    list: Vec<Option<Server>>,
    /// A host that nobody wants stays until that is told, in case it comes back before.
    hosts: BTreeMap<String, Host>,
    /// Hosts that were wanted or dropped since, and whether they were told of before.
    touched: BTreeMap<String, bool>,
    /// Targets that cannot be reached as they were configured.
    unusable: BTreeSet<TargetId>,
    /// See [`Compiler::assume_keys`].
    pub(super) assumes_keys: bool,
}

#[derive(Debug)]
struct Server {
    wanted: ServerSpec,
    target: TargetId,
    host_field: String,
    health: Health,
    ejected: bool,
    /// Made when a strategy first asks for it.
    load: Option<Arc<Load>>,
}

/// A server as a definition wants it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ServerSpec {
    pub(super) service: ServiceId,
    pub(super) url: Arc<str>,
    pub(super) authority: Authority,
    pub(super) transport: Transport,
    pub(super) check: Option<Arc<HealthCheck>>,
    pub(super) passive: Option<PassiveCheck>,
    pub(super) uplink: Option<UplinkRef>,
}

#[derive(Debug, Default)]
struct Host {
    addresses: Vec<IpAddr>,
    targets: BTreeSet<TargetId>,
}

impl Servers {
    fn get(&self, id: ServerId) -> Option<&Server> {
        self.list.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        self.list.get_mut(id.0 as usize)?.as_mut()
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = TargetId> {
        self.list.iter().flatten().map(|server| server.target)
    }

    /// What a server is wanted for, and what checks said of it.
    #[cfg(test)]
    pub(super) fn known(&self, id: ServerId) -> (&ServerSpec, (Health, bool)) {
        let server = self.get(id).expect("a server in a balancer is held");
        (&server.wanted, (server.health, server.ejected))
    }

    pub(super) fn target(&self, id: ServerId) -> Option<TargetId> {
        self.get(id).map(|server| server.target)
    }

    pub(super) fn service(&self, id: ServerId) -> Option<ServiceId> {
        self.get(id).map(|server| server.wanted.service)
    }

    /// The words that workers keep of a server's load.
    pub(super) fn load(&mut self, id: ServerId) -> Arc<Load> {
        let server = self.get_mut(id).expect("a server in a balancer is held");
        Arc::clone(server.load.get_or_insert_default())
    }

    pub(super) fn probe(&self, id: ServerId) -> Option<Probe> {
        let server = self.get(id)?;
        Some(Probe {
            server: id,
            target: server.target,
            authority: server.wanted.authority.clone(),
            host_field: server.host_field.clone(),
            transport: server.wanted.transport.clone(),
            check: server.wanted.check.clone()?,
            uplink: server.wanted.uplink.clone(),
        })
    }

    pub(super) fn passive(&self, id: ServerId) -> Option<PassiveCheck> {
        self.get(id)?.wanted.passive.clone()
    }

    /// The service to look at again if that is news.
    pub(super) fn set_health(&mut self, id: ServerId, health: Health) -> Option<ServiceId> {
        let server = self.get_mut(id).filter(|server| server.wanted.check.is_some())?;
        let news = std::mem::replace(&mut server.health, health) != health;
        news.then_some(server.wanted.service)
    }

    /// The service to look at again if that is news.
    pub(super) fn set_ejected(&mut self, id: ServerId, ejected: bool) -> Option<ServiceId> {
        let server = self.get_mut(id).filter(|server| server.wanted.passive.is_some())?;
        let news = std::mem::replace(&mut server.ejected, ejected) != ejected;
        news.then_some(server.wanted.service)
    }

    pub(super) fn standing(&self, id: ServerId) -> Standing {
        match self.get(id) {
            None => Standing::Down,
            Some(server) if server.ejected || self.is_unusable(server.target) => Standing::Down,
            Some(server) if server.wanted.check.is_some() => Standing::of(server.health),
            Some(_) => Standing::Up,
        }
    }

    /// Whether any target changed.
    pub(super) fn set_addresses(
        &mut self,
        host: &str,
        addresses: Vec<IpAddr>,
        targets: &mut Table<Target>,
    ) -> bool {
        let Some(entry) = self.hosts.get_mut(host) else { return false };
        if entry.addresses == addresses {
            return false;
        }
        for id in &entry.targets {
            let old = targets.get(id.0).expect("a host's target is in the view");
            let addrs = addresses.iter().map(|ip| SocketAddr::new(*ip, old.authority.port));
            let new = Target {
                id: *id,
                authority: old.authority.clone(),
                host_field: old.host_field.clone(),
                addrs: addrs.collect(),
                transport: old.transport.clone(),
                cover: old.cover.clone(),
            };
            targets.set(id.0, Some(Arc::new(new)));
        }
        entry.addresses = addresses;
        true
    }

    fn is_unusable(&self, target: TargetId) -> bool {
        !self.assumes_keys && self.unusable.contains(&target)
    }

    /// The services to look at again if that is news.
    pub(super) fn set_unusable(&mut self, id: TargetId, unusable: bool) -> Vec<ServiceId> {
        let news = if unusable { self.unusable.insert(id) } else { self.unusable.remove(&id) };
        let servers = self.list.iter().flatten().filter(|server| news && server.target == id);
        servers.map(|server| server.wanted.service).collect()
    }

    pub(super) fn name_changes(&mut self) -> NameChanges {
        let mut changes = NameChanges::default();
        for (host, told) in std::mem::take(&mut self.touched) {
            let wanted = self.hosts.get(&host).is_some_and(|host| !host.targets.is_empty());
            if !wanted {
                self.hosts.remove(&host);
            }
            match (told, wanted) {
                (true, false) => changes.dropped.push(host),
                (false, true) => changes.wanted.push(host),
                (true, true) | (false, false) => {}
            }
        }
        changes
    }

    /// The addresses of a new target.
    fn join_host(&mut self, id: TargetId, authority: &Authority) -> Arc<[SocketAddr]> {
        if let Ok(ip) = authority.host.parse::<IpAddr>() {
            return Arc::new([SocketAddr::new(ip, authority.port)]);
        }
        if !self.hosts.contains_key(&authority.host) {
            self.touched.insert(authority.host.clone(), false);
        }
        let host = self.hosts.entry(authority.host.clone()).or_default();
        host.targets.insert(id);
        host.addresses.iter().map(|ip| SocketAddr::new(*ip, authority.port)).collect()
    }

    fn leave_host(&mut self, id: TargetId, authority: &Authority) {
        let Some(host) = self.hosts.get_mut(&authority.host) else { return };
        host.targets.remove(&id);
        if host.targets.is_empty() {
            self.touched.entry(authority.host.clone()).or_insert(true);
        }
    }
}

impl Compiler {
    /// One more hold on a server, made or changed to be as wanted.
    pub(super) fn hold_server(&mut self, wanted: ServerSpec) -> ServerId {
        let id = self.registry.hold_server(wanted.service, &wanted.url);
        self.pending.about_to_change(id, &self.servers);
        let target = self.hold_target(&wanted.authority, &wanted.transport);
        let host_field = host_field(&wanted.authority);
        let at = id.0 as usize;
        if self.servers.list.len() <= at {
            self.servers.list.resize_with(at + 1, || None);
        }
        let old = self.servers.list[at].take();
        let (mut health, mut ejected, mut load) = (Health::Unknown, false, None);
        if let Some(mut old) = old {
            load = old.load.take();
            self.release_target(old.target);
            (health, ejected) = self.carried_over(&old, &wanted);
        }
        self.servers.list[at] = Some(Server { wanted, target, host_field, health, ejected, load });
        id
    }

    /// State that the change does not touch.
    fn carried_over(&mut self, old: &Server, wanted: &ServerSpec) -> (Health, bool) {
        let same_check = old.wanted.check == wanted.check
            && old.wanted.authority == wanted.authority
            && old.wanted.uplink == wanted.uplink;
        let health = if same_check { old.health } else { Health::Unknown };
        let same_passive = old.wanted.passive == wanted.passive;
        let report = &mut self.pending.report;
        if health != old.health {
            report.push(format!(
                "reset: health of {}: its check changed, so it is unknown until the next probe",
                wanted.url
            ));
        }
        if old.ejected && !same_passive {
            report.push(format!("reset: ejection of {}: its passive check changed", wanted.url));
        }
        (health, old.ejected && same_passive)
    }

    pub(super) fn release_server(&mut self, id: ServerId) {
        self.pending.about_to_change(id, &self.servers);
        if !self.registry.release_server(id) {
            return;
        }
        if let Some(server) = self.servers.list[id.0 as usize].take() {
            self.release_target(server.target);
            let slot = self.slots.get(server.wanted.service);
            // Of a service that is gone everything is.
            if slot.definition.is_some() {
                let (url, name) = (&server.wanted.url, &slot.name);
                let text = format!("dropped: state of server {url} of {name}: it is gone");
                self.pending.report.push(text);
            }
        }
    }

    pub(super) fn hold_target(&mut self, authority: &Authority, transport: &Transport) -> TargetId {
        let id = self.registry.hold_target(authority, transport);
        if self.view.targets.get(id.0).is_none() {
            let cover = self.cover(authority, transport);
            if matches!(cover, Cover::Unusable(_)) {
                self.servers.unusable.insert(id);
            }
            let target = Target {
                id,
                authority: authority.clone(),
                host_field: host_field(authority),
                addrs: self.servers.join_host(id, authority),
                transport: transport.clone(),
                cover,
            };
            self.view.targets.set(id.0, Some(Arc::new(target)));
            self.pending.changed = true;
        }
        id
    }

    pub(super) fn release_target(&mut self, id: TargetId) {
        if !self.registry.release_target(id) {
            return;
        }
        if let Some(target) = self.view.targets.get(id.0).cloned() {
            self.servers.leave_host(id, &target.authority);
        }
        self.servers.unusable.remove(&id);
        self.view.targets.set(id.0, None);
        self.pending.changed = true;
    }
}

/// What `Host` says for an address: the port only if it is not the scheme's own.
fn host_field(authority: &Authority) -> String {
    let host = if authority.host.contains(':') {
        format!("[{}]", authority.host)
    } else {
        authority.host.clone()
    };
    let usual = match authority.scheme {
        Scheme::Http | Scheme::H2c => 80,
        Scheme::Https => 443,
    };
    if authority.port == usual { host } else { format!("{host}:{}", authority.port) }
}
