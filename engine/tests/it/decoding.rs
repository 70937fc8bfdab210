//! How documents are decoded, rule by rule, as Traefik's are; where we depart on purpose is said.

use engine::config::typed::{Balancer, ServiceKind};
use engine::config::{Reading, dynamic};

fn read(path: &str, text: &str) -> Reading {
    dynamic(&[(path, text)])
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) -> Reading {
    let reading = read(path, text);
    let said: Vec<String> = reading.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{text}");
    reading
}

const ROUTER: &str = "rule: 'Path(`/`)', service: s";

#[test]
fn the_ending_of_a_name_decides_the_language() {
    let yaml = format!("http: {{routers: {{r: {{{ROUTER}}}}}}}");
    let toml = "[http.routers.r]\nrule = 'Path(`/`)'\nservice = 's'";
    for (path, text) in
        [("a.yml", &*yaml), ("a.yaml", &yaml), ("A.YML", &yaml), ("a.toml", toml), ("a.TOML", toml)]
    {
        assert_eq!(check(path, text, &[]).dynamic.routers.len(), 1, "{path}");
    }
    let reading = read("a.json", "{}");
    assert!(!reading.complete && reading.diagnostics.len() == 1);
}

#[test]
fn keys_are_read_in_any_case() {
    let text = "HTTP: {Routers: {r: {RULE: 'Path(`/`)', sErViCe: s, entrypoints: [web]}}}";
    let reading = check("a.yml", text, &[]);
    let router = &reading.dynamic.routers[0];
    assert_eq!((&*router.service, router.entry_points.len()), ("s@file", 1));
}

#[test]
fn unknown_roots_are_read_over_and_unknown_keys_below_are_not() {
    check("a.yml", "log: {level: x}\nentryPoints: {}", &[]);
    check(
        "a.yml",
        "x-anchors: {a: 1}",
        &["a.yml:1:1: warning: x-anchors: the root key `x-anchors` is not known and is read over"],
    );
    // One definition is lost, not the file.
    let text = format!("http: {{routers: {{r: {{{ROUTER}, x: 1}}, t: {{{ROUTER}}}}}}}");
    let reading = read("a.yml", &text);
    assert!(reading.complete && reading.diagnostics.len() == 1);
    let broken: Vec<bool> =
        reading.dynamic.routers.iter().map(|it| !it.broken.is_empty()).collect();
    assert_eq!(broken, [true, false]);
}

#[test]
fn what_is_null_is_not_there_and_empty_mappings_say_nothing() {
    for text in [
        "http:",
        "http: null",
        "http: {routers: }",
        "http: {routers: {r: null}}",
        "http: {services: {s: ~}, middlewares: null}",
        // The dialect refuses these.
        "http: {}",
        "http: {routers: {}}",
        "tls: {}",
    ] {
        let dynamic = check("a.yml", text, &[]).dynamic;
        let none = dynamic.routers.is_empty() && dynamic.services.is_empty();
        assert!(none && dynamic.middlewares.is_empty(), "{text}");
    }
}

#[test]
fn a_text_for_a_list_is_split_at_commas() {
    for list in ["'a, b'", "'a,b'", "[a, b]", "[a, null, b]"] {
        let text = format!("http: {{routers: {{r: {{{ROUTER}, entryPoints: {list}}}}}}}");
        let reading = check("a.yml", &text, &[]);
        assert_eq!(reading.dynamic.routers[0].entry_points, ["a", "b"], "{list}");
    }
}

fn balancer(lines: &str) -> Balancer {
    let text = format!(
        "http: {{services: {{s: {{loadBalancer: {{servers: [{{url: 'http://a'}}], {lines}}}}}}}}}"
    );
    let reading = check("a.yml", &text, &[]);
    let kind = &reading.dynamic.services[0].kind;
    let ServiceKind::Balancer(balancer) = kind else { panic!("{kind:?}") };
    balancer.clone()
}

#[test]
fn bare_numbers_are_seconds() {
    for (written, millis) in [
        ("5", 5_000),
        ("'5'", 5_000),
        ("5s", 5_000),
        ("1m30s", 90_000),
        ("250ms", 250),
        ("1.5s", 1_500),
        ("0.5h", 1_800_000),
    ] {
        let balancer = balancer(&format!("healthCheck: {{path: /, interval: {written}}}"));
        let interval = balancer.health_check.expect("it is there").interval;
        assert_eq!(interval.nanos(), millis * 1_000_000, "{written}");
    }
}

#[test]
fn defaults_come_with_the_section_they_are_in() {
    let plain = balancer("");
    assert!(plain.pass_host && plain.health_check.is_none() && plain.passive.is_none());
    let null = balancer("passiveHealthCheck: ");
    assert!(null.passive.is_none(), "an empty key is no section");
    let given = balancer("passiveHealthCheck: {}").passive.expect("an empty mapping is one");
    assert_eq!(given.failed_attempts_max, 1);
    let check = balancer("healthCheck: {path: /}").health_check.expect("it is there");
    assert_eq!((check.interval.nanos(), check.timeout.nanos()), (30_000_000_000, 5_000_000_000));
}

#[test]
fn flags_and_numbers_are_written_as_people_write_them() {
    for (written, expected) in [
        ("true", true),
        ("True", true),
        ("'true'", true),
        ("1", true),
        ("false", false),
        ("FALSE", false),
        ("0", false),
    ] {
        assert_eq!(balancer(&format!("passHostHeader: {written}")).pass_host, expected);
    }
    let text = "http: {services: {s: {loadBalancer: {passHostHeader: yes}}}}";
    let said = read("a.yml", text).diagnostics;
    assert!(said.iter().any(|problem| problem.text.contains("write true")), "{said:?}");
    for (written, expected) in [("7", 7), ("'7'", 7), ("0x10", 16), ("1_000", 1_000), ("-5", -5)] {
        let text = format!("http: {{routers: {{r: {{{ROUTER}, priority: {written}}}}}}}");
        assert_eq!(check("a.yml", &text, &[]).dynamic.routers[0].priority, expected);
    }
}

#[test]
fn a_name_of_two_files_belongs_to_the_first() {
    let router = |service: &str| {
        format!("http: {{routers: {{r: {{rule: 'Path(`/`)', service: {service}}}}}}}")
    };
    let (first, second) = (router("a"), router("b"));
    let reading = dynamic(&[("1.yml", &first), ("2.yml", &second)]);
    assert_eq!(reading.dynamic.routers[0].service, "a@file");
    assert_eq!(reading.diagnostics.len(), 1);
    assert!(!reading.diagnostics[0].is_error());
}

#[test]
fn names_without_a_provider_are_of_this_one() {
    let text = "http: {routers: {r: {rule: 'Path(`/`)', service: s@multicluster, \
                middlewares: [m, n@other]}}}";
    let reading = check("a.yml", text, &[]);
    let router = &reading.dynamic.routers[0];
    assert_eq!((&*router.name, &*router.service), ("r@file", "s@multicluster"));
    assert_eq!(router.middlewares, ["m@file", "n@other"]);
}
