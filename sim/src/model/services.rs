//! Which services an instance has, worked out from its document and from what its children offer,
//! and who serves there at a given health.

use super::qualified;
use crate::plan::{Check, Document, Kind, Strategy, Uplink};
use std::collections::{BTreeMap, BTreeSet};

/// A child as its parent is configured, with what it offers.
#[derive(Clone, PartialEq, Debug)]
pub struct Offered {
    pub child: String,
    pub address: String,
    pub uplinks: Vec<Uplink>,
}

/// How well something is known to serve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Known {
    Down,
    Unknown,
    Up,
}

/// Whether a definition does what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Works {
    All,
    Part,
    Nothing,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Service {
    /// Qualified.
    pub name: String,
    pub what: What,
    /// Services that it names, in order: their positions, if anybody defines them.
    pub members: Vec<(String, Option<usize>)>,
    /// Where the document names them, in the same order.
    pub places: Vec<String>,
    pub in_circle: bool,
    pub strategy: Strategy,
}

#[derive(Clone, PartialEq, Debug)]
pub enum What {
    Balancer { servers: Vec<(String, u32)>, check: Option<Check>, passive: bool, offer: bool },
    Weighted(Vec<u32>),
    Failover { errors: bool },
    Mirroring { percents: Vec<u8>, body: bool, max: Option<u64> },
}

/// All services of an instance.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Services {
    pub list: Vec<Service>,
    at: BTreeMap<String, usize>,
    /// Aliases that two sources ask for, or that are an uplink's own name: nobody gets them.
    pub clashes: BTreeSet<String>,
}

impl Services {
    pub fn of(document: &Document, children: &[Offered]) -> Self {
        let mut services = Self::default();
        if document.version > 0 {
            let name = format!("version-{}", document.version);
            services.add(&name, What::Weighted(Vec::new()), Vec::new());
        }
        for service in &document.services {
            let (what, members) = written(&service.kind, service.strategy);
            services.add(&service.name, what, members);
            services.list.last_mut().expect("just added").strategy = service.strategy;
        }
        services.add_offers(children);
        services.resolve();
        services
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.at.get(name).copied()
    }

    fn add(&mut self, name: &str, what: What, members: Vec<(String, String)>) {
        let name = qualified(name);
        let (places, members): (Vec<String>, Vec<String>) = members.into_iter().unzip();
        let members = members.iter().map(|member| (qualified(member), None)).collect();
        self.at.insert(name.clone(), self.list.len());
        let (in_circle, strategy) = (false, Strategy::Turns);
        self.list.push(Service { name, what, members, places, in_circle, strategy });
    }

    fn add_offers(&mut self, children: &[Offered]) {
        let mut own_names = BTreeSet::new();
        let mut aliases: BTreeMap<String, u32> = BTreeMap::new();
        let pairs = || {
            let of = |child| move |uplink| (child, uplink);
            children.iter().flat_map(move |child| child.uplinks.iter().map(of(child)))
        };
        for (child, uplink) in pairs() {
            own_names.insert(normal(&uplink.name));
            *aliases.entry(normal(&format!("{}-{}", uplink.name, child.child))).or_default() += 1;
        }
        let taken = |(alias, asked): &(&String, &u32)| **asked > 1 || own_names.contains(*alias);
        self.clashes = aliases.iter().filter(taken).map(|(alias, _)| alias.clone()).collect();
        let mut together: BTreeMap<&str, Vec<(String, u32)>> = BTreeMap::new();
        for (child, uplink) in pairs() {
            let Uplink { name, weight, check, passive } = uplink;
            let taken = self.clashes.contains(&normal(&format!("{name}-{}", child.child)));
            let between = if taken { '/' } else { '-' };
            let single = format!("{name}{between}{}@multicluster", child.child);
            let servers = vec![(child.address.clone(), 1)];
            let (check, passive) = (*check, *passive);
            let what = What::Balancer { servers, check, passive, offer: true };
            self.add(&single, what, Vec::new());
            together.entry(name).or_default().push((single, *weight));
        }
        for (name, members) in together {
            let weights = members.iter().map(|(_, weight)| *weight).collect();
            let members = members.into_iter().map(|(member, _)| (String::new(), member)).collect();
            self.add(&format!("{name}@multicluster"), What::Weighted(weights), members);
        }
    }

    fn resolve(&mut self) {
        for at in 0..self.list.len() {
            for member in 0..self.list[at].members.len() {
                let found = self.find(&self.list[at].members[member].0);
                self.list[at].members[member].1 = found;
            }
        }
        for at in 0..self.list.len() {
            self.list[at].in_circle = self.reaches(at, at, &mut BTreeSet::new());
        }
    }

    fn reaches(&self, from: usize, to: usize, seen: &mut BTreeSet<usize>) -> bool {
        self.list[from]
            .members
            .iter()
            .filter_map(|(_, member)| *member)
            .any(|member| member == to || (seen.insert(member) && self.reaches(member, to, seen)))
    }

    /// Whether a service serves when everybody is well; one that nobody defines does nothing.
    pub fn works(&self, at: Option<usize>) -> Works {
        let Some(at) = at else { return Works::Nothing };
        let service = &self.list[at];
        if service.in_circle {
            return Works::Nothing;
        }
        let of = |(_, member): &(String, Option<usize>)| self.works(*member) != Works::Nothing;
        let working = service.members.iter().filter(|member| of(member)).count();
        let main_lost = matches!(service.what, What::Mirroring { .. }) && !of(&service.members[0]);
        if working == service.members.len() {
            Works::All
        } else if working == 0 || main_lost {
            Works::Nothing
        } else {
            Works::Part
        }
    }

    /// How well a service is known to serve, if its servers are known to be as `health` says, by
    /// service and number.
    pub fn known(&self, at: Option<usize>, health: &dyn Fn(usize, usize) -> Known) -> Known {
        let Some(at) = at else { return Known::Down };
        let service = &self.list[at];
        if service.in_circle {
            return Known::Down;
        }
        match &service.what {
            What::Failover { .. } => {
                let sides = service.members.iter().map(|(_, member)| self.known(*member, health));
                sides.max().unwrap_or(Known::Down)
            }
            What::Mirroring { .. } => self.known(service.members[0].1, health),
            What::Balancer { .. } | What::Weighted(_) => {
                let taking = self.members(at, health).into_iter().filter(|(_, weight)| *weight > 0);
                taking.map(|(known, _)| known).max().unwrap_or(Known::Down)
            }
        }
    }

    fn members(&self, at: usize, health: &dyn Fn(usize, usize) -> Known) -> Vec<(Known, u32)> {
        let service = &self.list[at];
        match &service.what {
            What::Balancer { servers, .. } => {
                let of = |(n, (_, weight)): (usize, &(String, u32))| (health(at, n), *weight);
                servers.iter().enumerate().map(of).collect()
            }
            What::Weighted(weights) => {
                let known = service.members.iter().map(|(_, member)| self.known(*member, health));
                known.zip(weights.iter().copied()).collect()
            }
            What::Failover { .. } | What::Mirroring { .. } => Vec::new(),
        }
    }

    /// The weight that each member of a balancer has now: its own if it is among the best known
    /// that have one, else none.
    pub fn weights(&self, at: usize, health: &dyn Fn(usize, usize) -> Known) -> Vec<u32> {
        let members = self.members(at, health);
        let taking = members.iter().filter(|(_, weight)| *weight > 0);
        let best = taking.map(|(known, _)| *known).max().unwrap_or(Known::Down);
        let share = |(known, weight): &(Known, u32)| {
            if *known == best && best != Known::Down { *weight } else { 0 }
        };
        members.iter().map(share).collect()
    }
}

/// A service as written, and the services that it names with their places.
fn written(kind: &Kind, strategy: Strategy) -> (What, Vec<(String, String)>) {
    match kind {
        Kind::Balancer { servers, check, passive, .. } => {
            let servers = servers.iter().map(|at| (at.url.clone(), at.weight)).collect();
            let (check, passive) = (*check, *passive);
            (What::Balancer { servers, check, passive, offer: false }, Vec::new())
        }
        Kind::Weighted(members) => {
            let weights = members.iter().map(|(_, weight)| *weight).collect();
            let by_address = strategy == Strategy::Client;
            let key = if by_address { "highestRandomWeight" } else { "weighted" };
            let place = |n: usize| format!("{key}.services[{n}].name");
            let named = members.iter().enumerate().map(|(n, (name, _))| (place(n), name.clone()));
            (What::Weighted(weights), named.collect())
        }
        Kind::Failover { main, fallback, errors } => {
            let main = ("failover.service".to_owned(), main.clone());
            let fallback = ("failover.fallback".to_owned(), fallback.clone());
            (What::Failover { errors: *errors }, vec![main, fallback])
        }
        Kind::Mirroring { main, mirrors, body, max } => {
            let percents = mirrors.iter().map(|(_, percent)| *percent).collect();
            let place = |n: usize| format!("mirroring.mirrors[{n}].name");
            let mut named = vec![("mirroring.service".to_owned(), main.clone())];
            let list = mirrors.iter().enumerate();
            named.extend(list.map(|(n, (name, _))| (place(n), name.clone())));
            (What::Mirroring { percents, body: *body, max: *max }, named)
        }
    }
}

/// Names of several clusters are compared in this form: every run of other characters is a dash.
pub fn normal(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        let plain = letter.is_ascii_alphanumeric() || letter == '_';
        if plain {
            out.push(letter);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Backend, Service as Written};

    fn uplink(name: &str, weight: u32) -> Uplink {
        Uplink { name: name.into(), weight, check: None, passive: false }
    }

    fn offered(child: &str, uplinks: &[(&str, u32)]) -> Offered {
        let uplinks = uplinks.iter().map(|(name, weight)| uplink(name, *weight)).collect();
        Offered { child: child.into(), address: format!("http://{child}"), uplinks }
    }

    fn document(services: &[(&str, Kind)]) -> Document {
        let service = |(name, kind): &(&str, Kind)| Written::new(*name, kind.clone());
        Document { services: services.iter().map(service).collect(), ..Document::default() }
    }

    fn balancer(urls: &[&str]) -> Kind {
        let server = |url: &&str| Backend { server: 0, url: (*url).into(), weight: 2 };
        let servers = urls.iter().map(server).collect();
        Kind::Balancer { servers, check: None, passive: false, pass_host: true }
    }

    #[test]
    fn an_alias_that_is_an_uplinks_own_name_is_given_to_nobody() {
        let children =
            [offered("c0", &[("shop", 3), ("shop-c1", 1)]), offered("c1", &[("shop", 7)])];
        let services = Services::of(&Document::default(), &children);
        let names: Vec<&str> = services.list.iter().map(|at| at.name.as_str()).collect();
        let expected = [
            "shop-c0@multicluster",
            "shop-c1-c0@multicluster",
            "shop/c1@multicluster",
            "shop@multicluster",
            "shop-c1@multicluster",
        ];
        assert_eq!(names, expected);
        assert_eq!(services.clashes.iter().collect::<Vec<_>>(), ["shop-c1"]);
        assert_eq!(services.list[3].what, What::Weighted(vec![3, 7]));
    }

    #[test]
    fn the_best_known_members_share_and_a_circle_serves_nothing() {
        let document = document(&[
            ("two", balancer(&["a", "b"])),
            ("round", Kind::Weighted(vec![("turn".into(), 1)])),
            ("turn", Kind::Weighted(vec![("round".into(), 1)])),
            (
                "both",
                Kind::Failover { main: "round".into(), fallback: "two".into(), errors: false },
            ),
        ]);
        let services = Services::of(&document, &[]);
        let at = |name: &str| services.find(&format!("{name}@file"));
        let health = |_: usize, n: usize| if n == 0 { Known::Unknown } else { Known::Up };
        assert_eq!(services.weights(at("two").expect("defined"), &health), [0, 2]);
        assert_eq!(services.known(at("both"), &health), Known::Up);
        assert_eq!(services.known(at("round"), &health), Known::Down);
        assert_eq!(services.works(at("both")), Works::Part);
        assert_eq!(services.works(at("turn")), Works::Nothing);
    }
}
