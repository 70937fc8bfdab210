//! What is told of a request that nobody sent, held against what becomes of it when it is sent.

use crate::documents::Documents;
use crate::pair::Pair;
use engine::base::limits::Limits;
use engine::base::prng::Prng;
use engine::base::time::Time;
use engine::view::View;
use engine::view::status::Health;
use engine::worker::explain::{Ask, explain};
use serde_json::Value;

const DOCUMENT: &str = "
http:
  routers:
    pay: {rule: 'Host(`a.test`) && PathPrefix(`/pay`)', service: pay, middlewares: [strip]}
    eu: {rule: 'Header(`X-Region`, `eu`)', service: two, priority: 100}
    old: {rule: 'PathPrefix(`/old`)', service: one, middlewares: [away]}
    closed: {rule: 'Path(`/closed`) && !Method(`PUT`)', service: one, middlewares: [nobody]}
    shaky: {rule: 'Host(`b.test`)', service: shaky}
    kept: {rule: 'Host(`c.test`) || Query(`stick`, `1`)', service: kept}
    copied: {rule: 'Host(`d.test`)', service: copied}
    guarded: {rule: 'Host(`f.test`)', service: guarded}
  middlewares:
    strip: {stripPrefix: {prefixes: [/pay]}}
    away: {redirectRegex: {regex: '^http://([^/]+)/old(.*)', replacement: 'https://$1/new$2'}}
    nobody: {ipAllowList: {sourceRange: [10.9.9.9]}}
    pre: {addPrefix: {prefix: /pre}}
    on: {addPrefix: {prefix: /on}}
    out: {redirectRegex: {regex: '/old(.*)', replacement: '/out$1'}}
  services:
    one: {loadBalancer: {healthCheck: {path: /}, servers: [{url: 'http://10.0.0.1'}]}}
    two: {loadBalancer: {healthCheck: {path: /}, servers: [{url: 'http://10.0.0.2'}, {url: 'http://10.0.0.3/base', weight: 3}]}}
    pay: {weighted: {services: [{name: one, weight: 2}, {name: two, weight: 3}]}}
    shaky: {failover: {service: one, fallback: pay}}
    kept: {loadBalancer: {sticky: {cookie: {name: who}}, servers: [{url: 'http://10.0.0.4'}, {url: 'http://10.0.0.5'}]}}
    guarded: {middlewares: [pre], weighted: {services: [{name: side}, {name: moved}, {name: shut}, {name: plain, weight: 2}]}}
    side: {failover: {service: shut, fallback: moved, errors: {status: ['403']}}}
    shut: {middlewares: [pre, nobody], loadBalancer: {servers: [{url: 'http://10.0.0.6'}]}}
    moved: {middlewares: [on, out], weighted: {services: [{name: plain}]}}
    plain: {middlewares: [on], loadBalancer: {servers: [{url: 'http://10.0.0.7'}]}}
    copied: {mirroring: {service: two, mirrors: [{name: kept, percent: 0}]}}
";

fn told(view: &View, request: &str, fields: &[&str]) -> Value {
    let mut ask = Ask::read(request).expect("a request");
    fields.iter().for_each(|line| ask.add_field(line).expect("a field"));
    ask.from = [192, 0, 2, 7].into();
    explain(view, Time::ZERO, &ask).expect("it can be explained")
}

/// What is told and what then happens, each in the same words.
fn compare(pair: &mut Pair, view: &View, method: &str, host: &str, target: &str, field: &str) {
    let fields: Vec<&str> = Some(field).filter(|field| !field.is_empty()).into_iter().collect();
    let told = told(view, &format!("{method} http://{host}{target}"), &fields);
    let lines: String = fields.iter().map(|line| format!("{line}\r\n")).collect();
    let client = pair.open();
    pair.send(
        client,
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"),
    );
    let answer = &told["answer"];
    let Some(origin) = pair.try_dialed() else {
        let got = pair.got(client);
        let status = got.split(' ').nth(1).and_then(|status| status.parse::<u64>().ok());
        assert_eq!(status, answer["status"].as_u64(), "{told:#}");
        if let Some(location) = answer["location"].as_str() {
            assert!(got.contains(&format!("\r\nLocation: {location}\r\n")), "{got}");
        }
        return;
    };
    let url = answer["url"].as_str().unwrap_or_else(|| panic!("a server was told: {told:#}"));
    let authority = url.trim_start_matches("http://").split('/').next();
    assert_eq!(Some(pair.address(origin).ip().to_string().as_str()), authority, "{told:#}");
    let path = answer["path"].as_str().expect("a path");
    let sent = pair.got(origin);
    assert!(sent.starts_with(&format!("{method} {path} HTTP/1.1\r\n")), "{sent} {told:#}");
    pair.send(origin, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    pair.got(client);
}

#[test]
fn what_is_told_of_a_request_is_what_becomes_of_it() {
    let mut prng = Prng::new(9);
    let mut documents = Documents::whole(DOCUMENT);
    let mut view = documents.view();
    let mut pair = Pair::of(view.clone(), Limits::default());
    let mut pick = |list: &[&'static str]| {
        let at = usize::try_from(prng.below(list.len() as u64)).expect("small");
        list[at]
    };
    for _ in 0..1_000 {
        let method = pick(&["GET", "PUT", "DELETE"]);
        let host = pick(&["a.test", "b.test:80", "C.test", "d.test", "e.test", "f.test"]);
        let target = pick(&["/", "/pay/x?y", "/old/z", "/closed", "/x?stick=1", "/a//b/../c"]);
        let field = pick(&["", "X-Region: eu", "Cookie: who=f1a6fbf4c1a24c8b", "X-Region: us"]);
        compare(&mut pair, &view, method, host, target, field);
        if pick(&["", "", "", "flip"]) == "flip" {
            let url = pick(&["http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3/base"]);
            let health = if pick(&["up", "down"]) == "up" { Health::Up } else { Health::Down };
            documents.health(url, health);
            view = documents.view();
            pair.publish_view(view.clone());
        }
    }
}

#[test]
fn each_route_says_why_it_was_not_the_one() {
    let view = Documents::whole(DOCUMENT).view();
    let told = told(&view, "GET http://a.test/pay/x", &["X-Region: us"]);
    let why = |router: &str| {
        let all = told["routes"].as_array().expect("routes");
        let found = all.iter().find(|route| route["router"] == format!("{router}@file"));
        let route = found.unwrap_or_else(|| panic!("{router} is among them: {told:#}"));
        format!("{}: {}", route["verdict"].as_str().unwrap(), route["why"].as_str().unwrap())
    };
    let eu = "does not match: Header(`X-Region`, `eu`) does not hold: X-Region is `us`";
    assert_eq!(why("eu"), eu);
    assert!(why("pay").starts_with("matches: Host(`a.test`) holds: the host is a.test; "));
    assert!(why("shaky").starts_with("not reached: "), "{}", why("shaky"));
    assert_eq!(told["router"], "pay@file");
    assert_eq!(told["middlewares"][0]["does"], "makes /x of /pay/x");
}

#[test]
fn it_is_told_what_would_have_to_change() {
    let check = |health: &[(&str, Health)], request: &str, expected: &[&str]| {
        let mut documents = Documents::whole(DOCUMENT);
        documents.view();
        health.iter().for_each(|(url, health)| documents.health(url, *health));
        let told = told(&documents.view(), request, &[]);
        let otherwise: Vec<&str> = told["otherwise"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(otherwise, expected, "{told:#}");
    };
    check(&[], "http://b.test/", &["pay@file serves when one@file is down"]);
    check(
        &[("http://10.0.0.1", Health::Down), ("http://10.0.0.2", Health::Down)],
        "http://b.test/",
        &[
            "one@file serves again when it is up",
            "one@file has no turn: it is down",
            "http://10.0.0.2 has no turn: its weight is 0, or it is down",
        ],
    );
    check(
        &[],
        "http://c.test/",
        &[
            "a cookie of kept@file that names another member decides",
            "http://10.0.0.5 has ticket 1 of kept@file, 1 from now",
        ],
    );
}

#[test]
fn to_ask_draws_no_ticket_and_needs_a_request() {
    let view = Documents::whole(DOCUMENT).view();
    let first = told(&view, "http://d.test/", &[]);
    assert_eq!(first, told(&view, "http://d.test/", &[]));
    let mut ask = Ask::read("http://d.test/").expect("a request");
    ask.entry = "wbe".to_owned();
    let problem = explain(&view, Time::ZERO, &ask).expect_err("no such entry point");
    assert_eq!(problem, "there is no entry point wbe: there are web");
    ask.entry.clear();
    ask.add_field("Bad Name: 1").expect("a line with a colon");
    let told = explain(&view, Time::ZERO, &ask).expect("a request that is refused");
    assert_eq!(told["answer"]["status"], 400);
    assert_eq!(told["answer"]["why"], "a field name is not a token");
}
