//! A machine of documents, offers of children and verdicts of checks, against a model of what the
//! documentation says about them: exhaustively for short stories, at random for long ones.

use super::*;
use crate::config::typed::Dynamic;
use crate::service::failover::Side;
use crate::service::stale::Freshness;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What the operator may have written for `top`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Top {
    Weighted,
    Failover,
    Mirroring,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Written {
    /// Weights of the two servers of `lb`, and whether it checks them; nothing if it is not there.
    lb: Option<([u32; 2], bool)>,
    top: Option<Top>,
}

/// Weight and whether there is a check; nothing if the child offers nothing.
type Offer = Option<(u32, bool)>;

#[derive(Clone, Copy, Debug)]
enum Event {
    Write(usize),
    Offer {
        child: usize,
        offer: usize,
    },
    Fresh {
        child: usize,
        how: Freshness,
    },
    /// Of the servers of `lb`, then those of the children.
    Health {
        server: usize,
        health: Health,
    },
}

const WRITTEN: [Written; 6] = [
    Written { lb: Some(([1, 2], false)), top: Some(Top::Weighted) },
    Written { lb: Some(([1, 2], true)), top: Some(Top::Failover) },
    Written { lb: Some(([3, 0], true)), top: Some(Top::Weighted) },
    Written { lb: Some(([2, 2], true)), top: Some(Top::Mirroring) },
    Written { lb: None, top: Some(Top::Failover) },
    Written { lb: Some(([1, 1], true)), top: None },
];
const OFFERS: [Offer; 4] = [None, Some((2, false)), Some((1, true)), Some((0, true))];
const FRESH: [Freshness; 3] = [Freshness::Fresh, Freshness::Demoted, Freshness::Withdrawn];
const HEALTH: [Health; 2] = [Health::Up, Health::Down];
const SERVERS: [&str; 4] =
    ["http://10.1.0.1", "http://10.1.0.2", "http://10.0.0.1:9443", "http://10.0.0.2:9443"];

/// All that may happen next.
fn events() -> Vec<Event> {
    let mut all: Vec<Event> = (0..WRITTEN.len()).map(Event::Write).collect();
    for child in 0..2 {
        all.extend((0..OFFERS.len()).map(|offer| Event::Offer { child, offer }));
        all.extend(FRESH.map(|how| Event::Fresh { child, how }));
    }
    for server in 0..SERVERS.len() {
        all.extend(HEALTH.map(|health| Event::Health { server, health }));
    }
    all
}

fn document(written: Written) -> Dynamic {
    let mut text = String::from("http: {services: {");
    if let Some(([one, two], checks)) = written.lb {
        let check = if checks { "healthCheck: {path: /}, " } else { "" };
        let server = |at: usize, weight| format!("{{url: '{}', weight: {weight}}}", SERVERS[at]);
        let (one, two) = (server(0, one), server(1, two));
        text.push_str(&format!("lb: {{loadBalancer: {{{check}servers: [{one}, {two}]}}}}, "));
    }
    let top = match written.top {
        None => "",
        Some(Top::Weighted) => {
            "top: {weighted: {services: [{name: lb, weight: 2}, {name: shop@multicluster}]}}"
        }
        Some(Top::Failover) => "top: {failover: {service: shop@multicluster, fallback: lb}}",
        Some(Top::Mirroring) => {
            "top: {mirroring: {service: shop-c1@multicluster, mirrors: [{name: lb, percent: 50}]}}"
        }
    };
    text.push_str(top);
    text.push_str("}}");
    let reading = config::dynamic(&[("d.yml", &text)]);
    assert_eq!(said(&reading.diagnostics), "");
    reading.dynamic
}

/// From worst to best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Known {
    Down,
    UnknownOld,
    Unknown,
    UpOld,
    Up,
}

/// What a service is to those who ask.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    up: bool,
    what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    /// Turns of each member in a round.
    Shares(Vec<u64>),
    Side(Side),
    Mirrors(usize),
    Nothing,
}

/// Everything that was said so far, and what has to be remembered.
#[derive(Debug, Default)]
struct Model {
    lb: Option<([u32; 2], bool)>,
    top: Option<Top>,
    offers: [Offer; 2],
    fresh: [Freshness; 2],
    /// What a server's check said last; a check that begins anew has said nothing.
    health: [Health; 4],
    /// By service: what it is, and how many tickets it gave since it has been that.
    drawn: BTreeMap<&'static str, (u8, u64)>,
}

impl Model {
    fn on(&mut self, event: Event) {
        match event {
            Event::Write(at) => {
                let Written { lb, top } = WRITTEN[at];
                if self.lb.map(|(_, checks)| checks) != lb.map(|(_, checks)| checks) {
                    self.health[..2].fill(Health::Unknown);
                }
                (self.lb, self.top) = (lb, top);
            }
            Event::Offer { child, offer } => {
                let (old, new) = (self.offers[child], OFFERS[offer]);
                if old.map(|(_, checks)| checks) != new.map(|(_, checks)| checks) {
                    self.health[2 + child] = Health::Unknown;
                }
                self.offers[child] = new;
            }
            Event::Fresh { child, how } => self.fresh[child] = how,
            Event::Health { server, health } => {
                let check = match server {
                    0 | 1 => self.lb.is_some_and(|(_, checks)| checks),
                    child => self.offers[child - 2].is_some_and(|(_, checks)| checks),
                };
                if check {
                    self.health[server] = health;
                }
            }
        }
    }

    fn lb_server(&self, at: usize) -> Known {
        let Some((_, checks)) = self.lb else { return Known::Down };
        if checks { known(self.health[at]) } else { Known::Up }
    }

    fn child(&self, at: usize) -> Known {
        let Some((_, checks)) = self.offers[at] else { return Known::Down };
        let known = if checks { known(self.health[2 + at]) } else { Known::Up };
        match (self.fresh[at], known) {
            (Freshness::Withdrawn, _) | (_, Known::Down) => Known::Down,
            (Freshness::Demoted, Known::Up) => Known::UpOld,
            (Freshness::Demoted, _) => Known::UnknownOld,
            (_, known) => known,
        }
    }

    fn lb(&self) -> (Known, Vec<u64>) {
        let weights = self.lb.map_or([0, 0], |(weights, _)| weights);
        best(&[(self.lb_server(0), weights[0]), (self.lb_server(1), weights[1])])
    }

    fn shop(&self) -> (Known, Vec<u64>) {
        let of = |at: usize| {
            // A child that counts as withdrawn has no weight left.
            let gone = self.fresh[at] == Freshness::Withdrawn;
            let weight = self.offers[at].map(|(weight, _)| if gone { 0 } else { weight });
            weight.map(|weight| (self.child(at), weight))
        };
        best(&[of(0), of(1)].into_iter().flatten().collect::<Vec<_>>())
    }

    /// Every service by name.
    fn services(&self) -> BTreeMap<&'static str, Seen> {
        let mut all = BTreeMap::new();
        let mut add = |name, known: Known, what| {
            all.insert(name, Seen { up: known != Known::Down, what });
        };
        let (lb, lb_shares) = self.lb();
        let (shop, shop_shares) = self.shop();
        if self.lb.is_some() {
            add("lb@file", lb, What::Shares(lb_shares));
        }
        if self.offers.iter().any(Option::is_some) {
            add("shop@multicluster", shop, What::Shares(shop_shares));
        }
        for (at, name) in ["shop-c1@multicluster", "shop-c2@multicluster"].into_iter().enumerate() {
            if self.offers[at].is_some() {
                let known = self.child(at);
                add(name, known, What::Shares(best(&[(known, 1)]).1));
            }
        }
        match self.top {
            None => {}
            Some(Top::Weighted) => {
                let (known, shares) = best(&[(lb, 2), (shop, 1)]);
                add("top@file", known, What::Shares(shares));
            }
            Some(Top::Failover) => {
                let side = match shop.max(lb) {
                    Known::Down => Side::Neither,
                    best if shop == best => Side::Main,
                    Known::UnknownOld | Known::Unknown | Known::UpOld | Known::Up => Side::Fallback,
                };
                add("top@file", shop.max(lb), What::Side(side));
            }
            Some(Top::Mirroring) => {
                add("top@file", self.child(0), What::Mirrors(usize::from(self.lb.is_some())));
            }
        }
        all
    }
}

fn known(health: Health) -> Known {
    match health {
        Health::Up => Known::Up,
        Health::Unknown => Known::Unknown,
        Health::Down => Known::Down,
    }
}

/// The best that any member with weight is known to be, and the turns of those that are that.
fn best(members: &[(Known, u32)]) -> (Known, Vec<u64>) {
    let weighty = members.iter().filter(|(_, weight)| *weight > 0);
    let best = weighty.map(|(known, _)| *known).max().unwrap_or(Known::Down);
    let turns = members.iter().map(|(known, weight)| {
        let serves = *known == best && best != Known::Down;
        if serves { u64::from(*weight) } else { 0 }
    });
    let turns: Vec<u64> = turns.collect();
    let shared = (1..=turns.iter().sum()).rev().find(|by| turns.iter().all(|it| it % by == 0));
    (best, turns.into_iter().map(|turns| turns / shared.unwrap_or(1)).collect())
}

/// What the view shows of the same.
fn shown(node: &ServiceNode) -> Seen {
    let counted = |turns: &[u16], members: usize| {
        let mut counts = vec![0; members];
        turns.iter().for_each(|turn| counts[usize::from(*turn)] += 1);
        What::Shares(counts)
    };
    let what = match &node.kind {
        NodeKind::Balancer { turns, servers, .. } => counted(turns.rotation.turns(), servers.len()),
        NodeKind::Weighted { turns, services } => counted(turns.rotation.turns(), services.len()),
        NodeKind::Failover { side, .. } => What::Side(*side),
        NodeKind::Mirroring(node) => What::Mirrors(node.mirrors.len()),
        NodeKind::Internal(_) | NodeKind::Unavailable(_) => What::Nothing,
    };
    Seen { up: node.up, what }
}

/// The number of the next ticket, which is thereby drawn.
fn draw(node: &ServiceNode) -> Option<(u8, u64)> {
    match &node.kind {
        NodeKind::Balancer { turns, .. } => Some((0, turns.ticket.draw())),
        NodeKind::Weighted { turns, .. } => Some((1, turns.ticket.draw())),
        NodeKind::Mirroring(node) => Some((2, node.ticket.draw())),
        NodeKind::Failover { .. } | NodeKind::Internal(_) | NodeKind::Unavailable(_) => None,
    }
}

fn tell(world: &mut World, documents: &[Dynamic], event: Event) {
    match event {
        Event::Write(at) => world.compiler.set_dynamic(documents[at].clone()),
        Event::Offer { child, offer } => {
            let text = match OFFERS[offer] {
                None => "[]".to_owned(),
                Some((weight, checks)) => {
                    let check = if checks { r#", "healthCheck": {"path": "/"}"# } else { "" };
                    format!(r#"[{{"name": "shop", "weight": {weight}{check}}}]"#)
                }
            };
            let decoded = advert::decode(text.as_bytes()).expect("a valid advertisement");
            let child = ChildId(u16::try_from(child).expect("one of two"));
            world.compiler.set_adverts(child, decoded.adverts);
        }
        Event::Fresh { child, how } => {
            let child = ChildId(u16::try_from(child).expect("one of two"));
            world.compiler.set_freshness(child, how);
        }
        Event::Health { server, health } => {
            let nodes = world.view.services.iter();
            let servers = nodes.filter_map(|node| match &node.kind {
                NodeKind::Balancer { servers, .. } => Some(servers),
                NodeKind::Weighted { .. }
                | NodeKind::Failover { .. }
                | NodeKind::Mirroring(_)
                | NodeKind::Internal(_)
                | NodeKind::Unavailable(_) => None,
            });
            let these = servers.flatten().filter(|node| *node.url == *SERVERS[server]);
            let these: Vec<ServerId> = these.map(|node| node.id).collect();
            these.into_iter().for_each(|id| world.compiler.set_health(id, health));
        }
    }
    world.build();
}

/// Lets the events happen to both, and compares after each.
fn check(documents: &[Dynamic], events: &[Event]) {
    let (mut world, mut model) = (World::parent(2), Model::default());
    for (at, event) in events.iter().enumerate() {
        tell(&mut world, documents, *event);
        model.on(*event);
        let expected = model.services();
        for (name, expected) in &expected {
            let found = shown(world.node(name));
            assert_eq!(found, *expected, "{name} after {:?}", &events[..=at]);
        }
        let nodes = world.view.services.iter();
        let mut found = nodes.filter(|node| shown(node).what != What::Nothing);
        let extra = found.find(|node| !expected.contains_key(&*node.name));
        assert!(extra.is_none(), "{extra:?} after {:?}", &events[..=at]);
        model.drawn.retain(|name, _| expected.contains_key(name));
        for name in expected.keys() {
            let Some((kind, ticket)) = draw(world.node(name)) else {
                model.drawn.remove(name);
                continue;
            };
            let (was, next) = model.drawn.entry(name).or_insert((kind, 0));
            if *was != kind {
                (*was, *next) = (kind, 0);
            }
            assert_eq!(ticket, *next, "the ticket of {name} after {:?}", &events[..=at]);
            *next += 1;
        }
    }
}

fn documents() -> Vec<Dynamic> {
    WRITTEN.iter().map(|written| document(*written)).collect()
}

#[test]
fn every_story_of_three_events_is_as_the_documentation_says() {
    let (documents, events) = (documents(), events());
    for one in &events {
        for two in &events {
            for three in &events {
                check(&documents, &[*one, *two, *three]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 300,
        ..ProptestConfig::default()
    })]

    #[test]
    fn long_stories_are_as_the_documentation_says(
        events in prop::collection::vec(prop::sample::select(events()), 4..60),
    ) {
        check(&documents(), &events);
    }
}

/// Faults that can be planted, and that this machine is there to find.
#[cfg(feature = "mutants")]
#[test]
fn what_is_compiled_wrongly_is_told_apart() {
    use crate::base::mutant::{Mutant, plant};
    let planted = [
        Mutant::FailoverStays,
        Mutant::NewsStaysBelow,
        Mutant::PicksDown,
        Mutant::PositionForgotten,
        Mutant::RemembersFirstWeights,
        Mutant::WithdrawnStays,
    ];
    let (documents, events) = (documents(), events());
    let pairs = || events.iter().flat_map(|one| events.iter().map(|two| [*one, *two]));
    for mutant in planted {
        plant(Some(mutant));
        let differs =
            |story: &[Event]| std::panic::catch_unwind(|| check(&documents, story)).is_err();
        let found = pairs().any(|story| differs(&story));
        plant(None);
        assert!(found, "{} is not found in two events", mutant.name());
    }
}
