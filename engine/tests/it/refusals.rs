//! Requests that are answered without a server.

use crate::pair::Pair;
use crate::plan::Plan;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::service::rotation::Rotation;
use engine::view::{Destination, Internal, NodeKind, Turns};
use std::sync::Arc;

#[track_caller]
fn check(request: &str, status: &str) {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, request);
    pair.no_dial();
    let got = pair.got(client);
    assert!(got.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?} got {got:?}");
    assert!(got.contains("Connection: close\r\n"), "{got:?}");
    assert_eq!(pair.ended(client), "shut", "{request:?}");
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    pair.no_dial();
    assert_eq!(pair.got(client), "", "nothing is read after a violation");
    pair.fin(client);
    assert_eq!(pair.ended(client), "closed");
    assert_eq!(pair.count(Mark::ToldOff), 1);
    pair.nothing_more();
}

#[test]
fn malformed_requests_are_told_off_and_reach_nobody() {
    check("GET / HTTP/1.1\r\n\r\n", "400 Bad Request");
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request");
    check("GET / HTTP/1.1\nHost: a\n\n", "400 Bad Request");
    check("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request");
    check("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported");
    check("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Not Implemented");
    check("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", "417 Expectation Failed");
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "400 Bad Request",
    );
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "400 Bad Request",
    );
}

#[test]
fn a_head_over_its_limit_is_too_large() {
    let field = format!("X: {}\r\n", "x".repeat(1_000));
    check(
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", field.repeat(40)),
        "431 Request Header Fields Too Large",
    );
    let fields = "X: 1\r\n".repeat(200);
    check(
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"),
        "431 Request Header Fields Too Large",
    );
}

#[test]
fn a_body_that_breaks_the_rules_is_told_off_and_its_server_sees_a_cut() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n");
    let origin = pair.dialed();
    pair.got(origin);
    pair.send(client, "3\r\nabcX");
    assert!(!pair.got(origin).contains("0\r\n\r\n"));
    assert_eq!(pair.ended(origin), "aborted");
    assert!(pair.got(client).starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(pair.ended(client), "shut");
    assert_eq!(pair.count(Mark::BodyRefused), 1);
    pair.nothing_more();
}

#[test]
fn a_slow_head_is_told_off() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.pass(Span::secs(30));
    pair.send(client, "GET / HTTP/1.1\r\nHo");
    pair.pass(Span::secs(59));
    pair.send(client, "st");
    assert_eq!(pair.got(client), "");
    pair.pass(Span::secs(1));
    assert!(pair.got(client).starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    pair.no_dial();
    assert_eq!(pair.count(Mark::SlowHead), 1);
    pair.pass(Span::secs(2));
    assert_eq!((pair.ended(client), pair.count(Mark::LingeredLong)), ("closed", 1));
    pair.nothing_more();
}

#[test]
fn half_a_head_and_an_end_is_no_request() {
    let mut pair = Pair::new(&Plan::one_origin());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHo");
    pair.fin(client);
    assert_eq!((pair.got(client).as_str(), pair.ended(client)), ("", "closed"));
    pair.nothing_more();
}

#[test]
fn connect_is_not_implemented() {
    let mut pair = Pair::new(&Plan::one_origin());
    let got = pair.answer("CONNECT s:443 HTTP/1.1\r\nHost: s\r\n\r\n");
    assert_eq!(got, "HTTP/1.1 501 Not Implemented\r\nContent-Length: 15\r\n\r\nNot Implemented");
    pair.nothing_more();
}

#[test]
fn no_route_is_not_found() {
    let mut pair = Pair::new(&Plan::bare());
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\nHEAD / HTTP/1.1\r\nHost: s\r\n\r\n");
    let head = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
        X-Content-Type-Options: nosniff\r\nContent-Length: 19\r\n\r\n";
    assert_eq!(pair.own(client), format!("{head}404 page not found\n{head}"));
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn a_broken_router_answers_in_its_place() {
    let mut plan = Plan::one_origin();
    let broken = Destination::Broken("its service is unknown".into());
    plan.routes.push(plan.made_route("PathPrefix(`/private`)", broken, &[]));
    let mut pair = Pair::new(&plan);
    let got = pair.answer("GET /private/x HTTP/1.1\r\nHost: s\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{got}");
    assert!(got.ends_with("router route-1@file is broken\n"), "{got}");
    pair.nothing_more();
}

#[test]
fn a_service_with_nobody_left_is_unavailable() {
    let nobody = Turns { rotation: Arc::new(Rotation::default()), ticket: Arc::default() };
    for kind in [
        NodeKind::Balancer { turns: nobody.clone(), servers: Box::new([]), pass_host: true },
        NodeKind::Weighted { turns: nobody, services: Box::new([]) },
        NodeKind::Unavailable("not discovered".into()),
    ] {
        let mut plan = Plan::bare();
        let service = plan.service(kind);
        plan.route("PathPrefix(`/`)", service, &[]);
        let mut pair = Pair::new(&plan);
        let got = pair.answer("GET / HTTP/1.1\r\nHost: s\r\n\r\n");
        assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{got}");
        assert!(got.ends_with("\r\n\r\nno available server\n"), "{got}");
        assert_eq!(pair.count(Mark::NobodyServes), 1);
        pair.nothing_more();
    }
}

#[test]
fn ping_is_answered_by_the_process() {
    let mut plan = Plan::bare();
    let ping = plan.internal(Internal::Ping);
    plan.route("Path(`/ping`)", ping, &[]);
    let mut pair = Pair::new(&plan);
    let got = pair.answer("GET /ping HTTP/1.1\r\nHost: s\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("\r\n\r\nOK"), "{got}");
    pair.nothing_more();
}
