//! Services as documents write them.

use super::*;

const WEB: &str = "entryPoints: {web: {address: \":80\"}}";

fn world(document: &str) -> World {
    let mut world = World::new(WEB);
    world.dynamic(document);
    world
}

const BASIC: &str = "
    a: {loadBalancer: {servers: [{url: \"http://10.0.0.1\"}]}}
    b:
      loadBalancer:
        servers: [{url: \"http://10.0.0.2\"}, {url: \"http://10.0.0.3\", weight: 2}]
";

fn services(more: &str) -> World {
    world(&format!("http:\n  services:{BASIC}{more}"))
}

#[test]
fn kinds_nest_to_any_depth() {
    let world = services(
        "
    w: {weighted: {services: [{name: a, weight: 2}, {name: f}]}}
    f: {failover: {service: m, fallback: b}}
    m: {mirroring: {service: a, mirrors: [{name: b, percent: 10}]}}
        ",
    );
    same(
        &world.shown_services(),
        "
        + a@file balancer http://10.0.0.1
        + b@file balancer http://10.0.0.3 http://10.0.0.2 http://10.0.0.3
        + f@file failover Main m@file b@file
        + m@file mirroring a@file b@file:10%
        + w@file weighted a@file f@file a@file
        ",
    );
    assert_eq!(world.said(), "");
}

#[test]
fn one_bad_member_does_not_take_a_service_down() {
    let mut world = services(
        "
    w: {weighted: {services: [{name: a}, {name: nope}, {name: bb}]}}
    f: {failover: {service: nope, fallback: b}}
    m: {mirroring: {service: a, mirrors: [{name: nope, percent: 10}, {name: b, percent: 5}]}}
    none: {weighted: {services: [{name: nope}]}}
        ",
    );
    same(
        &world.shown_services(),
        "
        + a@file balancer http://10.0.0.1
        + b@file balancer http://10.0.0.3 http://10.0.0.2 http://10.0.0.3
        + f@file failover Fallback nope@file b@file
        + m@file mirroring a@file b@file:5%
        + w@file weighted a@file
        - bb@file unavailable: there is no service bb@file
        - none@file weighted
        - nope@file unavailable: there is no service nope@file
        ",
    );
    let said = world.said();
    let bb = "http.services.w.weighted.services[2].name: \
              there is no service bb@file (did you mean b@file?)";
    assert!(said.contains(bb), "{said}");
    assert_eq!(said.lines().count(), 5, "{said}");
    assert!(world.hits(Mark::MemberLeftOut) > 0);
    let conditions = |world: &World| {
        let infos = world.view.model.services_by_name.iter();
        let infos = infos.filter_map(|id| world.view.model.services.get(id.0));
        let shown: Vec<String> = infos
            .filter(|info| !info.name.ends_with("@internal"))
            .map(|info| format!("{} {}", info.name, info.condition.name()))
            .collect();
        shown.join(", ")
    };
    assert_eq!(
        conditions(&world),
        "a@file enabled, b@file enabled, f@file warning, m@file warning, none@file disabled, \
         w@file warning"
    );
    world.dynamic(&format!(
        "http:\n  services:{BASIC}
    nope: {{loadBalancer: {{servers: [{{url: \"http://10.0.0.9\"}}]}}}}
    none: {{weighted: {{services: [{{name: nope}}]}}}}"
    ));
    assert_eq!(world.said(), "");
    assert!(world.node("none@file").up);
}

#[test]
fn a_cycle_is_named_whole_and_breaks_only_its_members() {
    let mut world = services(
        "
    x: {weighted: {services: [{name: y}]}}
    y: {failover: {service: z, fallback: a}}
    z: {weighted: {services: [{name: x}]}}
    outside: {weighted: {services: [{name: x}, {name: b}]}}
        ",
    );
    let text = "refers to itself: x@file -> y@file -> z@file -> x@file";
    for name in ["x@file", "y@file", "z@file"] {
        let line = world.shown_service(world.node(name));
        assert_eq!(line, format!("- {name} unavailable: {text}"));
    }
    assert!(world.node("outside@file").up);
    let told = "services refer to each other: x@file -> y@file -> z@file -> x@file";
    assert_eq!(world.said().matches(told).count(), 1, "{}", world.said());
    assert!(world.hits(Mark::ServiceCycle) > 0);
    let mended = "
    x: {weighted: {services: [{name: y}]}}
    y: {failover: {service: z, fallback: a}}
    z: {weighted: {services: [{name: a}]}}";
    world.dynamic(&format!("http:\n  services:{BASIC}{mended}"));
    assert!(world.node("x@file").up);
    assert_eq!(world.said(), "");
}

#[test]
fn a_cycle_that_another_definition_closes_breaks_what_did_not_change() {
    let document = |z: &str| {
        format!(
            "http:\n  services:{BASIC}
    x: {{weighted: {{services: [{{name: y}}, {{name: a}}]}}}}
    y: {{weighted: {{services: [{{name: z}}, {{name: a}}]}}}}
    z: {{weighted: {{services: [{{name: {z}}}]}}}}"
        )
    };
    let mut moved = world(&document("b"));
    assert!(moved.node("x@file").up && moved.node("y@file").up);
    moved.dynamic(&document("x"));
    same(&moved.shown_services(), &world(&document("x")).shown_services());
    assert!(!moved.node("x@file").up && !moved.node("y@file").up);
    moved.dynamic(&document("b"));
    same(&moved.shown_services(), &world(&document("b")).shown_services());
}

#[test]
fn a_service_that_others_push_too_deep_breaks_though_it_did_not_change() {
    let document = |below: &str| {
        let mut text = format!("http:\n  services:{BASIC}");
        for n in 1..16 {
            let below = n - 1;
            let _ = write!(text, "\n    s{n}: {{weighted: {{services: [{{name: s{below}}}]}}}}");
        }
        let _ = write!(text, "\n    s0: {{weighted: {{services: [{{name: {below}}}]}}}}");
        text + "\n    w: {weighted: {services: [{name: a}]}}"
    };
    let mut moved = world(&document("a"));
    assert!(moved.node("s15@file").up);
    moved.dynamic(&document("w"));
    assert!(moved.node("s14@file").up && !moved.node("s15@file").up);
    same(&moved.shown_services(), &world(&document("w")).shown_services());
    moved.dynamic(&document("a"));
    assert!(moved.node("s15@file").up);
}

#[test]
fn services_nest_as_deeply_as_the_limit_says() {
    let chain = |levels: u32| {
        let mut text = String::from("\n    s0: {weighted: {services: [{name: a}]}}");
        for n in 1..levels {
            let below = n - 1;
            let _ = write!(text, "\n    s{n}: {{weighted: {{services: [{{name: s{below}}}]}}}}");
        }
        text
    };
    let mut world = services(&chain(16));
    assert!(world.node("s15@file").up);
    world.dynamic(&format!("http:\n  services:{BASIC}{}", chain(18)));
    assert!(world.node("s15@file").up && !world.node("s16@file").up && !world.node("s17@file").up);
    assert!(
        world.said().contains("http.services.s16: nests 17 levels of services"),
        "{}",
        world.said()
    );
    world.dynamic(&format!("http:\n  services:{BASIC}{}", chain(16)));
    assert!(world.node("s15@file").up);
}

const CHECKED: &str = "
http:
  services:
    one:
      loadBalancer:
        servers: [{url: \"http://10.0.0.1\"}, {url: \"http://10.0.0.2\"}]
        healthCheck: {path: /h}
    two: {loadBalancer: {servers: [{url: \"http://10.0.0.9\"}]}}
    f: {failover: {service: one, fallback: two}}
    deep: {weighted: {services: [{name: m}, {name: two, weight: 3}]}}
    m: {mirroring: {service: f1, mirrors: [{name: two, percent: 1}]}}
    f1: {failover: {service: one, fallback: nothing}}
    nothing: {loadBalancer: {servers: []}}
";

#[test]
fn health_goes_up_the_tree() {
    let mut world = world(CHECKED);
    world.health("http://10.0.0.1", Health::Up);
    world.health("http://10.0.0.2", Health::Up);
    let deep = |world: &World| world.shown_service(world.node("deep@file")).replace("@file", "");
    assert_eq!(deep(&world), "+ deep weighted two m two two");
    world.health("http://10.0.0.1", Health::Down);
    assert_eq!(world.shown_service(world.node("one@file")), "+ one@file balancer http://10.0.0.2");
    assert_eq!(deep(&world), "+ deep weighted two m two two");
    world.health("http://10.0.0.2", Health::Down);
    assert_eq!(deep(&world), "+ deep weighted two");
    let failover = |world: &World| world.shown_service(world.node("f@file")).replace("@file", "");
    assert_eq!(failover(&world), "+ f failover Fallback one two");
    assert!(!world.node("f1@file").up && !world.node("m@file").up);
    world.health("http://10.0.0.2", Health::Up);
    assert_eq!(failover(&world), "+ f failover Main one two");
    assert_eq!(deep(&world), "+ deep weighted two m two two");
}

#[test]
fn an_unknown_main_side_waits_for_its_first_answer_behind_a_fallback_that_is_up() {
    let mut world = world(CHECKED);
    let side =
        |world: &World, name: &str| world.shown_service(world.node(name)).replace("@file", "");
    assert_eq!(side(&world, "f@file"), "+ f failover Fallback one two");
    assert_eq!(side(&world, "f1@file"), "+ f1 failover Main one nothing");
    world.health("http://10.0.0.1", Health::Up);
    assert_eq!(side(&world, "f@file"), "+ f failover Main one two");
}

#[test]
fn host_names_are_asked_for_once_and_dropped_with_their_last_server() {
    let service = |name: &str, urls: &[&str]| {
        let servers: Vec<String> = urls.iter().map(|url| format!("{{url: \"{url}\"}}")).collect();
        format!("    {name}: {{loadBalancer: {{servers: [{}]}}}}\n", servers.join(", "))
    };
    let mut world = World::new(WEB);
    let a = service("a", &["http://one.example", "http://two.example:81"]);
    let b = service("b", &["http://two.example:82", "http://[::1]:83"]);
    world.dynamic(&format!("http:\n  services:\n{a}{b}"));
    let names = |world: &World| {
        let names = &world.last.as_ref().expect("built").names;
        format!("+{} -{}", names.wanted.join(","), names.dropped.join(","))
    };
    assert_eq!(names(&world), "+one.example,two.example -");
    world.compiler.set_addresses("two.example", vec!["10.0.0.7".parse().expect("an address")]);
    assert!(world.build());
    let shown = |world: &World| {
        let targets = world.view.targets.iter();
        let mut shown: Vec<String> =
            targets.map(|t| format!("{} {:?}", t.host_field, t.addrs)).collect();
        shown.sort();
        shown.join(" ")
    };
    assert_eq!(
        shown(&world),
        "[::1]:83 [[::1]:83] one.example [] two.example:81 [10.0.0.7:81] \
         two.example:82 [10.0.0.7:82]"
    );
    world.compiler.set_addresses("two.example", vec!["10.0.0.7".parse().expect("an address")]);
    assert!(!world.build());
    world.dynamic(&format!("http:\n  services:\n{b}"));
    assert_eq!(names(&world), "+ -one.example");
    assert_eq!(shown(&world), "[::1]:83 [[::1]:83] two.example:82 [10.0.0.7:82]");
}
