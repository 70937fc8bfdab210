//! The API of a small gateway whose definitions come from a document.

use crate::base::diag::Diagnostic;
use crate::base::id::ServiceId;
use crate::base::time::Time;
use crate::config::fixed::{Api, Fixed};
use crate::view::model::{Condition, Definition, MiddlewareInfo, RouterInfo, ServiceInfo};
use crate::view::stats::Stats;
use crate::view::status::{ChildPhase, ChildStatus, Status};
use crate::view::{Internal, View};
use crate::worker::accounts::Accounts;
use crate::worker::fixture::{WALL, record, route, server, view};
use crate::worker::internal::{Answer, Ask, Sight, answer};
use serde_json::{Value, json};
use std::sync::Arc;

const DOCUMENT: &str = "
http:
  routers:
    shop:
      rule: PathPrefix(`/shop`)
      service: shop-failover
      entryPoints: [web]
      middlewares: [strip]
    admin:
      rule: Host(`admin.example`) && PathPrefix(`/`)
      priority: 7
      service: plain
  middlewares:
    strip:
      stripPrefix:
        prefixes: [/shop]
  services:
    shop-failover:
      failover:
        service: shop@multicluster
        fallback: plain
    plain:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:9201
";

fn configured() -> View {
    let read = crate::config::dynamic(&[("dynamic.yml", DOCUMENT)]);
    assert_eq!(read.diagnostics, []);
    let mut view = view();
    let router = |definition: &Arc<_>| {
        Arc::new(RouterInfo {
            definition: Arc::clone(definition),
            condition: Condition::Enabled,
            errors: Vec::new(),
            using: vec!["web".into()],
        })
    };
    view.model.routers = read.dynamic.routers.iter().map(router).collect();
    let middleware = |definition: &Arc<_>| {
        Arc::new(MiddlewareInfo {
            definition: Arc::clone(definition),
            condition: Condition::Enabled,
            errors: Vec::new(),
            breakers: Vec::new(),
            used_by: vec!["shop@file".into()],
        })
    };
    view.model.middlewares = read.dynamic.middlewares.iter().map(middleware).collect();
    let mut services: Vec<(String, Definition, Condition)> = Vec::new();
    let members = Arc::new([(ServiceId(1), 90), (ServiceId(2), 10)]);
    let whole = Definition::Aggregate { members };
    services.push(("shop@multicluster".to_owned(), whole, Condition::Enabled));
    for service in &read.dynamic.services {
        let definition = Definition::Written(Arc::clone(service));
        services.push((service.name.clone(), definition, Condition::Disabled));
    }
    let mut names = Vec::new();
    for (at, (name, definition, condition)) in services.into_iter().enumerate() {
        let id = ServiceId(if at == 0 { 0 } else { 10 + u32::try_from(at).expect("few") });
        names.push((name.clone(), id));
        let errors =
            if condition == Condition::Enabled { vec![] } else { vec!["broken".to_owned()] };
        let used_by = vec!["shop@file".into()];
        let info = ServiceInfo { name: name.into(), definition, condition, errors, used_by };
        view.model.services.set(id.0, Some(Arc::new(info)));
    }
    names.sort();
    view.model.services_by_name = names.into_iter().map(|(_, id)| id).collect();
    view
}

fn ask(view: &View, stats: &Stats, path: &str) -> Answer {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let ask = Ask { method: b"GET", path: path.as_bytes(), query: query.as_bytes() };
    let sight = Sight { view, stats, now: Time::from_nanos(9_000_000_000), draining: false };
    answer(Internal::Api, &ask, &sight)
}

fn get(path: &str) -> (u16, Value) {
    let answer = ask(&configured(), &Stats::new(1, 1, WALL), path);
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}

#[track_caller]
fn check(path: &str, expected: Value) {
    assert_eq!(get(path), (200, expected), "{path}");
}

#[test]
fn definitions_have_traefiks_shape() {
    check(
        "/api/http/routers/shop@file",
        json!({
            "entryPoints": ["web"], "middlewares": ["strip@file"], "name": "shop@file",
            "priority": 19, "priorityStr": "19", "provider": "file",
            "rule": "PathPrefix(`/shop`)", "service": "shop-failover@file",
            "status": "enabled", "using": ["web"],
        }),
    );
    check(
        "/api/http/middlewares/strip%40file",
        json!({
            "name": "strip@file", "provider": "file", "status": "enabled",
            "stripPrefix": { "prefixes": ["/shop"] }, "type": "stripprefix",
            "usedBy": ["shop@file"],
        }),
    );
    check(
        "/api/http/services/shop@multicluster",
        json!({
            "name": "shop@multicluster", "provider": "multicluster", "status": "enabled",
            "tieline": { "tickets": 0, "up": true }, "type": "weighted", "usedBy": ["shop@file"],
            "weighted": { "services": [
                { "name": "", "weight": 90 }, { "name": "", "weight": 10 },
            ] },
        }),
    );
    check(
        "/api/http/services/plain@file",
        json!({
            "error": ["broken"],
            "loadBalancer": {
                "passHostHeader": true, "servers": [{ "url": "http://127.0.0.1:9201" }],
                "strategy": "wrr",
            },
            "name": "plain@file", "provider": "file", "status": "disabled",
            "type": "loadbalancer", "usedBy": ["shop@file"],
        }),
    );
}

#[test]
fn servers_are_up_until_a_check_says_otherwise() {
    let view = configured();
    let node = view.services.get(2).expect("the service of the west");
    let name = "shop-west@multicluster";
    let info = ServiceInfo {
        name: name.into(),
        definition: Definition::Internal(Internal::Noop),
        condition: Condition::Enabled,
        errors: vec![],
        used_by: vec![],
    };
    let shown = super::services::object(node.id, &info, &view);
    assert_eq!(shown["serverStatus"], json!({ "http://127.0.0.1:9101": "UP" }));
}

#[test]
fn lists_are_filtered_sorted_and_paged() {
    let names = |path: &str| {
        let (status, list) = get(path);
        assert_eq!(status, 200, "{path}");
        let all = list.as_array().expect("a list").iter();
        all.map(|o| o["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>().join(" ")
    };
    for (path, expected) in [
        ("/api/http/routers", "admin@file shop@file"),
        ("/api/http/routers?sortBy=priority&direction=desc", "shop@file admin@file"),
        ("/api/http/routers?search=ADMIN.example", "admin@file"),
        ("/api/http/routers?serviceName=plain", "admin@file"),
        ("/api/http/routers?middlewareName=strip@file", "shop@file"),
        ("/api/http/routers?status=disabled", ""),
        ("/api/http/services?status=Disabled", "plain@file shop-failover@file"),
        ("/api/http/services?per_page=2", "plain@file shop-failover@file"),
        ("/api/http/services?per_page=2&page=2", "shop@multicluster"),
        ("/api/http/services?sortBy=type", "shop-failover@file plain@file shop@multicluster"),
        ("/api/entrypoints", "web"),
    ] {
        assert_eq!(names(path), expected, "{path}");
    }
}

#[test]
fn the_next_page_is_named_and_the_last_one_points_back() {
    let stats = Stats::new(1, 1, WALL);
    let view = configured();
    for (page, next) in [(1, "2"), (2, "3"), (3, "1")] {
        let answer = ask(&view, &stats, &format!("/api/http/services?per_page=1&page={page}"));
        assert_eq!(answer.fields, [("X-Next-Page", next.to_owned())]);
    }
    for bad in ["page=0", "page=x", "per_page=-1", "per_page=0", "page=9"] {
        let (status, body) = get(&format!("/api/http/services?{bad}"));
        assert!(status == 400 && body["message"].is_string(), "{bad}: {body}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for (path, message) in [
        ("/api/http/routers/none@file", json!("router not found: none@file")),
        ("/api/http/services/none@file", json!("service not found: none@file")),
        ("/api/http/middlewares/none@file", json!("middleware not found: none@file")),
        ("/api/entrypoints/none", json!("entry point not found: none")),
        ("/api/nothing", Value::Null),
        ("/", Value::Null),
    ] {
        let (status, body) = get(path);
        assert_eq!((status, &body["message"]), (404, &message), "{path}");
    }
}

#[test]
fn the_base_path_is_honoured() {
    let mut view = configured();
    let api = Api { base_path: "/gateway".to_owned(), ..Api::default() };
    view.fixed = Arc::new(Fixed { api: Some(api), ..Fixed::default() });
    let stats = Stats::new(1, 1, WALL);
    assert_eq!(ask(&view, &stats, "/gateway/api/version").status, 200);
    assert_eq!(ask(&view, &stats, "/api/version").status, 404);
}

#[test]
fn the_overview_counts_what_there_is() {
    let (_, overview) = get("/api/overview");
    assert_eq!(
        overview["http"],
        json!({
            "routers": { "total": 2, "warnings": 0, "errors": 0 },
            "services": { "total": 3, "warnings": 0, "errors": 2 },
            "middlewares": { "total": 1, "warnings": 0, "errors": 0 },
        })
    );
    let (_, raw) = get("/api/rawdata");
    assert_eq!(raw["routers"]["admin@file"]["priority"], json!(7));
    assert_eq!(raw["services"].as_object().map(serde_json::Map::len), Some(3));
    assert_eq!(raw["middlewares"]["strip@file"]["type"], Value::Null);
}

#[test]
fn children_show_polls_share_and_latency() {
    let mut view = configured();
    let mut status = Status::default();
    let known = ChildStatus {
        phase: ChildPhase::Stale,
        since: Time::ZERO,
        error: "connection refused".to_owned(),
    };
    status.children.set(1, Some(Arc::new(known)));
    status.diagnostics = Arc::new([Diagnostic::error("bad-rule", "http.routers.x", "no")]);
    view.status = Arc::new(status);
    let stats = Arc::new(Stats::new(1, 1, WALL));
    let accounts = Accounts::new(Arc::clone(&stats), 0, &view.fixed);
    for child in [0, 1, 1, 1] {
        accounts.finished(&record(&view, &route(false), &server(child)));
    }
    let answer = ask(&view, &stats, "/api/tieline/children");
    let children: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let west = &children[1];
    for (key, expected) in [
        ("name", json!("west")),
        ("alive", json!(false)),
        ("phase", json!("stale")),
        ("error", json!("connection refused")),
        ("requests", json!(3)),
        ("sharePerMille", json!(750)),
        ("p50Micros", json!(10_240)),
        ("lastGoodPoll", Value::Null),
    ] {
        assert_eq!(west[key], expected, "{key}");
    }
    let answer = ask(&view, &stats, "/api/tieline/diagnostics");
    let shown: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(shown["diagnostics"][0]["path"], json!("http.routers.x"));
}

#[test]
fn only_reading_is_allowed() {
    let view = configured();
    let stats = Stats::new(1, 1, WALL);
    let ask = Ask { method: b"POST", path: b"/api/version", query: b"" };
    let sight = Sight { view: &view, stats: &stats, now: Time::ZERO, draining: false };
    assert_eq!(answer(Internal::Api, &ask, &sight).status, 405);
}

#[test]
fn ping_says_when_it_drains() {
    let view = configured();
    let stats = Stats::new(1, 1, WALL);
    for (draining, status, body) in [(false, 200, "OK"), (true, 503, "Service Unavailable")] {
        let ask = Ask { method: b"GET", path: b"/ping", query: b"" };
        let sight = Sight { view: &view, stats: &stats, now: Time::ZERO, draining };
        let got = answer(Internal::Ping, &ask, &sight);
        assert_eq!((got.status, &*got.body), (status, body.as_bytes()));
    }
}

#[test]
fn a_gateway_that_records_nothing_has_no_capsule_and_says_how_to_get_one() {
    let (status, body) = get("/api/tieline/capsule");
    assert_eq!(status, 409);
    let message = "nothing is recorded here: set `tieline.recording: true`";
    assert_eq!(body, json!({ "message": message }));
}

#[test]
fn what_is_told_of_a_ledger_has_no_password() {
    let document = "http: {middlewares: {slow: {rateLimit: {average: 1, redis: \
        {endpoints: ['10.0.0.9:6379'], username: me, password: hunter2}}}}}";
    let read = crate::config::dynamic(&[("dynamic.yml", document)]);
    let kind = &read.dynamic.middlewares.first().expect("a middleware").kind;
    let (_, told) = super::steps::spelled(kind).expect("it can be carried out");
    let redis = &told["redis"];
    assert_eq!(redis["username"], "me", "{told}");
    assert_eq!(redis["endpoints"], json!(["10.0.0.9:6379"]), "{told}");
    assert!(!told.to_string().contains("hunter2"), "{told}");
}
