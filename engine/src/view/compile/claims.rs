//! Which options TLS clients get that ask for a host, and routers that disagree about it.

use crate::config::typed::Router;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// By options: the names of routers that want them.
type Claimants = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// What all routers together want of the doors.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By entry point and host: options, and the routers that want them.
    hosts: BTreeMap<(usize, Box<str>), Claimants>,
    /// Where TLS is spoken: entry points, options that are named there, and how often.
    named: BTreeMap<usize, BTreeMap<Arc<str>, u32>>,
    /// Hosts that several options are wanted for.
    disputed: BTreeSet<(usize, Box<str>)>,
}

impl Claims {
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// An entry point that speaks TLS whatever its routers want.
    pub(super) fn open(&mut self, entry: usize) {
        self.named.entry(entry).or_default();
    }

    pub(super) fn add(&mut self, router: &Router, wishes: &[(usize, Arc<str>)]) {
        let hosts = hosts(router, wishes);
        for (entry, options) in wishes {
            let named = self.named.entry(*entry).or_default();
            *named.entry(Arc::clone(options)).or_default() += 1;
            for host in &hosts {
                let key = (*entry, host.as_str().into());
                let claimants = self.hosts.entry(key.clone()).or_default();
                let names = claimants.entry(Arc::clone(options)).or_default();
                names.insert(router.name.as_str().into());
                if claimants.len() > 1 {
                    self.disputed.insert(key);
                }
            }
        }
    }

    /// Takes back what was added; `stays` says where TLS is spoken whatever routers want.
    pub(super) fn remove(
        &mut self,
        router: &Router,
        wishes: &[(usize, Arc<str>)],
        stays: impl Fn(usize) -> bool,
    ) {
        let hosts = hosts(router, wishes);
        for (entry, options) in wishes {
            if let Some(named) = self.named.get_mut(entry) {
                let count = named.entry(Arc::clone(options)).or_default();
                *count = count.saturating_sub(1);
                named.retain(|_, count| *count > 0);
                if named.is_empty() && !stays(*entry) {
                    self.named.remove(entry);
                }
            }
            for host in &hosts {
                let key = (*entry, host.as_str().into());
                let Some(claimants) = self.hosts.get_mut(&key) else { continue };
                if let Some(names) = claimants.get_mut(options) {
                    names.remove(router.name.as_str());
                }
                claimants.retain(|_, names| !names.is_empty());
                match claimants.len() {
                    0 => drop(self.hosts.remove(&key)),
                    1 => drop(self.disputed.remove(&key)),
                    _ => {}
                }
            }
        }
    }

    /// What must hold between two builds.
    pub(super) fn check(&self) {
        for (key, claimants) in &self.hosts {
            let wanted = !claimants.is_empty() && claimants.values().all(|names| !names.is_empty());
            assert!(wanted, "{key:?} is kept though nobody asks for it");
            let disputed = self.disputed.contains(key);
            assert_eq!(disputed, claimants.len() > 1, "routers disagree about {key:?}");
        }
        assert!(self.disputed.iter().all(|key| self.hosts.contains_key(key)));
    }

    /// Options that are named at an entry point; none if it does not speak TLS.
    pub(super) fn named(&self, entry: usize) -> Option<BTreeSet<Arc<str>>> {
        self.named.get(&entry).map(|named| named.keys().cloned().collect())
    }

    /// Hosts of an entry point, with the options that all who want any agree on.
    pub(super) fn undisputed(&self, entry: usize) -> impl Iterator<Item = (&str, &Arc<str>)> {
        let all = self.hosts.range((entry, Box::from(""))..(entry + 1, Box::from("")));
        all.filter(|(_, claimants)| claimants.len() == 1)
            .filter_map(|((_, host), claimants)| Some((&**host, claimants.keys().next()?)))
    }

    pub(super) fn is_disputed(&self) -> bool {
        !self.disputed.is_empty()
    }

    /// Routers that cannot serve, and why.
    pub(super) fn clashes(&self) -> BTreeMap<Arc<str>, String> {
        let mut clashes = BTreeMap::new();
        for key in &self.disputed {
            let claimants = &self.hosts[key];
            let names: Vec<&str> = claimants.keys().map(|name| &**name).collect();
            let host = &key.1;
            let text =
                format!("routers want different TLS options for {host}: {}", names.join(", "));
            for router in claimants.values().flatten() {
                clashes.insert(Arc::clone(router), text.clone());
            }
        }
        clashes
    }
}

fn hosts(router: &Router, wishes: &[(usize, Arc<str>)]) -> Vec<String> {
    let rule = router.rule.iter().filter(|_| !wishes.is_empty());
    rule.flat_map(|rule| rule.hosts()).collect()
}
