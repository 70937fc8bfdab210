//! Routers, entry points and uplinks.

use super::*;

const CHILD: &str = "
entryPoints:
  web: {address: \":80\"}
  internal: {address: \":81\"}
hub:
  uplinkEntryPoints:
    multicluster: {address: \":9443\"}
    second: {address: \":9444\"}
  providers: {multicluster: {}}
ping: {}
api: {insecure: true}
metrics: {prometheus: {}}
";

const SERVICE: &str = "
  services:
    s: {loadBalancer: {servers: [{url: \"http://10.0.0.1\"}]}}
";

fn child(document: &str) -> World {
    let mut world = World::new(CHILD);
    world.dynamic(&format!("http:{SERVICE}{document}"));
    world
}

/// Routes without those of the process itself.
fn routes(world: &World) -> String {
    let routes = world.shown_routes();
    let own: Vec<&str> = routes.lines().filter(|line| !line.contains("@internal ")).collect();
    own.join("\n")
}

#[test]
fn a_router_without_entry_points_is_on_all_but_the_internal_one() {
    let world = child("  routers: {r: {rule: \"Path(`/`)\", service: s}}");
    same(&routes(&world), "internal: 9 r@file -> s@file\nweb: 9 r@file -> s@file");
    same(
        &world
            .shown_routes()
            .lines()
            .filter(|l| l.starts_with("traefik"))
            .collect::<Vec<_>>()
            .join("\n"),
        "
        traefik: 9223372036854775807 ping@internal -> ping@internal
        traefik: 9223372036854775807 prometheus@internal -> prometheus@internal
        traefik: 9223372036854775806 api@internal -> api@internal
        traefik: 9223372036854775805 dashboard@internal -> dashboard@internal
        ",
    );
}

#[test]
fn only_marked_entry_points_are_defaults_if_any_is_marked() {
    let mut world = World::new(&CHILD.replace("\":81\"", "\":81\", asDefault: true"));
    world.dynamic(&format!("http:{SERVICE}  routers: {{r: {{rule: \"Path(`/`)\", service: s}}}}"));
    same(&routes(&world), "internal: 9 r@file -> s@file");
}

#[test]
fn routes_are_ordered_by_priority_and_then_by_name() {
    let world = child(
        "  routers:
    b: {rule: \"Path(`/`)\", service: s, entryPoints: [web]}
    a: {rule: \"Path(`/`)\", service: s, entryPoints: [web]}
    z: {rule: \"Path(`/`)\", service: s, entryPoints: [web], priority: 99}",
    );
    same(
        &routes(&world),
        "web: 99 z@file -> s@file\nweb: 9 a@file -> s@file\nweb: 9 b@file -> s@file",
    );
}

#[test]
fn a_broken_router_answers_503_where_its_rule_matches() {
    let world = child(
        "  routers:
    guard: {rule: \"Path(`/`)\", service: s, middlewares: [auth], entryPoints: [web]}
    lost: {rule: \"Path(`/`)\", service: gone, entryPoints: [web]}
    unread: {rule: \"Path(`/`\", service: s, entryPoints: [web]}
    typo: {rule: \"Path(`/`)\", service: s, entryPoints: [wbe, web]}
    nowhere: {rule: \"Path(`/`)\", service: s, entryPoints: [wbe]}",
    );
    same(
        &routes(&world),
        "
        web: 9 guard@file -> 503 router guard@file: there is no middleware auth@file
        web: 9 lost@file -> gone@file
        web: 9 typo@file -> s@file
        ",
    );
    assert!(!world.node("gone@file").up);
    let routers = world.shown_routers();
    let line = |name: &str| routers.lines().find(|l| l.starts_with(name)).unwrap_or_default();
    assert_eq!(line("lost@file"), "lost@file disabled there is no service gone@file");
    assert_eq!(line("typo@file"), "typo@file warning there is no entry point wbe");
    assert_eq!(line("nowhere@file"), "nowhere@file disabled there is no entry point wbe");
    assert!(line("unread@file").starts_with("unread@file disabled"), "{routers}");
    let said = world.said();
    let help = "http.routers.typo.entryPoints: there is no entry point wbe (did you mean web?)";
    assert!(said.contains(help), "{said}");
    assert_eq!(said.lines().count(), 4, "{said}");
}

#[test]
fn uplinks_and_ordinary_routers_keep_apart() {
    let world = child(
        "  routers:
    plain: {rule: \"Path(`/`)\", service: s, entryPoints: [web, multicluster]}
    offered: {rule: \"Path(`/o`)\", service: s, uplinks: [one]}
    wrong: {rule: \"Path(`/w`)\", service: s, uplinks: [two]}
  uplinks:
    one: {weight: 3}
    two: {entryPoints: [web]}",
    );
    same(
        &routes(&world),
        "
        web: 9 plain@file -> 503 router plain@file: multicluster is an entry point of uplinks
        multicluster/one: 10 offered@file -> s@file
        second/one: 10 offered@file -> s@file
        ",
    );
    let said = world.said();
    let two = "http.uplinks.two.entryPoints: web is an ordinary entry point";
    assert!(said.contains(two), "{said}");
    assert!(said.contains("http.routers.wrong.uplinks[0]: uplink two is not in effect"), "{said}");
    let advert = r#"[{"entryPoints":["multicluster","second"],"name":"one","weight":3}]"#;
    assert_eq!(world.shown_advert("multicluster"), advert);
    assert_eq!(world.shown_advert("second"), advert);
}

#[test]
fn an_uplink_router_that_sets_entry_points_is_refused_and_guards_its_requests() {
    let world = child(
        "  routers:
    bad: {rule: \"PathPrefix(`/crm`)\", service: s, entryPoints: [web], uplinks: [crm]}
    good: {rule: \"PathPrefix(`/`)\", service: s, uplinks: [crm]}
  uplinks: {crm: {entryPoints: [second]}}",
    );
    let routes = routes(&world);
    let [first, second] = routes.lines().collect::<Vec<_>>()[..] else { panic!("{routes}") };
    assert!(first.starts_with("second/crm: 18 bad@file -> 503 router bad@file:"), "{first}");
    assert_eq!(second, "second/crm: 15 good@file -> s@file");
    assert_eq!(
        world.shown_advert("second"),
        r#"[{"entryPoints":["second"],"name":"crm","weight":1}]"#
    );
    assert_eq!(world.shown_advert("multicluster"), "[]");
}

#[test]
fn an_uplink_that_no_valid_router_serves_is_not_offered() {
    let mut world = child(
        "  routers:
    r: {rule: \"Path(`/`)\", service: x@multicluster, uplinks: [lost, lots]}
  uplinks: {lost: {}, idle: {}}",
    );
    assert_eq!(world.shown_advert("multicluster"), "[]");
    let said = world.said();
    for text in [
        "http.uplinks.idle: no router offers anything through this uplink",
        "http.uplinks.lost: all its routers are disabled, so it is not advertised",
        "http.routers.r.service: x@multicluster comes from children, and none is configured",
        "http.routers.r.uplinks: there is no uplink lots (did you mean lost?)",
    ] {
        assert!(said.contains(text), "{said}");
    }
    world.dynamic(&format!(
        "http:{SERVICE}  routers:
    r: {{rule: \"Path(`/`)\", service: s, uplinks: [lost]}}
  uplinks: {{lost: {{}}}}"
    ));
    assert_eq!(world.said(), "");
    assert!(world.shown_advert("multicluster").contains("lost"));
}

#[test]
fn uplinks_that_are_one_name_when_compared_are_not_offered() {
    let world = child(
        "  routers: {r: {rule: \"Path(`/`)\", service: s, uplinks: [a.b]}}
  uplinks: {a.b: {}, a-b: {}}",
    );
    assert_eq!(world.shown_advert("multicluster"), "[]");
    let said = world.said();
    assert!(said.contains("parents cannot tell it from the uplink a-b"), "{said}");
}

#[test]
fn middlewares_of_the_entry_point_come_first_and_chains_unroll() {
    let document = CHILD.replace(
        "web: {address: \":80\"}",
        "web: {address: \":80\", http: {middlewares: [\"first@file\"]}}",
    );
    let mut world = World::new(&document);
    let middlewares = "
  middlewares:
    first: {addPrefix: {prefix: /first}}
    strip: {stripPrefix: {prefixes: [/a, /b]}}
    both: {chain: {middlewares: [strip, head]}}
    head: {headers: {customRequestHeaders: {X-A: b}}}";
    let routers = "
  routers:
    r: {rule: \"Path(`/`)\", service: s, middlewares: [both, strip]}";
    world.dynamic(&format!("http:{SERVICE}{middlewares}{routers}"));
    same(
        &routes(&world),
        "
        internal: 9 r@file strip/a,/b|headers|strip/a,/b -> s@file
        web: 9 r@file add/first|strip/a,/b|headers|strip/a,/b -> s@file
        ",
    );
    let used: Vec<String> = world
        .view
        .model
        .middlewares
        .iter()
        .map(|info| format!("{} {}", info.definition.name, info.used_by.join(" ")))
        .collect();
    assert_eq!(
        used,
        ["both@file r@file", "first@file r@file", "head@file r@file", "strip@file r@file"]
    );
    world.dynamic(&format!("http:{SERVICE}{routers}"));
    assert!(routes(&world).contains("web: 9 r@file -> 503 router r@file:"), "{}", routes(&world));
}

#[test]
fn internal_services_can_be_routed_to_only_if_they_are_on() {
    let mut world =
        World::new("entryPoints: {web: {address: \":80\"}}\nping: {manualRouting: true}");
    world.dynamic(
        "http:
  routers:
    p: {rule: \"Path(`/p`)\", service: ping@internal}
    a: {rule: \"Path(`/a`)\", service: api@internal}
    n: {rule: \"Path(`/n`)\", service: noop@internal}",
    );
    same(
        &world.shown_routes(),
        "
        web: 10 a@file -> api@internal
        web: 10 n@file -> noop@internal
        web: 10 p@file -> ping@internal
        ",
    );
    assert!(!world.node("api@internal").up && world.node("ping@internal").up);
    let said = world.said();
    assert!(said.contains("http.routers.a.service: there is no service api@internal"), "{said}");
}
