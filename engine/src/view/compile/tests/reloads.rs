//! Random pairs of configurations: what both define alike keeps all it has, and of what they do
//! not, the report says what became of it.

use super::*;
use crate::service::middleware::words::Words;
use crate::service::ticket::Ticket;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What may be written for each service; nothing leaves it out.
const SERVICES: [(&str, [&str; 5]); 4] = [
    ("a", BALANCERS),
    ("b", BALANCERS),
    ("c", BALANCERS),
    (
        "w",
        [
            "",
            "{weighted: {services: [{name: a}, {name: b}]}}",
            "{weighted: {services: [{name: a, weight: 3}, {name: c}]}}",
            "{failover: {service: a, fallback: c}}",
            "{mirroring: {service: b, mirrors: [{name: c, percent: 50}]}}",
        ],
    ),
];
const BALANCERS: [&str; 5] = [
    "",
    "{loadBalancer: {healthCheck: {path: /h}, servers: [{url: 'http://10.0.@.1'}]}}",
    "{loadBalancer: {healthCheck: {path: /o}, servers: [{url: 'http://10.0.@.1'}]}}",
    "{loadBalancer: {healthCheck: {path: /h}, servers: [{url: 'http://10.0.@.1'}, {url: 'http://10.0.@.2'}]}}",
    "{loadBalancer: {passiveHealthCheck: {maxFailedAttempts: 2}, servers: [{url: 'http://10.0.@.1'}]}}",
];
const MIDDLEWARES: [&str; 4] = [
    "",
    "{inFlightReq: {amount: 5}}",
    "{inFlightReq: {amount: 9}}",
    "{inFlightReq: {amount: 5, sourceCriterion: {requestHeaderName: X-A}}}",
];
const ROUTERS: [&str; 4] = [
    "",
    "{rule: PathPrefix(`/`), service: w, middlewares: [m]}",
    "{rule: Path(`/`), service: a, middlewares: [m]}",
    "{rule: Host(`x.test`), service: b}",
];

/// What was chosen of each list.
#[derive(Clone, Debug)]
struct Written {
    services: [usize; 4],
    middleware: usize,
    routers: [usize; 3],
}

fn written() -> impl Strategy<Value = Written> {
    let services = prop::array::uniform4(0..5usize);
    (services, 0..4usize, prop::array::uniform3(0..4usize))
        .prop_map(|(services, middleware, routers)| Written { services, middleware, routers })
}

impl Written {
    fn text(&self) -> String {
        let mut text = String::from("http:\n  routers:\n    z: {rule: Path(`/z`), service: a}\n");
        for (name, at) in ["r1", "r2", "r3"].iter().zip(self.routers) {
            put(&mut text, name, ROUTERS[at]);
        }
        text.push_str(
            "  services:\n    z: {loadBalancer: {servers: [{url: 'http://10.9.9.9'}]}}\n",
        );
        for (number, ((name, options), at)) in (0..).zip(SERVICES.iter().zip(self.services)) {
            put(&mut text, name, &options[at].replace('@', &format!("{number}")));
        }
        text.push_str("  middlewares:\n    z: {addPrefix: {prefix: /z}}\n");
        put(&mut text, "m", MIDDLEWARES[self.middleware]);
        text
    }

    /// Services that both define, and alike.
    fn same_services(&self, other: &Self) -> Vec<&'static str> {
        let pairs = SERVICES.iter().zip(self.services.iter().zip(other.services));
        let same = pairs.filter(|(_, (old, new))| **old == *new && *new > 0);
        same.map(|((name, _), _)| *name).collect()
    }
}

fn put(text: &mut String, name: &str, body: &str) {
    if !body.is_empty() {
        let _ = writeln!(text, "    {name}: {body}");
    }
}

/// Everything that a service has beyond its definition.
#[derive(Debug)]
struct State {
    ticket: Option<Arc<Ticket>>,
    stats: Arc<crate::view::stats::Scope>,
    servers: Vec<(ServerId, crate::base::id::TargetId, crate::service::standing::Standing)>,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let tickets = match (&self.ticket, &other.ticket) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        tickets && Arc::ptr_eq(&self.stats, &other.stats) && self.servers == other.servers
    }
}

fn state(world: &World, name: &str) -> State {
    let node = world.node(&format!("{name}@file"));
    let (ticket, servers): (_, &[_]) = match &node.kind {
        NodeKind::Balancer { turns, servers, .. } => (Some(&turns.ticket), servers),
        NodeKind::Weighted { turns, .. } => (Some(&turns.ticket), &[]),
        NodeKind::Mirroring(node) => (Some(&node.ticket), &[]),
        NodeKind::Failover { .. } | NodeKind::Internal(_) | NodeKind::Unavailable(_) => (None, &[]),
    };
    let of = |server: &Arc<crate::view::ServerNode>| {
        (server.id, server.target, world.compiler.servers.standing(server.id))
    };
    State {
        ticket: ticket.cloned(),
        stats: Arc::clone(&node.stats),
        servers: servers.iter().map(of).collect(),
    }
}

/// What `m` counts, where somebody goes through it.
fn words(world: &World) -> Option<Arc<Words>> {
    let Offer::Routes(table) = &world.view.entries[0].offer else { return None };
    table.iter().flat_map(|route| route.steps.iter()).find_map(|step| {
        if let Step::InFlight(gauge) = step { Some(Arc::clone(&gauge.words)) } else { None }
    })
}

/// Lets things happen to every server, and tickets be drawn.
fn live(world: &mut World, seed: u64) {
    let mut prng = Prng::new(seed);
    let nodes: Vec<_> = world.view.services.iter().cloned().collect();
    for node in nodes {
        if let NodeKind::Balancer { turns, servers, .. } = &node.kind {
            turns.ticket.draw();
            for server in servers {
                let health = if prng.one_in(2) { Health::Up } else { Health::Down };
                world.compiler.set_health(server.id, health);
                world.compiler.set_ejected(server.id, prng.one_in(3));
            }
        }
    }
    world.build();
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 600,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_did_not_change_keeps_everything(
        old in written(),
        new in written(),
        seed in any::<u64>(),
    ) {
        let mut world = World::new("entryPoints: {web: {address: \":80\"}}");
        world.dynamic(&old.text());
        live(&mut world, seed);
        let same = old.same_services(&new);
        let before: BTreeMap<&str, State> =
            same.iter().map(|name| (*name, state(&world, name))).collect();
        let counted = words(&world);
        let changed = world.dynamic(&new.text());
        prop_assert!(changed || old.text() == new.text() || world.said() == world.said());
        for (name, before) in &before {
            prop_assert_eq!(before, &state(&world, name), "{}", name);
        }
        let build = world.last.take();
        let report = build.as_ref().map(|it| it.report.join("\n")).unwrap_or_default();
        if let Some(build) = &build {
            let kept = before.values().flat_map(|state| state.servers.iter().map(|(id, ..)| *id));
            for server in kept {
                prop_assert!(!build.probes.stopped.contains(&server), "{:?}", server);
                let started = build.probes.started.iter().any(|probe| probe.server == server);
                prop_assert!(!started, "{:?}", server);
            }
        }
        for ((name, _), (was, is)) in
            SERVICES.iter().zip(old.services.iter().zip(new.services))
        {
            let line = format!("dropped: state of {name}@file: it is gone");
            prop_assert_eq!(report.contains(&line), *was > 0 && is == 0, "{}", report);
        }
        let line = "dropped: counts of middleware m@file: it is gone";
        prop_assert_eq!(report.contains(line), old.middleware > 0 && new.middleware == 0);
        let line = "reset: counts of middleware m@file: its definition changed";
        // Another amount of the same kind goes on counting the same.
        let other = |at: usize| at == 3;
        let reset = old.middleware > 0
            && new.middleware > 0
            && other(old.middleware) != other(new.middleware);
        prop_assert_eq!(report.contains(line), reset, "{}", report);
        if let (Some(before), Some(after)) = (counted, words(&world)) {
            let lost = reset || old.middleware == 0;
            prop_assert_eq!(!Arc::ptr_eq(&before, &after), lost);
        }
    }
}
