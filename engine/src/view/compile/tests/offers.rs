//! Services that children's adverts make.

use super::*;
use crate::service::stale::Freshness;

const SHOP: &str = r#"[{"name": "shop"}]"#;

fn weighing(weight: u32) -> String {
    format!(r#"[{{"name": "shop", "weight": {weight}}}]"#)
}

#[test]
fn an_uplink_of_two_children_is_one_weighted_service_and_two_direct_ones() {
    let mut world = World::parent(2);
    assert!(world.adverts(1, &weighing(2)));
    assert!(world.adverts(2, &weighing(1)));
    same(
        &world.shown_services(),
        "
        + shop-c1@multicluster balancer http://10.0.0.1:9443
        + shop-c2@multicluster balancer http://10.0.0.2:9443
        + shop@multicluster weighted shop-c1@multicluster shop-c2@multicluster shop-c1@multicluster
        ",
    );
    assert_eq!(world.said(), "");
}

#[test]
fn a_shorter_list_removes_at_once() {
    let mut world = World::parent(2);
    world.adverts(1, SHOP);
    world.adverts(2, SHOP);
    assert!(world.adverts(2, "[]"));
    same(
        &world.shown_services(),
        "
        + shop-c1@multicluster balancer http://10.0.0.1:9443
        + shop@multicluster weighted shop-c1@multicluster
        ",
    );
    assert!(world.adverts(1, "[]"));
    assert_eq!(world.shown_services(), "");
    assert!(!world.adverts(1, "[]"));
}

#[test]
fn weight_zero_takes_no_requests_and_keeps_its_own_service() {
    let mut world = World::parent(2);
    world.adverts(1, SHOP);
    world.adverts(2, &weighing(0));
    same(
        &world.shown_services(),
        "
        + shop-c1@multicluster balancer http://10.0.0.1:9443
        + shop-c2@multicluster balancer http://10.0.0.2:9443
        + shop@multicluster weighted shop-c1@multicluster
        ",
    );
    world.adverts(1, &weighing(0));
    assert!(!world.node("shop@multicluster").up);
}

#[test]
fn names_compare_in_normalised_form() {
    let mut world = World::parent(2);
    world.adverts(1, r#"[{"name": "api.v1"}]"#);
    world.adverts(2, r#"[{"name": "api-v1"}]"#);
    world.dynamic(
        "http:
          routers:
            a: {rule: \"Path(`/a`)\", service: \"api-v1@multicluster\"}
            b: {rule: \"Path(`/b`)\", service: \"api..v1-c2@multicluster\"}",
    );
    same(
        &world.shown_services(),
        "
        + api-v1-c2@multicluster balancer http://10.0.0.2:9443
        + api.v1-c1@multicluster balancer http://10.0.0.1:9443
        + api.v1@multicluster weighted api.v1-c1@multicluster api-v1-c2@multicluster
        ",
    );
    same(
        &world.shown_routes(),
        "
        web: 10 a@file -> api.v1@multicluster
        web: 10 b@file -> api-v1-c2@multicluster
        ",
    );
}

#[test]
fn uplinks_of_one_child_that_are_one_name_are_refused() {
    let mut world = World::parent(1);
    world.adverts(1, r#"[{"name": "a.b"}, {"name": "a-b"}, {"name": "c"}]"#);
    same(
        &world.shown_services(),
        "
        + c-c1@multicluster balancer http://10.0.0.1:9443
        + c@multicluster weighted c-c1@multicluster
        ",
    );
    assert_eq!(
        world.said(),
        "error: hub.providers.multicluster.children.c1: \
         uplinks a.b and a-b are one name when compared (a-b): none is used"
    );
}

fn clashing() -> World {
    World::new(
        "entryPoints: {web: {address: \":80\"}}
hub:
  providers:
    multicluster:
      children:
        b-c: {address: \"http://10.0.0.1:9443\"}
        c: {address: \"http://10.0.0.2:9443\"}",
    )
}

#[test]
fn of_two_equal_aliases_neither_is_made_and_both_uplinks_still_serve() {
    let mut world = clashing();
    world.dynamic("http: {routers: {r: {rule: \"Path(`/`)\", service: \"a-b-c@multicluster\"}}}");
    world.adverts(1, r#"[{"name": "a"}]"#);
    assert!(world.node("a-b-c@multicluster").up);
    world.adverts(2, r#"[{"name": "a-b"}]"#);
    let why = "uplink a of child b-c and uplink a-b of child c would both be \
               a-b-c@multicluster: neither is";
    same(
        &world.shown_services(),
        &format!(
            "
            + a-b/c@multicluster balancer http://10.0.0.2:9443
            + a-b@multicluster weighted a-b/c@multicluster
            + a/b-c@multicluster balancer http://10.0.0.1:9443
            + a@multicluster weighted a/b-c@multicluster
            - a-b-c@multicluster unavailable: {why}
            "
        ),
    );
    assert_eq!(
        world.said(),
        format!(
            "error: a-b-c@multicluster: {why}\n\
             d.yml:1:18: error: http.routers.r.service: {why}"
        )
    );
    assert!(world.hits(Mark::AliasClash) > 0);
    world.adverts(1, "[]");
    assert!(world.node("a-b-c@multicluster").up);
    assert_eq!(world.said(), "");
}

#[test]
fn an_uplinks_own_name_beats_an_alias() {
    let mut world = World::parent(2);
    world.adverts(1, r#"[{"name": "shop"}]"#);
    world.adverts(2, r#"[{"name": "shop-c1"}]"#);
    same(
        &world.shown_services(),
        "
        + shop-c1-c2@multicluster balancer http://10.0.0.2:9443
        + shop-c1@multicluster weighted shop-c1-c2@multicluster
        + shop/c1@multicluster balancer http://10.0.0.1:9443
        + shop@multicluster weighted shop/c1@multicluster
        ",
    );
    assert_eq!(
        world.said(),
        "error: shop-c1@multicluster: uplink shop of child c1 would also be \
         shop-c1@multicluster, which is an uplink's own name"
    );
    world.adverts(2, "[]");
    same(
        &world.shown_services(),
        "
        + shop-c1@multicluster balancer http://10.0.0.1:9443
        + shop@multicluster weighted shop-c1@multicluster
        ",
    );
}

const CHECKED: &str = r#"[{"name": "shop", "healthCheck": {"path": "/h"}}]"#;

#[test]
fn a_child_whose_check_has_not_answered_serves_only_while_nobody_is_known_to_be_up() {
    let mut world = World::parent(3);
    world.adverts(1, CHECKED);
    world.adverts(2, CHECKED);
    let turns = |world: &World| {
        let line = world.shown_service(world.node("shop@multicluster"));
        line.replace("@multicluster", "").replace("shop-", "")
    };
    assert_eq!(turns(&world), "+ shop weighted c1 c2");
    assert!(world.hits(Mark::UnknownServes) > 0);
    world.health("http://10.0.0.2:9443", Health::Up);
    assert_eq!(turns(&world), "+ shop weighted c2");
    world.health("http://10.0.0.1:9443", Health::Down);
    assert_eq!(turns(&world), "+ shop weighted c2");
    world.health("http://10.0.0.2:9443", Health::Down);
    assert_eq!(turns(&world), "- shop weighted");
    world.adverts(3, SHOP);
    assert_eq!(turns(&world), "+ shop weighted c3", "a child without checks counts as up");
    world.health("http://10.0.0.1:9443", Health::Up);
    assert_eq!(turns(&world), "+ shop weighted c1 c3");
}

#[test]
fn probes_say_which_uplink_they_are_for_and_stay_on_the_childs_address() {
    let mut world = World::parent(1);
    world.adverts(1, r#"[{"name": "shop", "healthCheck": {"path": "/h", "port": 81}}]"#);
    let build = world.last.as_ref().expect("built");
    let [probe] = build.probes.started.as_slice() else { panic!("one probe") };
    assert_eq!(probe.authority.to_string(), "http://10.0.0.1:9443");
    assert_eq!(probe.uplink.as_ref().map(|uplink| &*uplink.name), Some("shop"));
    assert_eq!((probe.check.path.as_str(), probe.check.port), ("/h", Some(81)));
    let server = probe.server;
    world.adverts(1, SHOP);
    let build = world.last.as_ref().expect("built");
    assert_eq!((build.probes.stopped.as_slice(), build.probes.started.len()), (&[server][..], 0));
}

#[test]
fn passive_checks_are_told_apart_from_active_ones() {
    let mut world = World::parent(1);
    world.adverts(1, r#"[{"name": "shop", "passiveHealthCheck": {"failureWindow": "3s"}}]"#);
    let build = world.last.as_ref().expect("built");
    let [(server, check)] = build.passives.started.as_slice() else { panic!("one check") };
    assert_eq!((build.probes.started.len(), check.failed_attempts_max), (0, 1));
    let server = *server;
    world.compiler.set_ejected(server, true);
    assert!(world.build());
    assert!(!world.node("shop@multicluster").up);
    world.compiler.set_ejected(server, false);
    assert!(world.build());
    assert!(world.node("shop@multicluster").up);
}

#[test]
fn a_stale_child_is_demoted_decayed_or_withdrawn_as_told() {
    let mut world = World::parent(2);
    world.adverts(1, &weighing(4));
    world.adverts(2, &weighing(4));
    world.dynamic(
        "http: {services: {mine: {weighted: {services: [{name: shop-c1@multicluster}]}}}}",
    );
    let turns = |world: &World, name: &str| {
        let line = world.shown_service(world.node(name));
        line.replace("@multicluster", "").replace("shop-", "")
    };
    let shop = "shop@multicluster";
    world.compiler.set_freshness(ChildId(0), Freshness::Demoted);
    assert!(world.build());
    assert_eq!(turns(&world, shop), "+ shop weighted c2");
    assert_eq!(turns(&world, "mine@file"), "+ mine@file weighted c1");
    assert!(world.hits(Mark::StaleServes) > 0);
    world.compiler.set_freshness(ChildId(0), Freshness::Decayed(64));
    assert!(world.build());
    assert_eq!(turns(&world, shop), "+ shop weighted c2 c2 c1 c2 c2");
    world.compiler.set_freshness(ChildId(0), Freshness::Withdrawn);
    assert!(world.build());
    assert_eq!(turns(&world, shop), "+ shop weighted c2");
    assert_eq!(turns(&world, "mine@file"), "- mine@file weighted");
    world.compiler.set_freshness(ChildId(0), Freshness::Fresh);
    assert!(world.build());
    assert_eq!(turns(&world, shop), "+ shop weighted c1 c2");
    world.compiler.set_freshness(ChildId(0), Freshness::Fresh);
    assert!(!world.build());
}

#[test]
fn a_child_shows_what_it_offers() {
    let mut world = World::parent(2);
    world.adverts(1, r#"[{"name": "b", "weight": 7, "healthCheck": {}}, {"name": "a"}]"#);
    let shown = |world: &World| {
        let uplinks = world.view.children[0].uplinks.iter();
        let shown: Vec<String> = uplinks
            .map(|u| {
                format!("{} {} {} {}", u.name, u.weight, u.standing.serves(), world.name(u.service))
            })
            .collect();
        shown.join(", ")
    };
    assert_eq!(shown(&world), "a 1 true a-c1@multicluster, b 7 true b-c1@multicluster");
    world.health("http://10.0.0.1:9443", Health::Down);
    assert_eq!(shown(&world), "a 1 true a-c1@multicluster, b 7 false b-c1@multicluster");
    assert_eq!(world.view.children.len(), 2);
}

#[test]
fn weights_too_large_for_one_period_still_give_everybody_a_turn() {
    let mut world = World::parent(2);
    world.adverts(1, &weighing(1_000_000));
    world.adverts(2, &weighing(1));
    let NodeKind::Weighted { turns, .. } = &world.node("shop@multicluster").kind else {
        panic!("an aggregate is weighted");
    };
    let turns = turns.rotation.turns();
    assert_eq!((turns.len(), turns.iter().filter(|turn| **turn == 1).count()), (4_097, 1));
    assert!(world.hits(Mark::PeriodScaled) > 0);
}
