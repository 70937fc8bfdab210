//! What a change touches, and what it leaves alone.

use super::*;
use crate::config::fixed::IdleConns;
use crate::service::ticket::Ticket;

const WEB: &str = "entryPoints: {web: {address: \":80\"}}";

fn ticket(world: &World, name: &str) -> Arc<Ticket> {
    match &world.node(name).kind {
        NodeKind::Balancer { turns, .. } | NodeKind::Weighted { turns, .. } => {
            Arc::clone(&turns.ticket)
        }
        NodeKind::Failover { .. }
        | NodeKind::Mirroring(_)
        | NodeKind::Internal(_)
        | NodeKind::Unavailable(_) => panic!("{name} draws no tickets"),
    }
}

const DOCUMENT: &str = "
http:
  routers:
    r: {rule: \"Host(`a.example`)\", service: w}
  services:
    a: {loadBalancer: {servers: [{url: \"http://10.0.0.1\"}], healthCheck: {path: /h}}}
    b: {loadBalancer: {servers: [{url: \"http://10.0.0.2\"}], healthCheck: {path: /h}}}
    w: {weighted: {services: [{name: a, weight: 1}, {name: b, weight: 1}]}}
";

#[test]
fn identical_input_makes_no_new_view() {
    let mut world = World::parent(1);
    assert!(world.dynamic(DOCUMENT));
    assert!(!world.dynamic(DOCUMENT));
    assert!(world.adverts(1, r#"[{"name": "x", "healthCheck": {}}]"#));
    assert!(!world.adverts(1, r#"[{"name": "x", "healthCheck": {}}]"#));
    assert!(world.health("http://10.0.0.1:9443", Health::Down));
    assert!(!world.health("http://10.0.0.1:9443", Health::Down));
    assert!(!world.build());
}

#[test]
fn a_reload_changes_nothing_that_the_change_did_not_touch() {
    let mut world = World::new(WEB);
    world.dynamic(DOCUMENT);
    world.health("http://10.0.0.1", Health::Up);
    world.health("http://10.0.0.2", Health::Down);
    let position = ticket(&world, "w@file");
    let (a, b) = (ticket(&world, "a@file"), ticket(&world, "b@file"));
    let (ids, stats) = (world.servers("http://10.0.0.1"), Arc::clone(&world.node("w@file").stats));
    position.draw();
    world.dynamic(&DOCUMENT.replace("weight: 1}]", "weight: 3}]"));
    let report = &world.last.as_ref().expect("built").report;
    assert_eq!(report.as_slice(), ["kept: 2 services that did not change"]);
    assert!(world.last.as_ref().is_some_and(|build| build.probes.is_empty()));
    assert_eq!(world.shown_service(world.node("w@file")), "+ w@file weighted a@file");
    assert!(Arc::ptr_eq(&position, &ticket(&world, "w@file")) && position.drawn() == 1);
    assert!(
        Arc::ptr_eq(&a, &ticket(&world, "a@file")) && Arc::ptr_eq(&b, &ticket(&world, "b@file"))
    );
    assert!(Arc::ptr_eq(&stats, &world.node("w@file").stats));
    assert_eq!(ids, world.servers("http://10.0.0.1"));
}

#[test]
fn each_dropped_state_is_listed_with_its_reason() {
    let mut world = World::new(WEB);
    world.dynamic(DOCUMENT);
    world.health("http://10.0.0.1", Health::Up);
    world.health("http://10.0.0.2", Health::Up);
    let changed = "
http:
  services:
    a: {loadBalancer: {servers: [{url: \"http://10.0.0.1\"}], healthCheck: {path: /other}}}
    w: {failover: {service: a, fallback: a}}
";
    world.dynamic(changed);
    let report = &world.last.as_ref().expect("built").report;
    same(
        &report.join("\n"),
        "
        dropped: figures of router r@file: it is gone
        dropped: state of b@file: it is gone
        reset: health of http://10.0.0.1: its check changed, so it is unknown until the next probe
        reset: position of w@file: it was weighted and is failover
        ",
    );
    let probes = &world.last.as_ref().expect("built").probes;
    assert_eq!((probes.stopped.len(), probes.started.len()), (2, 1));
}

#[test]
fn a_flip_shares_all_that_it_does_not_touch() {
    let mut world = World::new(WEB);
    world.dynamic(DOCUMENT);
    world.health("http://10.0.0.1", Health::Up);
    let before = world.view.clone();
    world.health("http://10.0.0.2", Health::Down);
    let shared = |name: &str| {
        let id = world.node(name).id.0;
        Arc::ptr_eq(
            before.services.get(id).expect("there before"),
            world.view.services.get(id).expect("there after"),
        )
    };
    assert!(shared("a@file") && !shared("b@file") && shared("w@file"));
    assert!(Arc::ptr_eq(&before.entries[0], &world.view.entries[0]));
    assert!(Arc::ptr_eq(&before.model.routers, &world.view.model.routers));
}

#[test]
fn a_definition_that_only_moved_in_its_file_keeps_everything() {
    let mut world = World::new(WEB);
    world.dynamic(DOCUMENT);
    world.health("http://10.0.0.1", Health::Up);
    let (position, line) = (ticket(&world, "w@file"), world.shown_service(world.node("w@file")));
    world.dynamic(&format!("\n\n{DOCUMENT}"));
    assert!(Arc::ptr_eq(&position, &ticket(&world, "w@file")));
    assert_eq!(line, world.shown_service(world.node("w@file")));
    assert!(world.last.as_ref().is_some_and(|build| build.probes.is_empty()));
}

#[test]
fn any_order_of_changes_leads_to_the_same_view() {
    use crate::base::prng::Prng;
    let offers = [
        "[]",
        r#"[{"name": "a"}]"#,
        r#"[{"name": "a", "weight": 2, "healthCheck": {}}, {"name": "a-c1"}]"#,
        r#"[{"name": "a-c1", "weight": 0}, {"name": "b"}]"#,
        r#"[{"name": "a.c1"}, {"name": "b", "weight": 5}, {"name": "a"}]"#,
        r#"[{"name": "a.x"}, {"name": "a-x"}, {"name": "a"}]"#,
    ];
    let documents = [
        "http: {}",
        DOCUMENT,
        "
http:
  routers:
    r: {rule: \"Path(`/`)\", service: a-c1@multicluster}
    q: {rule: \"Path(`/q`)\", service: f}
  services:
    f: {failover: {service: a@multicluster, fallback: b-c2@multicluster}}
    w: {weighted: {services: [{name: a-c1-c2@multicluster}, {name: f}]}}
",
    ];
    let pick = |prng: &mut Prng, n: usize| usize::try_from(prng.below(n as u64)).expect("small");
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let mut world = World::parent(3);
        let (mut last_offers, mut last_document) = ([0; 3], 0);
        for _ in 0..20 {
            if prng.one_in(4) {
                last_document = pick(&mut prng, documents.len());
                world.dynamic(documents[last_document]);
            } else {
                let child = pick(&mut prng, 3);
                last_offers[child] = pick(&mut prng, offers.len());
                world.adverts(u16::try_from(child + 1).expect("small"), offers[last_offers[child]]);
            }
        }
        let mut fresh = World::parent(3);
        fresh.dynamic(documents[last_document]);
        for (child, offer) in (1..).zip(last_offers) {
            fresh.adverts(child, offers[offer]);
        }
        assert_eq!(world.shown_services(), fresh.shown_services(), "seed {seed}");
        assert_eq!(world.shown_routes(), fresh.shown_routes(), "seed {seed}");
        assert_eq!(world.shown_routers(), fresh.shown_routers(), "seed {seed}");
        assert_eq!(world.said(), fresh.said(), "seed {seed}");
    }
}

#[test]
fn routers_changed_one_by_one_lead_to_the_view_of_all_at_once() {
    use crate::base::prng::Prng;
    const STATIC: &str = "
entryPoints:
  web: {address: \":80\"}
  guarded: {address: \":81\", http: {middlewares: [m]}}
  safe: {address: \":443\", http: {tls: {}}}
hub: {uplinkEntryPoints: {up: {address: \":9443\"}}}
";
    let routers = [
        "rule: \"Host(`a.test`)\", service: s",
        "rule: \"Host(`a.test`) && Path(`/x`)\", service: s, middlewares: [m]",
        "rule: \"Host(`b.test`)\", service: t, entryPoints: [web, guarded], priority: 7",
        "rule: \"Host(`b.test`)\", service: t, entryPoints: [web], tls: {}",
        "rule: \"Host(`b.test`)\", service: t, entryPoints: [web], tls: {options: strict}",
        "rule: \"Host(`c.test`)\", service: nowhere, middlewares: [none]",
        "rule: \"PathPrefix(`/u`)\", service: s, uplinks: [u]",
        "rule: \"PathPrefix(`/u`)\", service: nowhere, uplinks: [u]",
        "rule: \"Nonsense\", service: s",
        "rule: \"HostRegexp(`^[a-z]+\\\\.d\\\\.test$`)\", service: s, middlewares: [c]",
    ];
    let pick = |prng: &mut Prng, n: usize| usize::try_from(prng.below(n as u64)).expect("small");
    for seed in 0..150 {
        let mut prng = Prng::new(seed);
        let mut world = World::new(STATIC);
        let mut chosen = [None; 5];
        let document = |chosen: &[Option<usize>; 5]| {
            let mut text =
                String::from("http:\n  routers:\n    z: {rule: \"Path(`/z`)\", service: s}\n");
            for (name, body) in ["a", "b", "c", "d", "e"].iter().zip(chosen) {
                if let Some(body) = body {
                    let _ = writeln!(text, "    {name}: {{{}}}", routers[*body]);
                }
            }
            text.push_str(
                "  services:
    s: {loadBalancer: {servers: [{url: \"http://10.0.0.1\"}]}}
    t: {loadBalancer: {servers: [{url: \"http://10.0.0.2\"}]}}
  middlewares:
    m: {addPrefix: {prefix: /m}}
    c: {chain: {middlewares: [m, m]}}
  uplinks:
    u: {}
tls: {options: {strict: {sniStrict: true}}}
",
            );
            text
        };
        for _ in 0..12 {
            let at = pick(&mut prng, 5);
            chosen[at] = Some(pick(&mut prng, routers.len())).filter(|_| !prng.one_in(4));
            world.dynamic(&document(&chosen));
        }
        let mut fresh = World::new(STATIC);
        fresh.dynamic(&document(&chosen));
        assert_eq!(world.shown_services(), fresh.shown_services(), "seed {seed}");
        assert_eq!(world.shown_routes(), fresh.shown_routes(), "seed {seed}");
        assert_eq!(world.shown_routers(), fresh.shown_routers(), "seed {seed}");
        assert_eq!(world.said(), fresh.said(), "seed {seed}");
        let users = |world: &World| {
            let all = world.view.model.middlewares.iter();
            all.map(|it| (it.definition.name.clone(), it.used_by.clone())).collect::<Vec<_>>()
        };
        assert_eq!(users(&world), users(&fresh), "seed {seed}");
        let doors = |world: &World| {
            let sides = world.view.entries.iter().map(|entry| entry.secure.as_ref());
            sides.map(|side| side.map(|it| it.door.by_host.keys().cloned().collect())).collect()
        };
        let (one, other): (Vec<Option<Vec<Box<str>>>>, Vec<_>) = (doors(&world), doors(&fresh));
        assert_eq!(one, other, "seed {seed}");
    }
}

#[test]
fn a_change_of_transports_alone_reaches_those_who_use_them() {
    let document = |t: &str| {
        format!(
            "http:
  serversTransports: {{{t}, other: {{}}}}
  services:
    with: {{loadBalancer: {{serversTransport: t, servers: [{{url: 'http://10.0.0.1'}}]}}}}
    without: {{loadBalancer: {{serversTransport: other, servers: [{{url: 'http://10.0.0.2'}}]}}}}
"
        )
    };
    let mut world = World::parent(0);
    let kept_by = |world: &World, name: &str| {
        let NodeKind::Balancer { servers, .. } = &world.node(name).kind else { panic!("{name}") };
        let target = world.view.targets.get(servers[0].target.0).expect("a server has its target");
        target.transport.idle
    };
    world.dynamic(&document("t: {maxIdleConnsPerHost: 7}"));
    let other = kept_by(&world, "without@file");
    assert_eq!(kept_by(&world, "with@file"), IdleConns::UpTo(7));
    assert!(world.dynamic(&document("t: {maxIdleConnsPerHost: 9}")));
    assert_eq!(kept_by(&world, "with@file"), IdleConns::UpTo(9));
    assert_eq!(kept_by(&world, "without@file"), other);
    world.dynamic(&document("u: {maxIdleConnsPerHost: 9}"));
    assert!(world.said().contains("serversTransport"), "{}", world.said());
}
