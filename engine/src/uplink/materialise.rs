//! Which services the adverts of all children make.
//!
//! For each uplink name, `<uplink>@multicluster` stands for all children that offer it, and
//! `<uplink>-<child>@multicluster` for each. Names are compared in normalised form. Since both
//! parts may contain dashes, two pairs can give one alias, and an alias can be an uplink's own
//! name: the uplink wins, and of two equal aliases neither is made. Such a pair still serves
//! within its uplink, under a name with a slash that no reference can spell.

use super::advert::Advert;
use crate::base::id::{ChildId, ServiceId};
use crate::base::intern::Interner;
use crate::base::mutant::{Mutant, planted};
use crate::base::name::{MULTICLUSTER, normalised};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Services by qualified name, where names of children's services are in normalised form.
pub type ServiceNames = Interner<Arc<str>>;

/// All adverts, and the services they make.
#[derive(Debug, Default)]
pub struct Offers {
    children: Vec<ChildOffers>,
    /// By normalised uplink name.
    uplinks: BTreeMap<Arc<str>, Uplink>,
    /// By normalised alias: everything that asks for it.
    aliases: BTreeMap<Arc<str>, BTreeSet<Pair>>,
    /// Aliases that are asked for and not made.
    clashing: BTreeSet<Arc<str>>,
    sources: BTreeMap<ServiceId, Source>,
    touched: BTreeSet<ServiceId>,
}

#[derive(Debug, Default)]
struct ChildOffers {
    name: Arc<str>,
    /// By normalised uplink name.
    adverts: BTreeMap<Arc<str>, Offer>,
    refused: Vec<String>,
}

#[derive(Debug)]
struct Offer {
    advert: Arc<Advert>,
    alias: Arc<str>,
    service: ServiceId,
}

#[derive(Debug)]
struct Uplink {
    service: ServiceId,
    members: BTreeMap<ChildId, Member>,
}

/// A child and the normalised name of an uplink that it offers.
type Pair = (ChildId, Arc<str>);

#[derive(Clone, Debug)]
enum Source {
    Uplink(Arc<str>),
    Pair(Pair),
}

/// What a service of this provider is.
#[derive(Debug)]
pub enum Made {
    Aggregate(Vec<Member>),
    Child { child: ChildId, advert: Arc<Advert> },
}

/// A child within an uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    pub child: ChildId,
    pub service: ServiceId,
    pub weight: u32,
}

impl Offers {
    /// For children of these names, numbered in this order.
    pub fn new(children: impl IntoIterator<Item = Arc<str>>) -> Self {
        let child = |name| ChildOffers { name, ..ChildOffers::default() };
        Self { children: children.into_iter().map(child).collect(), ..Self::default() }
    }

    /// Replaces what one child offers. Services that this changes are then in
    /// [`Offers::take_touched`]. Uplinks of one child that normalise alike are refused.
    pub fn set(&mut self, child: ChildId, adverts: Vec<Advert>, names: &mut ServiceNames) {
        let Some(offers) = self.children.get_mut(usize::from(child.0)) else { return };
        let (wanted, refused) = distinct(adverts);
        offers.refused = refused;
        let is_gone = |name: &&Arc<str>| !wanted.contains_key(*name);
        let gone: Vec<Arc<str>> = offers.adverts.keys().filter(is_gone).cloned().collect();
        for name in gone.into_iter().filter(|_| !planted(Mutant::WithdrawnStays)) {
            self.withdraw(child, &name, names);
        }
        for (name, advert) in wanted {
            self.offer(child, &name, advert, names);
        }
    }

    /// The services whose making changed since the last call, withdrawn ones included.
    pub fn take_touched(&mut self) -> BTreeSet<ServiceId> {
        std::mem::take(&mut self.touched)
    }

    /// What a service is now; nothing if it is no longer offered or not of this provider.
    pub fn made(&self, service: ServiceId) -> Option<Made> {
        match self.sources.get(&service)? {
            Source::Uplink(name) => {
                let members = self.uplinks.get(name)?.members.values();
                Some(Made::Aggregate(members.copied().collect()))
            }
            Source::Pair((child, name)) => {
                let offer = self.of(*child)?.adverts.get(name)?;
                Some(Made::Child { child: *child, advert: Arc::clone(&offer.advert) })
            }
        }
    }

    /// The qualified name of a service as its first child spells it.
    pub fn display_name(&self, service: ServiceId) -> Option<String> {
        let (child, name, between) = match self.sources.get(&service)? {
            Source::Uplink(name) => (*self.uplinks.get(name)?.members.keys().next()?, name, None),
            Source::Pair((child, name)) => {
                let alias = &self.of(*child)?.adverts.get(name)?.alias;
                (*child, name, Some(if self.is_free(alias) { '-' } else { '/' }))
            }
        };
        let child = self.of(child)?;
        let uplink = &child.adverts.get(name)?.advert.name;
        Some(match between {
            None => format!("{uplink}@{MULTICLUSTER}"),
            Some(between) => format!("{uplink}{between}{}@{MULTICLUSTER}", child.name),
        })
    }

    /// What one child offers: adverts with their services, in order of names.
    pub fn of_child(&self, child: ChildId) -> impl Iterator<Item = (&Arc<Advert>, ServiceId)> {
        let offers = self.of(child).into_iter().flat_map(|child| child.adverts.values());
        offers.map(|offer| (&offer.advert, offer.service))
    }

    /// Whether this provider holds a service.
    pub fn holds(&self, service: ServiceId) -> bool {
        self.sources.contains_key(&service)
    }

    /// Why parts of what a child offers are not in effect.
    pub fn refused(&self, child: ChildId) -> &[String] {
        self.of(child).map_or(&[], |child| &child.refused)
    }

    /// Aliases that are not made, each with the reason.
    pub fn clashes(&self) -> impl Iterator<Item = (&str, String)> {
        self.clashing.iter().filter_map(|alias| Some((&**alias, self.clash(alias)?)))
    }

    /// Why an alias is not made although somebody asks for it.
    pub fn clash(&self, alias: &str) -> Option<String> {
        let pairs = self.aliases.get(alias).filter(|_| self.clashing.contains(alias))?;
        Some(self.clash_text(alias, pairs))
    }

    fn clash_text(&self, alias: &str, pairs: &BTreeSet<Pair>) -> String {
        let list: Vec<String> = pairs
            .iter()
            .filter_map(|(child, name)| {
                let child = self.of(*child)?;
                let uplink = &child.adverts.get(name)?.advert.name;
                Some(format!("uplink {uplink} of child {}", child.name))
            })
            .collect();
        let list = list.join(" and ");
        if self.uplinks.contains_key(alias) {
            format!("{list} would also be {alias}@{MULTICLUSTER}, which is an uplink's own name")
        } else {
            format!("{list} would both be {alias}@{MULTICLUSTER}: neither is")
        }
    }

    fn of(&self, child: ChildId) -> Option<&ChildOffers> {
        self.children.get(usize::from(child.0))
    }

    /// Whether an alias names exactly one pair.
    fn is_free(&self, alias: &str) -> bool {
        !self.uplinks.contains_key(alias)
            && self.aliases.get(alias).is_some_and(|pairs| pairs.len() == 1)
    }

    fn offer(&mut self, child: ChildId, name: &Arc<str>, advert: Advert, names: &mut ServiceNames) {
        let offers = &mut self.children[usize::from(child.0)];
        if let Some(offer) = offers.adverts.get_mut(name) {
            if *offer.advert != advert {
                offer.advert = Arc::new(advert);
                self.touched.insert(offer.service);
                self.enlist(child, name);
            }
            return;
        }
        let alias: Arc<str> = normalised(&format!("{name}-{}", offers.name)).into();
        let pair = (child, Arc::clone(name));
        self.aliases.entry(Arc::clone(&alias)).or_default().insert(pair.clone());
        self.open(name, names);
        let service = ServiceId(names.hold(&self.name_of(&alias, &pair)));
        let offer = Offer { advert: Arc::new(advert), alias: Arc::clone(&alias), service };
        self.children[usize::from(child.0)].adverts.insert(Arc::clone(name), offer);
        self.sources.insert(service, Source::Pair(pair));
        self.touched.insert(service);
        self.enlist(child, name);
        self.settle(&alias, names);
    }

    /// Has the uplink show what the child offers now.
    fn enlist(&mut self, child: ChildId, name: &Arc<str>) {
        let offers = &self.children[usize::from(child.0)];
        let (Some(offer), Some(uplink)) = (offers.adverts.get(name), self.uplinks.get_mut(name))
        else {
            return;
        };
        let weight = offer.advert.weight.get();
        uplink.members.insert(child, Member { child, service: offer.service, weight });
        self.touched.insert(uplink.service);
    }

    /// The alias if that names the pair alone.
    fn name_of(&self, alias: &str, (child, name): &Pair) -> Arc<str> {
        if self.is_free(alias) {
            qualified(alias)
        } else {
            qualified(&format!("{name}/{}", self.children[usize::from(child.0)].name))
        }
    }

    /// Makes the service of an uplink that had no members.
    fn open(&mut self, name: &Arc<str>, names: &mut ServiceNames) {
        if self.uplinks.contains_key(name) {
            return;
        }
        let service = ServiceId(names.hold(&qualified(name)));
        self.uplinks.insert(Arc::clone(name), Uplink { service, members: BTreeMap::new() });
        // A pair that had this name as its alias makes room.
        self.settle(name, names);
        self.sources.insert(service, Source::Uplink(Arc::clone(name)));
        self.touched.insert(service);
    }

    fn withdraw(&mut self, child: ChildId, name: &Arc<str>, names: &mut ServiceNames) {
        let offers = &mut self.children[usize::from(child.0)];
        let Some(offer) = offers.adverts.remove(name) else { return };
        self.drop_source(offer.service, names);
        if let Some(pairs) = self.aliases.get_mut(&offer.alias) {
            pairs.remove(&(child, Arc::clone(name)));
            if pairs.is_empty() {
                self.aliases.remove(&offer.alias);
            }
        }
        let uplink = self.uplinks.get_mut(name).expect("an offered uplink has members");
        uplink.members.remove(&child);
        let service = uplink.service;
        self.touched.insert(service);
        if uplink.members.is_empty() {
            self.uplinks.remove(name);
            self.drop_source(service, names);
            self.settle(name, names);
        }
        self.settle(&offer.alias, names);
    }

    fn drop_source(&mut self, service: ServiceId, names: &mut ServiceNames) {
        self.sources.remove(&service);
        self.touched.insert(service);
        names.release(service.0);
    }

    /// Gives each pair that asks for `alias` the name it may have now.
    fn settle(&mut self, alias: &Arc<str>, names: &mut ServiceNames) {
        let pairs = self.aliases.get(alias).cloned().unwrap_or_default();
        let news = if pairs.is_empty() || self.is_free(alias) {
            self.clashing.remove(alias)
        } else {
            self.clashing.insert(Arc::clone(alias))
        };
        if news {
            self.touched.extend(names.find(&*qualified(alias)).map(ServiceId));
        }
        for pair in pairs {
            let wanted = self.name_of(alias, &pair);
            let (child, name) = pair;
            let offers = &mut self.children[usize::from(child.0)];
            let Some(offer) = offers.adverts.get_mut(&name) else { continue };
            let old = offer.service;
            if names.key(old.0) == Some(&wanted) {
                continue;
            }
            let new = ServiceId(names.hold(&wanted));
            offer.service = new;
            self.drop_source(old, names);
            self.sources.insert(new, Source::Pair((child, Arc::clone(&name))));
            self.touched.insert(new);
            self.enlist(child, &name);
        }
    }
}

fn qualified(name: &str) -> Arc<str> {
    format!("{name}@{MULTICLUSTER}").into()
}

/// Adverts by normalised name; those that normalise alike are refused.
fn distinct(adverts: Vec<Advert>) -> (BTreeMap<Arc<str>, Advert>, Vec<String>) {
    let mut by_name: BTreeMap<Arc<str>, Vec<Advert>> = BTreeMap::new();
    for advert in adverts {
        by_name.entry(normalised(&advert.name).into()).or_default().push(advert);
    }
    let mut refused = Vec::new();
    let mut wanted = BTreeMap::new();
    for (name, mut adverts) in by_name {
        if adverts.len() > 1 {
            let list: Vec<&str> = adverts.iter().map(|advert| &*advert.name).collect();
            refused.push(format!(
                "uplinks {} are one name when compared ({name}): none is used",
                list.join(" and ")
            ));
        } else if let Some(advert) = adverts.pop() {
            wanted.insert(name, advert);
        }
    }
    (wanted, refused)
}
