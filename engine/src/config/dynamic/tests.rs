//! Documents and what is said about them.

mod bodies;
mod manner;
mod middlewares;
mod tls;

use super::*;
use crate::base::time::Span;
use crate::config::typed::{Balancer, ExpectedStatus, HealthCheck, PassiveCheck, ServiceKind};

fn said(reading: &Reading) -> Vec<String> {
    reading.diagnostics.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(document: &str, expected: &[&str]) -> Dynamic {
    let reading = dynamic(&[("f.yml", document)]);
    assert_eq!(said(&reading), expected, "{document}");
    reading.dynamic
}

/// One line about a definition, without its place and path. The definition is broken exactly if
/// something is an error.
#[track_caller]
fn about(head: &str, lines: &str, tail: &str, expected: &str) -> Dynamic {
    let document = format!("{head}\n{lines}\n{tail}");
    let reading = dynamic(&[("f.yml", &document)]);
    let strip = |line: String| {
        let from = line.find(": error: ").or_else(|| line.find(": warning: ")).unwrap_or(0) + 2;
        let message = line[from..].replace("http.routers.r.", "").replace("http.services.s.", "");
        message.replace("http.middlewares.m.", "").replace("http.uplinks.u.", "")
    };
    let found: Vec<String> = said(&reading).into_iter().map(strip).collect();
    assert_eq!(found.join("\n"), expected, "{document}");
    reading.dynamic
}

#[track_caller]
fn router(lines: &str, expected: &str) {
    let head = "http: {routers: {r: {rule: Path(`/`), service: s,";
    let dynamic = about(head, lines, "}}}", expected);
    let errors = expected.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(dynamic.routers[0].broken.len(), errors);
}

#[test]
fn routers() {
    router("", "");
    router("priority: 0x10", "");
    router("ruleSyntax: v3", "");
    router("middlewares: a@x, ENTRYPOINTS: web", "");
    router("observability: {accessLogs: false, metrics: true, tracing: false}", "");
    router(
        "observability: {tracing: true}",
        "warning: observability.tracing: this is not supported yet and has no effect",
    );
    router("priority: high", "error: priority: `high`: expected a whole number");
    router("priority: 010", "error: priority: `010`: expected a whole number");
    router("priority: [1]", "error: priority: expected a single value, found a list");
    router(
        "priority: 9223372036854775807",
        "error: priority: `9223372036854775807`: it is above 9223372036854774807",
    );
    router("priorty: 5", "error: priorty: unknown key `priorty` (did you mean priority?)");
    router(
        "xyzzy: 5",
        "error: xyzzy: unknown key `xyzzy` (known here: entryPoints, middlewares, observability, \
         parentRefs, priority, rule, ruleSyntax, service, tls, uplinks)",
    );
    router("middlewares: {a: b}", "error: middlewares: expected a list, found a mapping");
    router("middlewares: [[a]]", "error: middlewares[0]: expected a single value, found a list");
    router("Service: t", "error: Service: this key is here twice");
    router("ruleSyntax: v2", "");
    router("ruleSyntax: v4", "error: ruleSyntax: `v4`: expected one of v3, v2");
    router("tls: {}", "");
    router("tls: false", "");
    router(
        "tls: {certResolver: x}",
        "error: tls.certResolver: certificates are not obtained by this version; name them under \
         tls.certificates",
    );
    router("tls: {option: x}", "error: tls.option: unknown key `option` (did you mean options?)");
    router("parentRefs: [p, q@file]", "");
    router(
        "parentRefs: [{name: p}]",
        "error: parentRefs[0]: expected a single value, found a mapping",
    );
    router(
        "parentRefs: p, entryPoints: web, tls: {}",
        "error: entryPoints: a router with parentRefs must not set entryPoints: its parent says \
         it (delete line 2)\n\
         error: tls: a router with parentRefs must not set tls: its parent says it (delete line 2)",
    );
}

#[test]
fn a_router_behind_an_uplink_has_nothing_of_its_own() {
    router("uplinks: [u]", "");
    router(
        "uplinks: [u], entryPoints: [web]",
        "error: entryPoints: a router that is offered through uplinks must not set entryPoints; \
         its rule is Path(`/`) (delete line 2)",
    );
    router(
        "uplinks: u, tls: {}, observability: {}",
        "error: tls: a router that is offered through uplinks must not set tls; \
         its rule is Path(`/`) (delete line 2)\n\
         error: observability: a router that is offered through uplinks must not set \
         observability; its rule is Path(`/`) (delete line 2)",
    );
}

#[test]
fn a_router_without_a_rule_or_a_service_is_explained() {
    let dynamic = check(
        "http:\n  routers:\n    r: {}\n    s: 5\n",
        &[
            "f.yml:3:5: error: http.routers.r.rule: a router has a rule \
             (a rule that takes every request is PathPrefix(`/`))",
            "f.yml:4:8: error: http.routers.s: expected a mapping, found a value",
        ],
    );
    assert!(dynamic.routers.iter().all(|router| router.rule.is_none()));
    assert!(dynamic.routers.iter().all(|router| !router.broken.is_empty()));
}

#[test]
fn a_bad_rule_is_pointed_at_exactly() {
    let help = "(did you mean Host?)";
    for (rule, place) in [
        ("Path(`/`) && Hots(`a`)", "2:30"),
        ("'Path(`/`) && Hots(`a`)'", "2:31"),
        ("\"Path(`/`) && Hots(`a`)\"", "2:31"),
        ("\"Path(`\\x2f`) && Hots(`a`)\"", "2:17"),
    ] {
        let document =
            format!("http: {{routers: {{r: {{service: s,\n          rule: {rule} }}}}}}");
        check(
            &document,
            &[&format!(
                "f.yml:{place}: error: http.routers.r.rule: there is no matcher `Hots` in \
                 Path(`/`) && Hots(`a`) {help}"
            )],
        );
    }
    let reading = dynamic(&[("f.toml", "[http.routers.r]\nrule = \"Hots(`a`)\"\nservice = \"s\"")]);
    assert!(said(&reading)[0].starts_with("f.toml:2:9: error: http.routers.r.rule"), "{reading:?}");
}

#[test]
fn a_definition_keeps_its_place_and_its_defaults() {
    let dynamic =
        check("http:\n  routers:\n    r:\n      rule: Path(`/`)\n      service: s@x\n", &[]);
    let router = &dynamic.routers[0];
    assert_eq!((router.name.as_str(), router.service.as_str()), ("r@file", "s@x"));
    assert_eq!((router.place.line, router.place.column, router.priority), (3, 5, 9));
}

#[track_caller]
fn service(lines: &str, expected: &str) -> ServiceKind {
    let dynamic = about("http: {services: {s: {", lines, "}}}", expected);
    dynamic.services[0].kind.clone()
}

#[track_caller]
fn broken(lines: &str, expected: &str) {
    let kind = service(lines, &format!("error: {expected}"));
    assert!(matches!(kind, ServiceKind::Broken(_)), "{kind:?}");
}

#[test]
fn a_load_balancer_with_everything() {
    let kind = service(
        "loadBalancer: {strategy: wrr, passHostHeader: false, serversTransport: default@internal,
         responseForwarding: {flushInterval: 1ms},
         servers: [{url: http://a:1/base?x, weight: 3, preservePath: true}, {url: HTTP://b/c}],
         passiveHealthCheck: {failureWindow: 1m, maxFailedAttempts: 3},
         healthCheck: {path: h, scheme: http, mode: http, method: HEAD, status: 204, port: 81,
           interval: 10, unhealthyInterval: 1s, timeout: 500ms, hostname: 'h:1',
           followRedirects: false, headers: {X-A: '1'}}}",
        "",
    );
    let ServiceKind::Balancer(balancer) = kind else { panic!("{kind:?}") };
    let servers: Vec<String> = balancer
        .servers
        .iter()
        .map(|s| format!("{} {}{} {}", s.url, s.authority, s.path, s.weight.get()))
        .collect();
    assert_eq!(servers, ["http://a:1/base?x http://a:1/base 3", "HTTP://b/c http://b:80/c 1"]);
    assert!(!balancer.pass_host);
    let passive = PassiveCheck { failure_window: Span::secs(60), failed_attempts_max: 3 };
    assert_eq!(balancer.passive, Some(passive));
    let check = HealthCheck {
        path: "h".into(),
        scheme: Some(crate::config::fixed::Scheme::Http),
        method: "HEAD".into(),
        status: ExpectedStatus::Exactly(204),
        port: Some(81),
        interval: Span::secs(10),
        unhealthy_interval: Span::secs(1),
        timeout: Span::millis(500),
        hostname: Some("h:1".into()),
        follow_redirects: false,
        headers: vec![("X-A".into(), "1".into())],
        ..HealthCheck::of_server()
    };
    assert_eq!(balancer.health_check, Some(check));
}

#[test]
fn a_bad_server_is_left_out_and_the_others_serve() {
    let servers = |kind| {
        let ServiceKind::Balancer(Balancer { servers, .. }) = kind else { panic!("{kind:?}") };
        servers.len()
    };
    for (server, expected) in [
        ("url: a:80", "url: `a:80`: a URL starts with http://, https:// or h2c://"),
        ("url: [x]", "url: expected a single value, found a list"),
        ("weight: 1", "url: a server has a url"),
        ("url: http://a, weight: -3", "weight: `-3`: it is below 0"),
        ("url: http://a, weight: 1.5", "weight: `1.5`: expected a whole number"),
        ("url: http://a, preservePath: yes", "preservePath: `yes`: write true"),
        ("url: http://a, wieght: 1", "wieght: unknown key `wieght` (did you mean weight?)"),
    ] {
        let lines = format!("loadBalancer: {{servers: [{{{server}}}, {{url: http://b}}]}}");
        let expected = format!("error: loadBalancer.servers[0].{expected}");
        assert_eq!(servers(service(&lines, &expected)), 1, "{server}");
    }
    let none = "warning: loadBalancer.servers: without servers every request is answered 503";
    assert_eq!(servers(service("loadBalancer: {passHostHeader: true}", none)), 0);
}

#[test]
fn a_wrong_service_is_broken() {
    broken(
        "",
        "http.services.s: a service is one of loadBalancer, weighted, failover, mirroring, \
         highestRandomWeight",
    );
    broken(
        "loadbalancr: {}",
        "loadbalancr: unknown key `loadbalancr` (did you mean loadBalancer?)",
    );
    broken(
        "weighted: {services: [{name: a}]}, failover: {service: a, fallback: b}",
        "http.services.s: a service is one thing, not weighted and failover",
    );
    broken(
        "highestRandomWeight: {}",
        "highestRandomWeight.services: a highestRandomWeight service names other services",
    );
    let server = "servers: [{url: http://a}]";
    for (lines, expected) in [
        (
            "strategy: wr",
            "strategy: `wr`: expected one of wrr, p2c, hrw, leasttime; did you mean wrr?",
        ),
        (
            "responseForwarding: {flushInterval: soon}",
            "responseForwarding.flushInterval: `soon`: write 10s, 1m30s, 250ms or a number of \
             seconds",
        ),
        (
            "responseForwarding: {flushIntervall: 1s}",
            "responseForwarding.flushIntervall: unknown key `flushIntervall` \
             (did you mean flushInterval?)",
        ),
    ] {
        broken(
            &format!("loadBalancer: {{{server}, {lines}}}"),
            &format!("loadBalancer.{expected}"),
        );
    }
    broken(
        &format!("loadBalancer: {{{server}}}, middlewares: {{a: b}}"),
        "middlewares: expected a list, found a mapping",
    );
}

#[test]
fn a_service_with_a_wrong_check_is_broken() {
    let server = "servers: [{url: http://a}]";
    for (lines, expected) in [
        ("healthCheck: {path: /h, interval: 0}", "healthCheck.interval: `0`: it must be above 0"),
        (
            "healthCheck: {path: /h, interval: soon}",
            "healthCheck.interval: `soon`: write 10s, 1m30s, 250ms or a number of seconds",
        ),
        ("healthCheck: {path: /h, timeout: -1s}", "healthCheck.timeout: `-1s`: it is below 0"),
        (
            "healthCheck: {path: 'http://evil/'}",
            "healthCheck.path: `http://evil/`: expected a path such as /health, not a URL",
        ),
        (
            "healthCheck: {path: /h, status: 99}",
            "healthCheck.status: a status is between 100 and 599",
        ),
        ("healthCheck: {path: /h, port: 70000}", "healthCheck.port: `70000`: it is above 65535"),
        (
            "healthCheck: {path: /h, mode: tcp}",
            "healthCheck.mode: `tcp`: expected one of http, grpc",
        ),
        (
            "healthCheck: {path: /h, headers: {'a b': x}}",
            "healthCheck.headers.a b: a field name has only letters, digits and !#$%&'*+-.^_`|~",
        ),
        (
            "healthCheck: {path: /h, headers: {a: \"x\\r\\ny\"}}",
            "healthCheck.headers.a: a field value has no line breaks, control characters or \
             blanks at its ends",
        ),
        (
            "passiveHealthCheck: {maxFailedAttempts: 0}",
            "passiveHealthCheck.maxFailedAttempts: `0`: it is below 1",
        ),
    ] {
        broken(
            &format!("loadBalancer: {{{server}, {lines}}}"),
            &format!("loadBalancer.{expected}"),
        );
    }
}

#[test]
fn a_check_by_grpc_has_no_request_of_its_own() {
    for (key, value) in
        [("path", "/h"), ("method", "GET"), ("status", "200"), ("followRedirects", "false")]
    {
        let lines =
            format!("servers: [{{url: h2c://a}}], healthCheck: {{mode: grpc, {key}: {value}}}");
        let expected = format!(
            "warning: loadBalancer.healthCheck.{key}: a check in mode grpc has no {key} of its own"
        );
        let kind = service(&format!("loadBalancer: {{{lines}}}"), &expected);
        assert!(matches!(kind, ServiceKind::Balancer(_)), "{kind:?}");
    }
    let lines =
        "loadBalancer: {servers: [{url: https://a}], healthCheck: {mode: grpc, scheme: h2c}}";
    assert!(matches!(service(lines, ""), ServiceKind::Balancer(_)));
}

#[test]
fn an_empty_health_check_of_servers_probes_their_root() {
    let kind = service(
        "loadBalancer: {servers: [{url: http://a}], healthCheck: {}}",
        "warning: loadBalancer.healthCheck.path: without a path the servers are probed at /",
    );
    let ServiceKind::Balancer(balancer) = kind else { panic!("{kind:?}") };
    assert_eq!(balancer.health_check, Some(HealthCheck::of_server()));
}

#[test]
fn weighted_services() {
    let kind = service(
        "weighted: {healthCheck: {}, services: [{name: a, weight: 90}, {name: b@x}, {name: c, \
         weight: 0}]}",
        "",
    );
    let ServiceKind::Weighted { services, .. } = kind else { panic!("{kind:?}") };
    let shown: Vec<String> =
        services.iter().map(|s| format!("{} {}", s.name, s.weight.get())).collect();
    assert_eq!(shown, ["a@file 90", "b@x 1", "c@file 0"]);
    let kind = service(
        "weighted: {services: [{name: a, weight: -3}, {weight: 1}, {name: b}]}",
        "error: weighted.services[0].weight: `-3`: it is below 0\n\
         error: weighted.services[1].name: name names a service",
    );
    assert!(matches!(kind, ServiceKind::Weighted { services, .. } if services.len() == 1));
    broken("weighted: {}", "weighted.services: a weighted service names other services");
}

#[test]
fn failover_services() {
    let kind = service(
        "failover: {service: a, fallback: b, healthCheck: {}, errors: {status: '500, 502-504', \
         maxRequestBodyBytes: -1, tieline: {replayNonIdempotent: true}}}",
        "",
    );
    let ServiceKind::Failover(failover) = kind else { panic!("{kind:?}") };
    let errors = failover.errors.expect("it has errors");
    assert_eq!(errors.status, [500..=500, 502..=504]);
    assert!(errors.replay_non_idempotent && errors.body_bytes_max.is_none());
    broken("failover: {service: a}", "failover.fallback: fallback names a service");
    broken(
        "failover: {service: a, fallback: b, errors: {}}",
        "failover.errors.status: name the statuses that send a request to the fallback \
         (for example [\"500-504\"])",
    );
    for (status, why) in [
        ("600", "expected a status such as 503 or a range such as 500-599"),
        ("5xx", "expected a status such as 503 or a range such as 500-599"),
        ("504-500", "the range is empty"),
    ] {
        broken(
            &format!("failover: {{service: a, fallback: b, errors: {{status: [{status}]}}}}"),
            &format!("failover.errors.status: `{status}`: {why}"),
        );
    }
}

#[test]
fn mirroring_services() {
    let kind = service(
        "mirroring: {service: a, mirrorBody: false, maxBodySize: 1024, healthCheck: {}, \
         mirrors: [{name: b, percent: 10}, {name: c}, {name: d, percent: 101}]}",
        "error: mirroring.mirrors[2].percent: `101`: it is above 100",
    );
    let ServiceKind::Mirroring(mirroring) = kind else { panic!("{kind:?}") };
    let mirrors: Vec<_> = mirroring.mirrors.iter().map(|m| (m.name.as_str(), m.percent)).collect();
    assert_eq!(mirrors, [("b@file", 10), ("c@file", 0)]);
    assert_eq!((mirroring.mirror_body, mirroring.body_bytes_max), (false, Some(1024)));
    broken(
        "mirroring: {maxBodySize: -2, service: a}",
        "mirroring.maxBodySize: `-2`: it is below -1",
    );
    broken("mirroring: {mirrors: []}", "mirroring.service: service names a service");
}

#[track_caller]
fn uplink(lines: &str, expected: &str) -> Option<crate::config::typed::Uplink> {
    let dynamic = about("http: {uplinks: {u: {", lines, "}}}", expected);
    assert_eq!(dynamic.uplinks.is_empty(), expected.contains("error: "));
    dynamic.uplinks.first().map(|uplink| (**uplink).clone())
}

#[test]
fn uplinks() {
    let plain = uplink("", "").expect("it is kept");
    assert_eq!((plain.weight.get(), plain.entry_points.len()), (1, 0));
    assert!(plain.health_check.is_none() && plain.passive.is_none());
    let full = uplink(
        "weight: 10, entryPoints: multicluster, passiveHealthCheck: {},
         healthCheck: {path: /health, interval: 10s, timeout: 3s, status: 200}",
        "",
    );
    let full = full.expect("it is kept");
    assert_eq!(full.passive, Some(PassiveCheck::default()));
    assert_eq!(
        full.health_check,
        Some(HealthCheck {
            path: "/health".into(),
            interval: Span::secs(10),
            unhealthy_interval: Span::secs(10),
            timeout: Span::secs(3),
            ..HealthCheck::of_uplink()
        })
    );
    uplink("weight: -1", "error: weight: `-1`: it is below 0");
    uplink("weight: 1048577", "error: weight: `1048577`: it is above 1048576");
    uplink(
        "exposeName: x",
        "error: exposeName: unknown key `exposeName` \
         (known here: entryPoints, healthCheck, passiveHealthCheck, weight)",
    );
}

#[test]
fn root_keys_of_the_other_kind_are_read_over_and_unknown_ones_reported() {
    check("entryPoints: {}\nHUB: {}\nhttp:\n  routers:\n", &[]);
    check(
        "htpt: {}\nhttp: {routes: {}}\ntcp: {}\ntls: {}\n",
        &[
            "f.yml:1:1: warning: htpt: the root key `htpt` is not known and is read over \
             (did you mean http?)",
            "f.yml:2:8: error: http.routes: unknown key `routes` (did you mean routers?)",
            "f.yml:3:1: error: tcp: this is not supported by this version",
        ],
    );
}

#[test]
fn the_first_file_keeps_a_name_that_two_define() {
    let document = "http: {services: {s: {weighted: {services: [{name: x}]}}}}";
    let reading = dynamic(&[("a.yml", document), ("b.yml", document)]);
    assert_eq!(
        said(&reading),
        ["b.yml:1:19: warning: http.services.s: `s` is already defined at a.yml:1; \
          this one is left out"]
    );
    assert_eq!(&*reading.dynamic.services[0].place.file, "a.yml");
}

#[test]
fn a_file_that_is_no_document_leaves_the_reading_incomplete() {
    let good = ("a.yml", "http: {routers: {}}");
    assert!(dynamic(&[good]).complete);
    assert!(dynamic(&[("a.yml", "")]).complete);
    for bad in ["http: {routers:", "http: {{ now }}\n", "<html>", "[]", "a: 1\n---\nb: 2"] {
        let reading = dynamic(&[good, ("b.yml", bad)]);
        assert!(!reading.complete && reading.diagnostics.len() == 1, "{reading:?}");
    }
}

#[test]
fn yaml_and_toml_mean_the_same() {
    let yaml = "
http:
  routers:
    r:
      rule: \"Host(`a`)\"
      service: s
      middlewares: [m, n]
  services:
    s:
      loadBalancer:
        servers:
          - url: \"http://a:1\"
            weight: 2
        healthCheck: {path: /h, interval: 5}
  middlewares:
    m: {addPrefix: {prefix: /x}}
  uplinks:
    u: {}
";
    let toml = "
[http.routers.r]
rule = 'Host(`a`)'
service = 's'
middlewares = ['m', 'n']
[http.services.s.loadBalancer]
healthCheck = {path = '/h', interval = 5}
[[http.services.s.loadBalancer.servers]]
url = 'http://a:1'
weight = 2
[http.middlewares.m.addPrefix]
prefix = '/x'
[http.uplinks.u]
";
    let shown = |path: &str, text: &str| {
        let reading = dynamic(&[(path, text)]);
        assert_eq!(said(&reading), [""; 0]);
        let (routers, services) = (&reading.dynamic.routers[0], &reading.dynamic.services[0]);
        let place = Place::default();
        let router = Router { place: place.clone(), ..(**routers).clone() };
        let service = crate::config::typed::Service { place, ..(**services).clone() };
        let middleware = &reading.dynamic.middlewares[0].kind;
        format!("{router:?} {service:?} {middleware:?} {}", reading.dynamic.uplinks.len())
    };
    assert_eq!(shown("f.yaml", yaml), shown("f.toml", toml));
}
