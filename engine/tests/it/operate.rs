//! What an operator sees of a worker: its own pages, its log, its figures.

use crate::pair::Pair;
use crate::plan::{Plan, strip};
use engine::base::time::Span;
use engine::config::fixed::{AccessFormat, AccessLog, HeaderMode, Prometheus};
use engine::service::middleware::{Headers, Step};
use engine::view::{Internal, MirrorNode, MirroringNode, NodeKind};
use std::sync::Arc;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\nUser-Agent: tester\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nServer: tiny\r\nContent-Length: 2\r\n\r\nhi";

fn says_who() -> Step {
    let response = vec![("X-Who".to_owned(), "edge".to_owned())];
    Step::Headers(Arc::new(Headers::custom(Vec::new(), response)))
}

#[test]
fn the_api_is_found_behind_a_prefix() {
    let mut plan = Plan::bare();
    let api = plan.internal(Internal::Api);
    plan.route("PathPrefix(`/admin`)", api, &[strip("/admin")]);
    let mut pair = Pair::new(&plan);
    let got = pair.answer("GET /admin/api/version HTTP/1.1\r\nHost: s\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), "{got}");
    let got = pair.answer("GET /admin/nothing HTTP/1.1\r\nHost: s\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 404 Not Found\r\n"), "{got}");
    pair.nothing_more();
}

#[test]
fn middlewares_also_mark_answers_of_our_own() {
    let mut plan = Plan::bare();
    let nobody = plan.service(NodeKind::Unavailable("gone".into()));
    plan.route("PathPrefix(`/`)", nobody, &[says_who()]);
    let mut pair = Pair::new(&plan);
    let got = pair.answer(GET);
    assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{got}");
    assert!(got.contains("\r\nX-Who: edge\r\n"), "{got}");
    let got = pair.answer("GET / HTTP/1.1\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 400 ") && !got.contains("X-Who"), "{got}");
}

#[test]
fn an_answer_of_our_own_has_one_date_even_if_a_middleware_sets_it() {
    let mut plan = Plan::bare();
    let nobody = plan.service(NodeKind::Unavailable("gone".into()));
    let response = vec![("date".to_owned(), "never".to_owned())];
    let dated = Step::Headers(Arc::new(Headers::custom(Vec::new(), response)));
    plan.route("PathPrefix(`/`)", nobody, &[dated]);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, GET);
    let got = pair.got(client);
    assert!(got.contains("\r\ndate: never\r\n") && !got.contains("Date: "), "{got}");
}

#[test]
fn the_log_shows_fields_of_all_three_heads() {
    let mut plan = Plan::bare();
    let service = plan.origin();
    plan.route("PathPrefix(`/`)", service, &[says_who()]);
    plan.fixed.access_log = Some(AccessLog {
        format: AccessFormat::Json,
        header_default: HeaderMode::Keep,
        ..AccessLog::default()
    });
    let mut pair = Pair::new(&plan);
    pair.exchange(GET, OK);
    pair.pass(Span::secs(1));
    let line: serde_json::Value = serde_json::from_str(&pair.log).expect("one line of JSON");
    for (key, value) in [
        ("request_User-Agent", "tester"),
        ("origin_Server", "tiny"),
        ("downstream_Server", "tiny"),
        ("downstream_X-Who", "edge"),
        ("RequestPath", "/"),
        ("entryPointName", "web"),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert_eq!((&line["OriginStatus"], &line["DownstreamContentSize"]), (&200.into(), &2.into()));
    assert_eq!(line["origin_X-Who"], serde_json::Value::Null);
}

#[test]
fn a_mirror_counts_at_its_service_alone() {
    let mut plan = Plan::bare();
    let (main, copy) = (plan.origin(), plan.origin());
    let mirroring = plan.service(NodeKind::Mirroring(MirroringNode {
        main,
        mirrors: Box::new([MirrorNode { service: copy, percent: 100 }]),
        mirror_body: true,
        body_bytes_max: None,
        ticket: Arc::default(),
    }));
    plan.route("PathPrefix(`/`)", mirroring, &[]);
    let metrics = plan.internal(Internal::Prometheus);
    plan.route("Path(`/metrics`)", metrics, &[]);
    plan.fixed.prometheus = Some(Prometheus::default());
    plan.fixed.access_log = Some(AccessLog::default());
    let mut pair = Pair::new(&plan);
    pair.exchange(GET, OK);
    let mirror = pair.dialed();
    pair.send(mirror, OK);
    pair.pass(Span::secs(1));
    assert_eq!(pair.log.lines().count(), 1, "{}", pair.log);
    let page = pair.answer("GET /metrics HTTP/1.1\r\nHost: s\r\n\r\n");
    let counted = |family: &str| {
        let rows = page.lines().filter(|line| line.starts_with(family));
        rows.map(|row| row.rsplit(' ').next().expect("a value")).collect::<Vec<_>>()
    };
    assert_eq!(counted("traefik_entrypoint_requests_total{"), ["1"]);
    assert_eq!(counted("traefik_service_requests_total{"), ["1", "1"]);
    assert_eq!(counted("tieline_mirrors_total "), ["1"]);
    pair.nothing_more();
}

#[test]
fn routers_are_counted_where_that_is_asked_for() {
    for (router_labels, expected) in [(true, &["1"][..]), (false, &[])] {
        let mut plan = Plan::one_origin();
        let metrics = plan.internal(Internal::Prometheus);
        plan.route("Path(`/metrics`)", metrics, &[]);
        plan.fixed.prometheus = Some(Prometheus { router_labels, ..Prometheus::default() });
        let mut pair = Pair::new(&plan);
        pair.exchange(GET, OK);
        let page = pair.answer("GET /metrics HTTP/1.1\r\nHost: s\r\n\r\n");
        let rows = page.lines().filter(|it| it.starts_with("traefik_router_requests_total{"));
        let counts: Vec<_> = rows.filter_map(|row| row.rsplit(' ').next()).collect();
        assert_eq!(counts, expected, "{page}");
    }
}
