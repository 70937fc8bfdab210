//! TLS in the view: what clients find at each entry point, and how each server over TLS is
//! reached. Made anew when settings, files or ticket keys change; a part whose inputs stay the
//! same stays the same, so that sessions are still resumed.

use super::Compiler;
use super::claims::Claims;
use super::routers::default_entries;
use crate::base::diag::Diagnostic;
use crate::base::id::TargetId;
use crate::base::name::own;
use crate::base::secret::Secret;
use crate::config::fixed::{Authority, EntryPoint, Scheme, Transport};
use crate::config::spiffe::{Allowed, Source};
use crate::config::tls::{Certificate, ClientTls, DEFAULT, Demand, ServerTls, Trust};
use crate::config::typed::{Middleware, Place, Router};
use crate::tls::{
    Connector, Crypto, Door, Found, Identity, Keyring, Policy, Roots, Shelf, Svid, Tickets, policy,
};
use crate::view::{Cover, EntryView, RouteTable, SecureSide, Target};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Secure {
    pub(super) keyring: Keyring,
    spiffe: Option<Source>,
    /// Files of the configuration in effect.
    files: BTreeSet<Arc<str>>,
    connectors: BTreeMap<Arc<ClientTls>, Made>,
    tickets: BTreeMap<String, TicketsOf>,
    /// Who wants which options where.
    pub(super) claims: Claims,
    pub(super) problems: Vec<Diagnostic>,
    /// Something that this is made of changed.
    pub(super) dirty: bool,
}

/// A connector, and what it was made of.
#[derive(Debug)]
struct Made {
    roots: Option<Roots>,
    identities: Vec<Identity>,
    result: Result<Arc<Connector>, Arc<str>>,
    trouble: String,
}

/// Keys of tickets, and what they are good for: other demands on clients take other keys, or
/// somebody could come in by a ticket from before.
#[derive(Debug)]
struct TicketsOf {
    options: ServerTls,
    roots: Option<Roots>,
    tickets: Tickets,
}

impl Secure {
    pub(super) fn new(crypto: Crypto, spiffe: Option<Source>) -> Self {
        Self {
            spiffe,
            keyring: Keyring::new(crypto),
            files: BTreeSet::new(),
            connectors: BTreeMap::new(),
            tickets: BTreeMap::new(),
            claims: Claims::default(),
            problems: Vec::new(),
            dirty: true,
        }
    }

    /// How servers with these settings are reached.
    pub(super) fn connector(
        &mut self,
        settings: Option<&Arc<ClientTls>>,
    ) -> Result<Arc<Connector>, Arc<str>> {
        let settings = settings.cloned().unwrap_or_default();
        if let Some(made) = self.connectors.get(&settings) {
            return made.result.clone();
        }
        let made = self.make_connector(&settings, None);
        let result = made.result.clone();
        // Its certificates are to be listed.
        self.dirty = true;
        self.connectors.insert(settings, made);
        result
    }

    fn make_connector(&mut self, settings: &ClientTls, old: Option<Made>) -> Made {
        let Material { roots, identities, complete, trouble } = self.material(settings);
        let trouble = trouble.join("; ");
        if let Some(old) = old.filter(|old| old.is_made_of(roots.as_ref(), &identities)) {
            return Made { trouble, ..old };
        }
        let result = if !settings.unusable.is_empty() {
            Err(settings.unusable.clone())
        } else if !complete {
            Err(trouble.clone())
        } else {
            let made = Connector::new(&self.keyring.crypto, settings, roots.as_ref(), &identities);
            made.map(Arc::new).map_err(|why| if trouble.is_empty() { why } else { trouble.clone() })
        };
        Made { roots, identities, result: result.map_err(Arc::from), trouble }
    }

    /// What settings need of files and of the Workload API.
    fn material(&mut self, settings: &ClientTls) -> Material {
        let mut material = Material { complete: true, ..Material::default() };
        match &settings.trust {
            Trust::DangerAnybody => {}
            Trust::Spiffe(_) => {
                let svid = material.note(self.svid());
                material.complete = svid.is_some();
                material.identities.extend(svid.iter().map(|svid| svid.identity.clone()));
                material.roots = svid.map(|svid| svid.bundles);
            }
            Trust::Roots(pems) | Trust::AnyName(pems) if !pems.is_empty() => {
                material.roots = material.note(self.keyring.roots(pems));
            }
            Trust::System | Trust::Roots(_) | Trust::AnyName(_) => {
                material.roots = material.note(self.keyring.system_roots());
            }
        }
        for pair in &settings.certificates {
            let identity = material.note(self.keyring.identity(pair));
            material.complete &= identity.is_some();
            material.identities.extend(identity);
        }
        material
    }

    fn svid(&mut self) -> Found<Svid> {
        match &self.spiffe {
            Some(source) => self.keyring.svid(source),
            None => {
                let trouble = "nothing says where SPIFFE identities come from".to_owned();
                Found { good: None, trouble }
            }
        }
    }

    /// Whether something that was asked for is still on its way.
    fn awaits(&self) -> bool {
        let workload = matches!(self.spiffe, Some(Source::Workload(_)));
        self.keyring.awaits(&self.files) || workload && !self.keyring.has_heard()
    }

    /// Makes connectors anew whose inputs changed: the settings of those that are different now.
    fn refresh_connectors(
        &mut self,
        wanted: &BTreeSet<Arc<ClientTls>>,
    ) -> BTreeSet<Arc<ClientTls>> {
        let mut changed = BTreeSet::new();
        let mut old = std::mem::take(&mut self.connectors);
        for settings in wanted {
            let old = old.remove(settings);
            let before = old.as_ref().map(|made| made.result.clone());
            let made = self.make_connector(settings, old);
            let same = match (&before, &made.result) {
                (Some(Ok(before)), Ok(now)) => Arc::ptr_eq(before, now),
                (Some(Err(before)), Err(now)) => before == now,
                (Some(_) | None, _) => false,
            };
            if !same {
                changed.insert(Arc::clone(settings));
            }
            self.connectors.insert(Arc::clone(settings), made);
        }
        changed
    }

    fn tickets_of(&mut self, options: &ServerTls, roots: Option<&Roots>) -> Option<Tickets> {
        if !options.tickets {
            return None;
        }
        let same_roots = |old: Option<&Roots>| match (old, roots) {
            (Some(old), Some(new)) => old.is(new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let held = self.tickets.get(&options.name);
        let held = held.filter(|it| it.options == *options && same_roots(it.roots.as_ref()));
        if let Some(held) = held {
            return Some(held.tickets.clone());
        }
        let tickets = Tickets::new(&self.keyring.crypto)?;
        let (options, roots) = (options.clone(), roots.cloned());
        let name = options.name.clone();
        self.tickets.insert(name, TicketsOf { options, roots, tickets: tickets.clone() });
        Some(tickets)
    }
}

#[derive(Default)]
struct Material {
    roots: Option<Roots>,
    identities: Vec<Identity>,
    /// Every identity is there.
    complete: bool,
    trouble: Vec<String>,
}

impl Material {
    fn note<T>(&mut self, found: Found<T>) -> Option<T> {
        if !found.trouble.is_empty() {
            self.trouble.push(found.trouble);
        }
        found.good
    }
}

impl Made {
    fn is_made_of(&self, roots: Option<&Roots>, identities: &[Identity]) -> bool {
        let same_roots = match (&self.roots, roots) {
            (Some(old), Some(new)) => old.is(new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let pairs = self.identities.iter().zip(identities);
        let same_identities = self.identities.len() == identities.len()
            && pairs.fold(true, |same, (old, new)| same && old.is(new));
        self.result.is_ok() && same_roots && same_identities
    }
}

impl Compiler {
    /// What reading a file of certificates, keys, roots or users gave.
    pub fn set_file(&mut self, path: &Arc<str>, content: Result<Secret, String>) {
        let news = self.secure.keyring.set_file(path, content);
        let of_users = |it: &Arc<Middleware>| it.kind.users_file() == Some(path);
        self.pending.routing |= news && self.dynamic.middlewares.iter().any(of_users);
        self.secure.dirty |= news;
        if news {
            self.read_keys_again(path);
        }
    }

    /// What the Workload API told, or why it tells nothing any more.
    pub fn set_workload(&mut self, told: Result<Secret, String>) {
        self.secure.dirty |= self.secure.keyring.set_workload(told);
    }

    /// Files that are read for the configuration in effect.
    pub fn set_files(&mut self, files: BTreeSet<Arc<str>>) {
        self.secure.dirty |= self.secure.files != files;
        self.secure.files = files;
    }

    pub fn files(&self) -> &BTreeSet<Arc<str>> {
        &self.secure.files
    }

    /// Whether everything that was told has been made use of.
    pub fn is_secure_settled(&self) -> bool {
        !self.secure.dirty
    }

    pub fn gives_tickets(&self) -> bool {
        !self.secure.tickets.is_empty()
    }

    /// Gives tickets new keys; the last ones are good for one more period.
    pub fn rotate_tickets(&mut self) {
        for held in self.secure.tickets.values_mut() {
            if let Some(rotated) = held.tickets.rotated() {
                held.tickets = rotated;
            }
        }
        self.secure.dirty |= self.gives_tickets();
    }

    /// How a server at this address is reached.
    pub fn cover(&mut self, authority: &Authority, transport: &Transport) -> Cover {
        match authority.scheme {
            Scheme::Http | Scheme::H2c => Cover::Clear,
            Scheme::Https => match self.secure.connector(transport.tls.as_ref()) {
                Ok(connector) => Cover::Tls(connector),
                Err(why) => Cover::Unusable(why),
            },
        }
    }

    pub(super) fn refresh_secure(&mut self) {
        if !std::mem::take(&mut self.secure.dirty) {
            return;
        }
        let old_problems = std::mem::take(&mut self.secure.problems);
        if self.secure.keyring.crypto.logs_keys() {
            let text = "the secrets of all TLS sessions are written to a file: whoever reads it \
                        can read all traffic";
            self.secure.problems.push(Diagnostic::warning("danger-key-log", "", text));
        }
        self.secure.keyring.begin();
        if self.secure.spiffe.is_some() {
            let Found { good, trouble } = self.secure.svid();
            self.complain("spiffe", &Place::default(), &trouble, good.is_some());
        }
        let shelf = self.shelf();
        self.build_doors(&shelf);
        self.build_connectors();
        self.explain_users();
        self.explain_keys();
        let files = std::mem::take(&mut self.secure.files);
        self.secure.keyring.end(&files);
        self.secure.files = files;
        self.view.certificates = self.secure.keyring.listed().into();
        self.pending.problems |= old_problems != self.secure.problems;
        self.pending.changed = true;
    }

    fn shelf(&mut self) -> Arc<Shelf> {
        let mut shelf = Shelf::default();
        for certificate in &self.dynamic.certificates.clone() {
            if let Some(identity) = self.shown(certificate) {
                shelf.put(&identity);
            }
        }
        let default = self.dynamic.default_certificate.clone();
        let default = default.and_then(|certificate| self.shown(&certificate));
        if self.secure.claims.is_empty() {
            return Arc::new(shelf);
        }
        let keyring = &mut self.secure.keyring;
        match default.map_or_else(|| keyring.generated(), Ok) {
            Ok(identity) => shelf.set_default(&identity),
            Err(why) => {
                let text = format!("no default certificate could be generated: {why}");
                self.secure.problems.push(Diagnostic::error("certificate", "tls", text));
            }
        }
        Arc::new(shelf)
    }

    fn shown(&mut self, certificate: &Certificate) -> Option<Identity> {
        let Found { good, trouble } = self.secure.keyring.identity(&certificate.pair);
        self.complain(&certificate.path, &certificate.place, &trouble, good.is_some());
        good
    }

    /// Tells of files that cannot be used.
    fn complain(&mut self, path: &str, place: &Place, trouble: &str, stands_in: bool) {
        // What was not read yet is on its way.
        if trouble.is_empty() || self.secure.awaits() {
            return;
        }
        let kept = if stands_in { "; what was good last stays in use" } else { "" };
        let problem = Diagnostic::error("certificate", path, format!("{trouble}{kept}"));
        self.secure.problems.push(problem.at(&place.file, place.line, place.column));
    }

    fn build_doors(&mut self, shelf: &Arc<Shelf>) {
        let mut policies: BTreeMap<Arc<str>, Arc<Policy>> = BTreeMap::new();
        for at in 0..self.view.entries.len() {
            let Some(named) = self.secure.claims.named(at) else { continue };
            let default: Arc<str> = self.entry(at).tls.as_deref().unwrap_or(DEFAULT).into();
            for name in named.into_iter().chain([Arc::clone(&default)]) {
                if let Entry::Vacant(slot) = policies.entry(name) {
                    let policy = self.policy(slot.key(), shelf);
                    slot.insert(Arc::new(policy));
                }
            }
            let callers = self.entry(at).callers.clone();
            let default = match callers {
                Some(allowed) => Arc::new(self.policy_for(&default, at, allowed)),
                None => Arc::clone(&policies[&default]),
            };
            let by_host = self
                .secure
                .claims
                .undisputed(at)
                .filter_map(|(host, name)| Some((host.into(), Arc::clone(policies.get(name)?))))
                .collect();
            let door = Door { default, by_host };
            let old = &self.view.entries[at];
            let routes = old.secure.as_ref().map(|side| Arc::clone(&side.routes));
            let side = SecureSide { door: Arc::new(door), routes: routes.unwrap_or_default() };
            self.view.entries[at] = Arc::new(EntryView {
                id: old.id,
                settings: Arc::clone(&old.settings),
                stats: Arc::clone(&old.stats),
                offer: old.offer.clone(),
                secure: Some(side),
            });
        }
        let names: Vec<String> = (0..self.view.entries.len()).map(callers_of).collect();
        let tickets = &mut self.secure.tickets;
        tickets.retain(|name, _| policies.contains_key(name.as_str()) || names.contains(name));
    }

    /// Options of an entry point whose callers are known by SPIFFE: the own SVID is shown, and
    /// theirs is demanded.
    fn policy_for(&mut self, name: &str, at: usize, allowed: Allowed) -> Policy {
        let Some(mut options) = self.options(name) else { return Policy::refusing(name) };
        if !options.broken.is_empty() || options.clients.demand != Demand::Nothing {
            return Policy::refusing(name);
        }
        options.clients.demand = Demand::RequireAndVerify;
        options.clients.spiffe = Some(allowed);
        let path = format!("hub.uplinkEntryPoints.{}.tieline.spiffe", self.entry(at).name);
        let Found { good, .. } = self.secure.svid();
        let Some(svid) = good else { return Policy::refusing(name) };
        let mut shelf = Shelf::default();
        shelf.set_default(&svid.identity);
        let key = ServerTls { name: callers_of(at), ..options.clone() };
        let tickets = self.secure.tickets_of(&key, Some(&svid.bundles));
        let crypto = &self.secure.keyring.crypto;
        let made =
            policy(crypto, &options, Some(&svid.bundles), &Arc::new(shelf), tickets.as_ref());
        made.unwrap_or_else(|why| {
            self.complain(&path, &Place::default(), &why, false);
            Policy::refusing(name)
        })
    }

    fn options(&self, name: &str) -> Option<ServerTls> {
        let written = self.dynamic.options.iter().find(|options| options.name == name);
        let default = || (name == DEFAULT).then(|| ServerTls::new(DEFAULT));
        written.map(|options| (**options).clone()).or_else(default)
    }

    fn policy(&mut self, name: &str, shelf: &Arc<Shelf>) -> Policy {
        let Some(options) = self.options(name) else { return Policy::refusing(name) };
        if !options.broken.is_empty() {
            return Policy::refusing(name);
        }
        let path = format!("tls.options.{}.clientAuth.caFiles", own(name));
        let mut roots = None;
        if options.clients.demand.verifies() {
            let found = self.secure.keyring.roots(&options.clients.roots);
            self.complain(&path, &options.place, &found.trouble, found.good.is_some());
            roots = found.good;
            if roots.is_none() {
                return Policy::refusing(name);
            }
        }
        let tickets = self.secure.tickets_of(&options, roots.as_ref());
        let crypto = &self.secure.keyring.crypto;
        match policy(crypto, &options, roots.as_ref(), shelf, tickets.as_ref()) {
            Ok(policy) => policy,
            Err(why) => {
                self.complain(&path, &options.place, &why, false);
                Policy::refusing(name)
            }
        }
    }

    fn build_connectors(&mut self) {
        let children = self.fixed.multicluster.iter().flat_map(|provider| &provider.children);
        let children = children.filter(|child| child.address.scheme == Scheme::Https);
        let mut wanted: BTreeSet<Arc<ClientTls>> =
            children.map(|child| child.transport.tls.clone().unwrap_or_default()).collect();
        let targets = self.view.targets.iter();
        let secure = targets.filter(|target| !matches!(target.cover, Cover::Clear));
        wanted.extend(secure.map(|target| target.transport.tls.clone().unwrap_or_default()));
        let changed = self.secure.refresh_connectors(&wanted);
        let ids: Vec<TargetId> = self.view.targets.iter().map(|target| target.id).collect();
        for id in ids {
            let Some(old) = self.view.targets.get(id.0).cloned() else { continue };
            let settings = old.transport.tls.clone().unwrap_or_default();
            if matches!(old.cover, Cover::Clear) || !changed.contains(&settings) {
                continue;
            }
            let cover = self.cover(&old.authority, &old.transport);
            self.set_cover(id, &old, cover);
        }
        self.explain_connectors();
    }

    fn set_cover(&mut self, id: TargetId, old: &Target, cover: Cover) {
        let unusable = matches!(cover, Cover::Unusable(_));
        for service in self.servers.set_unusable(id, unusable) {
            self.slots.touch(service);
        }
        let target = Target {
            id,
            authority: old.authority.clone(),
            host_field: old.host_field.clone(),
            addrs: Arc::clone(&old.addrs),
            transport: old.transport.clone(),
            cover,
        };
        self.view.targets.set(id.0, Some(Arc::new(target)));
    }

    /// Says where settings stand whose files cannot be used.
    fn explain_connectors(&mut self) {
        let fixed = Arc::clone(&self.fixed);
        let nowhere = Place::default();
        let mut told: Vec<(String, Place, Arc<ClientTls>)> = Vec::new();
        for child in fixed.multicluster.iter().flat_map(|provider| &provider.children) {
            let path = format!("hub.providers.multicluster.children.{}", child.name);
            let settings = child.transport.tls.clone().unwrap_or_default();
            told.push((format!("{path}.serversTransport"), nowhere.clone(), settings));
        }
        for named in &self.dynamic.transports {
            let name = own(&named.name);
            let settings = named.transport.tls.clone().unwrap_or_default();
            let path = format!("http.serversTransports.{name}");
            told.push((path, named.place.clone(), settings));
        }
        for middleware in &self.dynamic.middlewares {
            let Some((Scheme::Https, transport)) = middleware.kind.transport() else { continue };
            let name = own(&middleware.name);
            let settings = transport.tls.clone().unwrap_or_default();
            told.push((format!("http.middlewares.{name}"), middleware.place.clone(), settings));
        }
        let own = fixed.servers_transport.tls.clone().unwrap_or_default();
        told.push(("serversTransport".to_owned(), nowhere, own));
        for (path, place, settings) in told {
            // What is wrong with identities was said where they come from.
            if matches!(settings.trust, Trust::Spiffe(_)) {
                continue;
            }
            let Some(made) = self.secure.connectors.get(&settings) else { continue };
            let (trouble, works) = (made.trouble.clone(), made.result.is_ok());
            self.complain(&path, &place, &trouble, works);
        }
    }
}

/// What the tickets of an entry point go by that has a policy of its own.
fn callers_of(at: usize) -> String {
    format!("callers at {at}")
}

/// Which routers are for TLS clients, and by which options those must come in.
impl Compiler {
    /// The options of a router on one entry point; none on the side of clear text.
    pub(super) fn options_at(&self, router: &Router, entry: usize) -> Option<Arc<str>> {
        let of_entry = self.entry(entry).tls.as_deref();
        let named = match &router.tls {
            Some(tls) => Some(tls.options.as_deref().or(of_entry).unwrap_or(DEFAULT)),
            None => of_entry,
        };
        named.map(Arc::from)
    }

    /// Why options cannot be used.
    pub(super) fn why_not(&self, name: &str) -> Option<String> {
        let found = self.dynamic.options.iter().find(|options| options.name == *name);
        match found {
            None if name != DEFAULT => Some(format!("there are no TLS options {name}")),
            Some(options) if !options.broken.is_empty() => {
                Some(format!("the TLS options {name} cannot be used"))
            }
            None | Some(_) => None,
        }
    }

    /// What a router claims: at which entry points it wants which options.
    pub(super) fn wishes(&self, router: &Router) -> Vec<(usize, Arc<str>)> {
        if !router.uplinks.is_empty() || !router.parents.is_empty() {
            return Vec::new();
        }
        let entries = self.entries_of(router).into_iter();
        entries.filter_map(|at| Some((at, self.options_at(router, at)?))).collect()
    }

    fn entries_of(&self, router: &Router) -> Vec<usize> {
        if router.entry_points.is_empty() {
            return default_entries(&self.fixed);
        }
        let named = |entry: &EntryPoint| router.entry_points.contains(&entry.name);
        (0..).zip(&self.fixed.entry_points).filter(|(_, it)| named(it)).map(|(at, _)| at).collect()
    }

    /// The side of an entry point that TLS clients see, with the door it had before.
    pub(super) fn secure_side(&self, at: usize, routes: Arc<RouteTable>) -> Option<SecureSide> {
        self.secure.claims.named(at)?;
        let old = self.view.entries.get(at).and_then(|entry| entry.secure.as_ref());
        let door = old.map_or_else(
            || {
                let default = Arc::new(Policy::refusing(DEFAULT));
                Arc::new(Door { default, by_host: BTreeMap::new() })
            },
            |old| Arc::clone(&old.door),
        );
        Some(SecureSide { door, routes })
    }
}
