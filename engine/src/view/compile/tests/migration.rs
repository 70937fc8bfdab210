//! A machine of reloads: what is remembered of services, servers, routers and middlewares, against
//! a model of what the documentation says about keeping it. Documents of a small language are
//! left by every change of one definition, and come back to; long stories are drawn at random.

use super::super::guards::Guarding;
use super::super::slots::Slot;
use super::*;
use crate::config::fixed::IdleConns;
use crate::service::middleware::rate::Counts;
use proptest::prelude::*;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What may be written for each definition; nothing leaves it out.
const SERVICE: [&str; 6] = [
    "",
    "loadBalancer: {strategy: p2c, healthCheck: {path: /h}, passiveHealthCheck: \
     {maxFailedAttempts: 2}, servers: [{url: 'http://10.0.0.1'}]}",
    "loadBalancer: {strategy: p2c, healthCheck: {path: /o}, passiveHealthCheck: \
     {maxFailedAttempts: 2}, servers: [{url: 'http://10.0.0.1'}]}",
    "loadBalancer: {strategy: p2c, healthCheck: {path: /h}, passiveHealthCheck: \
     {maxFailedAttempts: 3}, servers: [{url: 'http://10.0.0.1'}]}",
    "loadBalancer: {strategy: p2c, healthCheck: {path: /h}, passiveHealthCheck: \
     {maxFailedAttempts: 2}, servers: [{url: 'http://10.0.0.1'}, {url: 'http://10.0.0.2'}]}",
    "loadBalancer: {serversTransport: t, servers: [{url: 'http://10.0.0.1'}]}, middlewares: [b]",
];
const ABOVE: [&str; 5] = [
    "",
    "weighted: {services: [{name: s}, {name: z}]}",
    "weighted: {services: [{name: s, weight: 3}, {name: z}]}",
    "mirroring: {service: z, mirrors: [{name: s, percent: 50}]}",
    "failover: {service: s, fallback: z}",
];
const COUNTS: [&str; 5] = [
    "",
    "rateLimit: {average: 1, burst: 5}",
    "rateLimit: {average: 2, burst: 5}",
    "inFlightReq: {amount: 5}",
    "inFlightReq: {amount: 9}",
];
const BREAKS: [&str; 3] = [
    "",
    "circuitBreaker: {expression: 'NetworkErrorRatio() > 0.5'}",
    "circuitBreaker: {expression: 'NetworkErrorRatio() > 0.6'}",
];
const ROUTER: [&str; 4] = [
    "",
    "rule: PathPrefix(`/`), service: w, middlewares: [m, b]",
    "rule: Path(`/`), service: s, middlewares: [m]",
    "rule: Host(`x.test`), service: z, middlewares: [b]",
];
const SIZES: [usize; 5] = [SERVICE.len(), ABOVE.len(), COUNTS.len(), BREAKS.len(), ROUTER.len()];

/// What was chosen of each list: of `s`, `w`, `m`, `b` and `r`.
type Written = [usize; 5];

fn text([s, w, m, b, r]: Written) -> String {
    let mut text = String::from("http:\n  serversTransports: {t: {maxIdleConnsPerHost: 7}}\n");
    let mut section = |name: &str, fixed: &str, parts: &[(&str, &str)]| {
        let _ = writeln!(text, "  {name}:\n    {fixed}");
        for (name, body) in parts.iter().filter(|(_, body)| !body.is_empty()) {
            let _ = writeln!(text, "    {name}: {{{body}}}");
        }
    };
    section("routers", "z: {rule: Path(`/z`), service: z}", &[("r", ROUTER[r])]);
    section(
        "services",
        "z: {loadBalancer: {servers: [{url: 'http://10.9.9.9'}]}}",
        &[("s", SERVICE[s]), ("w", ABOVE[w])],
    );
    section("middlewares", "z: {addPrefix: {prefix: /z}}", &[("m", COUNTS[m]), ("b", BREAKS[b])]);
    text
}

/// Something that is remembered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Item {
    /// Of a service.
    Position(&'static str),
    /// Of turns that a breaker has passed by.
    Rest(&'static str),
    Figures(&'static str),
    RouterFigures(&'static str),
    /// Of a server of a service.
    Health(&'static str, String),
    Ejection(&'static str, String),
    Load(&'static str, String),
    /// Connections that are kept.
    Pool(String),
    Counts,
    /// Before whom.
    Breaker(&'static str),
}

/// By what a document defines: what may be remembered, and what it has to go on meaning for that.
/// Something is kept if both documents define it and mean the same.
fn facts([s, w, m, b, r]: Written) -> BTreeMap<Item, String> {
    let mut all = BTreeMap::new();
    let mut add = |item, means: &str| all.insert(item, means.to_owned());
    let servers = |service, urls: &[&str], transport: &str| {
        let mut of = BTreeMap::new();
        for url in urls {
            of.insert(Item::Load(service, (*url).to_owned()), String::new());
            of.insert(Item::Pool(format!("{url} {transport}")), String::new());
        }
        of
    };
    add(Item::Position("z@file"), "loadBalancer");
    add(Item::Rest("z@file"), "loadBalancer");
    add(Item::Figures("z@file"), "");
    add(Item::RouterFigures("z@file"), "");
    let urls: &[&str] =
        if s == 4 { &["http://10.0.0.1", "http://10.0.0.2"] } else { &["http://10.0.0.1"] };
    if s > 0 {
        add(Item::Position("s@file"), "loadBalancer");
        add(Item::Rest("s@file"), "loadBalancer");
        add(Item::Figures("s@file"), "");
    }
    for url in urls.iter().filter(|_| (1..5).contains(&s)) {
        add(Item::Health("s@file", (*url).to_owned()), if s == 2 { "/o" } else { "/h" });
        add(Item::Ejection("s@file", (*url).to_owned()), if s == 3 { "3" } else { "2" });
    }
    if w > 0 {
        let kind = ["", "weighted", "weighted", "mirroring", "failover"][w];
        add(Item::Position("w@file"), kind);
        add(Item::Rest("w@file"), kind);
        add(Item::Figures("w@file"), "");
    }
    if m > 0 {
        add(Item::Counts, ["", "1 a second", "2 a second", "in flight", "in flight"][m]);
    }
    // Nobody goes through a router that lacks a middleware.
    if b > 0 && (r == 3 || r == 1 && m > 0) {
        add(Item::Breaker("r@file"), BREAKS[b]);
    }
    if b > 0 && s == 5 {
        add(Item::Breaker("service s@file"), BREAKS[b]);
    }
    if r > 0 {
        add(Item::RouterFigures("r@file"), "");
    }
    all.extend(servers("z@file", &["http://10.9.9.9"], ""));
    all.extend(servers("s@file", if s > 0 { urls } else { &[] }, if s == 5 { "t" } else { "" }));
    all
}

/// Of what something is remembered now. Whatever is looked at is kept, so that no other comes to
/// stand in its place.
#[derive(Clone)]
enum Memory {
    Of(Arc<dyn Any>),
    Pool(u32),
    Health(Health),
    Ejected(bool),
}

impl Memory {
    fn of<T: Any>(it: &Arc<T>) -> Self {
        Self::Of(Arc::<T>::clone(it))
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Of(a), Self::Of(b)) => Arc::as_ptr(a).cast::<()>() == Arc::as_ptr(b).cast(),
            (Self::Pool(a), Self::Pool(b)) => a == b,
            (Self::Health(a), Self::Health(b)) => a == b,
            (Self::Ejected(a), Self::Ejected(b)) => a == b,
            (Self::Of(_) | Self::Pool(_) | Self::Health(_) | Self::Ejected(_), _) => false,
        }
    }

    /// Whether nothing is remembered, where there was something before.
    fn is_new(&self, before: &Self) -> bool {
        match self {
            Self::Of(_) | Self::Pool(_) => !self.is_same(before),
            Self::Health(health) => *health == Health::Unknown,
            Self::Ejected(ejected) => !ejected,
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(it) => write!(f, "{:p}", Arc::as_ptr(it)),
            Self::Pool(id) => write!(f, "target {id}"),
            Self::Health(health) => write!(f, "{health:?}"),
            Self::Ejected(ejected) => write!(f, "ejected: {ejected}"),
        }
    }
}

/// All that can be seen of what is remembered.
fn seen(world: &mut World) -> BTreeMap<Item, Memory> {
    let mut all = BTreeMap::new();
    for name in ["s@file", "w@file", "z@file"] {
        let mut slots = world.compiler.slots.iter();
        let defined = |slot: &Slot| *slot.name == *name && slot.definition.is_some();
        let found = slots.find(|(_, slot)| defined(slot)).map(|(id, _)| id);
        drop(slots);
        if let Some(id) = found {
            see_service(world, name, id, &mut all);
        }
    }
    let Offer::Routes(table) = &world.view.entries[0].offer else { return all };
    for route in table.iter() {
        let name = if *route.name == *"r@file" { "r@file" } else { "z@file" };
        all.insert(Item::RouterFigures(name), Memory::of(&route.stats));
        see_steps(name, &route.steps, &mut all);
    }
    all
}

fn see_service(
    world: &mut World,
    name: &'static str,
    id: ServiceId,
    all: &mut BTreeMap<Item, Memory>,
) {
    let slot = world.compiler.slots.get(id);
    all.insert(Item::Position(name), Memory::of(&slot.ticket));
    all.insert(Item::Rest(name), Memory::of(&slot.rest_ticket));
    all.insert(Item::Figures(name), Memory::of(&slot.stats));
    if let Some(Guarding { guard: Ok(guard), .. }) = &slot.guarding {
        see_steps("service s@file", &guard.steps, all);
    }
    let servers: Vec<ServerId> = slot.shape.servers().collect();
    let chosen_by_load = slot.chosen_by.is_some();
    for server in servers {
        let (wanted, (health, ejected)) = world.compiler.servers.known(server);
        let url = wanted.url.to_string();
        if wanted.check.is_some() {
            all.insert(Item::Health(name, url.clone()), Memory::Health(health));
        }
        if wanted.passive.is_some() {
            all.insert(Item::Ejection(name, url.clone()), Memory::Ejected(ejected));
        }
        let keeps = if wanted.transport.idle == IdleConns::UpTo(7) { "t" } else { "" };
        let target = world.compiler.servers.target(server).expect("a held server has a target");
        all.insert(Item::Pool(format!("{url} {keeps}")), Memory::Pool(target.0));
        if chosen_by_load {
            let load = world.compiler.servers.load(server);
            all.insert(Item::Load(name, url), Memory::of(&load));
        }
    }
}

fn see_steps(user: &'static str, steps: &[Step], all: &mut BTreeMap<Item, Memory>) {
    for step in steps {
        if let Step::RateLimit(limiter) = step
            && let Counts::Here(words) = &limiter.counts
        {
            all.insert(Item::Counts, Memory::of(words));
        } else if let Step::InFlight(gauge) = step {
            all.insert(Item::Counts, Memory::of(&gauge.words));
        } else if let Step::Breaker(breaker) = step {
            all.insert(Item::Breaker(user), Memory::of(breaker));
        }
    }
}

/// What is remembered, with what it meant when it was.
#[derive(Debug, Default)]
struct Model {
    written: Option<Written>,
    memory: BTreeMap<Item, (String, Memory)>,
}

impl Model {
    /// What becomes of everything with a new document; and how that is told.
    fn write(&mut self, written: Written, found: &BTreeMap<Item, Memory>) -> BTreeSet<String> {
        let old = self.written.replace(written).map(facts).unwrap_or_default();
        let (facts, mut told) = (facts(written), BTreeSet::new());
        // It counts whether or not anybody can be seen to be counted.
        told.extend(match (old.get(&Item::Counts), facts.get(&Item::Counts)) {
            (Some(_), None) => Some("dropped: counts of middleware m@file: it is gone".to_owned()),
            (Some(meant), Some(means)) if meant != means => {
                Some("reset: counts of middleware m@file: its definition changed".to_owned())
            }
            _ => None,
        });
        let before = std::mem::take(&mut self.memory);
        for (item, (meant, memory)) in &before {
            let Some(means) = facts.get(item) else {
                told.extend(item.dropped(memory, &facts));
                continue;
            };
            let lost = meant != means;
            match found.get(item) {
                Some(new) if lost => assert!(new.is_new(memory), "{item:?}: {new:?} {memory:?}"),
                Some(new) => assert!(new.is_same(memory), "{item:?}: {new:?} {memory:?}"),
                // Whoever looks at it again will find it as it was.
                None if !lost => {
                    self.memory.insert(item.clone(), (meant.clone(), memory.clone()));
                    continue;
                }
                None => {}
            }
            if lost {
                told.extend(item.reset(memory, meant, means));
            }
        }
        for (item, memory) in found {
            let means = facts.get(item).unwrap_or_else(|| panic!("nothing defines {item:?}"));
            self.memory.insert(item.clone(), (means.clone(), memory.clone()));
        }
        told
    }

    fn look(&mut self, found: &BTreeMap<Item, Memory>) {
        for (item, memory) in found {
            let (_, old) = self.memory.get_mut(item).expect("nothing new is remembered");
            *old = memory.clone();
        }
    }
}

impl Item {
    fn reset(&self, memory: &Memory, meant: &str, means: &str) -> Option<String> {
        let changed = "its definition changed";
        match self {
            Self::Position(name) => {
                Some(format!("reset: position of {name}: it was {meant} and is {means}"))
            }
            Self::Health(..) | Self::Ejection(..) => self.judged(memory),
            Self::Breaker(user) => {
                Some(format!("reset: circuit breaker b@file of {user}: {changed}"))
            }
            Self::Rest(_)
            | Self::Pool(_)
            | Self::Counts
            | Self::Figures(_)
            | Self::RouterFigures(_)
            | Self::Load(..) => None,
        }
    }

    /// What a check found out is lost with the check.
    fn judged(&self, memory: &Memory) -> Option<String> {
        match (self, memory) {
            (Self::Health(_, url), Memory::Health(health)) if *health != Health::Unknown => {
                let until = "its check changed, so it is unknown until the next probe";
                Some(format!("reset: health of {url}: {until}"))
            }
            (Self::Ejection(_, url), Memory::Ejected(true)) => {
                Some(format!("reset: ejection of {url}: its passive check changed"))
            }
            _ => None,
        }
    }

    fn dropped(&self, memory: &Memory, facts: &BTreeMap<Self, String>) -> Option<String> {
        let gone = |what: String| Some(format!("dropped: {what}: it is gone"));
        let defined = |name: &'static str| facts.contains_key(&Self::Position(name));
        let serves =
            |name: &'static str, url: &String| facts.contains_key(&Self::Load(name, url.clone()));
        match self {
            Self::Figures(name) => gone(format!("state of {name}")),
            Self::RouterFigures(name) => gone(format!("figures of router {name}")),
            Self::Health(name, url) | Self::Ejection(name, url) if serves(name, url) => {
                self.judged(memory)
            }
            Self::Load(name, url) if defined(name) => {
                gone(format!("state of server {url} of {name}"))
            }
            Self::Breaker(user) => gone(format!("circuit breaker b@file of {user}")),
            Self::Position(_)
            | Self::Rest(_)
            | Self::Pool(_)
            | Self::Counts
            | Self::Health(..)
            | Self::Ejection(..)
            | Self::Load(..) => None,
        }
    }
}

/// A world and its model, and what happened to both.
struct Story {
    world: World,
    model: Model,
    told: Vec<Event>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Write(Written),
    /// Every check finds its server down and out, or well.
    Checked(bool),
}

impl Story {
    fn new() -> Self {
        let world = World::new("entryPoints: {web: {address: \":80\"}}");
        Self { world, model: Model::default(), told: Vec::new() }
    }

    fn go_on(&mut self, event: Event) {
        self.told.push(event);
        match event {
            Event::Write(written) => self.write(written),
            Event::Checked(well) => self.check(well),
        }
    }

    fn write(&mut self, written: Written) {
        // References to what is not there are told; what remains is good.
        self.world.dynamic(&text(written));
        let found = seen(&mut self.world);
        let told = self.model.write(written, &found);
        let report = self.world.last.iter().flat_map(|build| &build.report);
        let report = report.filter(|line| !line.starts_with("kept:")).cloned();
        assert_eq!(report.collect::<BTreeSet<_>>(), told, "after {:?}", self.told);
    }

    fn check(&mut self, well: bool) {
        let health = if well { Health::Up } else { Health::Down };
        let servers = self.world.compiler.slots.iter().flat_map(|(_, slot)| slot.shape.servers());
        for server in servers.collect::<Vec<_>>() {
            self.world.compiler.set_health(server, health);
            self.world.compiler.set_ejected(server, !well);
        }
        self.world.build();
        let found = seen(&mut self.world);
        self.model.look(&found);
    }
}

/// Every document of the language.
fn all_written() -> Vec<Written> {
    let mut all = vec![[0; SIZES.len()]];
    for (at, size) in SIZES.into_iter().enumerate() {
        let with = |written: &Written, option| {
            let mut written = *written;
            written[at] = option;
            written
        };
        all = all.iter().flat_map(|it| (0..size).map(move |option| with(it, option))).collect();
    }
    all
}

/// Documents that differ in one definition.
fn neighbours(written: Written) -> Vec<Written> {
    let mut all = Vec::new();
    for (at, size) in SIZES.into_iter().enumerate() {
        for option in (0..size).filter(|option| *option != written[at]) {
            let mut other = written;
            other[at] = option;
            all.push(other);
        }
    }
    all
}

#[test]
fn every_change_of_one_definition_keeps_what_it_does_not_touch() {
    let fixed = |[s, w, m, b, r]: &Written| {
        let services = matches!((s, w), (1 | 5, 1));
        services || matches!((m, b, r), (0, 0, 0) | (1, 1, 1))
    };
    for written in all_written().into_iter().filter(fixed) {
        let mut story = Story::new();
        story.go_on(Event::Write(written));
        for (at, other) in neighbours(written).into_iter().enumerate() {
            story.go_on(Event::Checked(at % 2 == 1));
            story.go_on(Event::Write(other));
            story.go_on(Event::Write(written));
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let written = prop::sample::select(all_written()).prop_map(Event::Write);
    prop_oneof![3 => written, 1 => any::<bool>().prop_map(Event::Checked)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 100,
        ..ProptestConfig::default()
    })]

    #[test]
    fn long_stories_keep_what_they_do_not_touch(
        events in prop::collection::vec(event(), 2..40),
    ) {
        let mut story = Story::new();
        events.into_iter().for_each(|event| story.go_on(event));
    }
}
