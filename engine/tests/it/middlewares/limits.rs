//! Requests that are counted.

use super::{ENTRY, OK, Site, document, pair, passed};
use crate::pair::Pair;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";

fn too_many(retry_after: &str, retry_in: &str) -> String {
    format!(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {retry_after}\r\n\
         X-Retry-In: {retry_in}\r\nContent-Length: 17\r\n\r\nToo Many Requests"
    )
}

#[test]
fn a_burst_passes_and_what_comes_too_soon_is_told_when_to_come_again() {
    let mut pair = pair("a: {rateLimit: {average: 1, period: 10s, burst: 2}}");
    passed(&mut pair, GET);
    passed(&mut pair, GET);
    assert_eq!(pair.answer(GET), too_many("10", "10s"));
    pair.pass(Span::millis(1_500));
    assert_eq!(pair.answer(GET), too_many("9", "8.5s"));
    // Others have a bucket of their own.
    let other = pair.open_from([10, 0, 0, 9]);
    pair.send(other, GET);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(other), OK);
    pair.pass(Span::millis(8_500));
    let client = pair.open();
    pair.send(client, GET);
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.count(Mark::RateLimited), 2);
    pair.nothing_more();
}

#[test]
fn a_request_that_comes_a_little_too_soon_waits_for_its_token() {
    let mut pair = pair("a: {rateLimit: {average: 1}}\nb: {addPrefix: {prefix: /p}}");
    passed(&mut pair, GET);
    pair.pass(Span::millis(600));
    let client = pair.open();
    pair.send(client, GET);
    pair.no_dial();
    assert_eq!(pair.got(client), "");
    pair.pass(Span::millis(399));
    pair.no_dial();
    pair.pass(Span::millis(1));
    let origin = pair.dialed();
    assert!(pair.got(origin).starts_with("GET /p/ HTTP/1.1\r\n"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.count(Mark::RateHeld), 1);
    pair.nothing_more();
}

#[test]
fn a_client_that_leaves_while_it_waits_reaches_no_server() {
    let mut pair = pair("a: {rateLimit: {average: 1}}");
    passed(&mut pair, GET);
    pair.pass(Span::millis(600));
    let client = pair.open();
    pair.send(client, GET);
    pair.reset(client);
    pair.pass(Span::secs(2));
    pair.no_dial();
    assert_eq!(pair.count(Mark::ClientLeft), 1);
    pair.nothing_more();
}

#[test]
fn a_held_request_keeps_its_body_and_its_place() {
    let mut pair = pair("a: {rateLimit: {average: 1}}");
    passed(&mut pair, GET);
    pair.pass(Span::millis(600));
    let client = pair.open();
    pair.send(client, "POST /1 HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody");
    pair.pass(Span::millis(400));
    let origin = pair.dialed();
    assert!(pair.got(origin).ends_with("\r\n\r\nbody"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn sources_are_told_apart_by_a_field_or_by_the_host() {
    let by = |criterion: &str| {
        format!("a: {{rateLimit: {{average: 1, period: 1m, sourceCriterion: {{{criterion}}}}}}}")
    };
    let from = |host: &str, user: &str| {
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-User: {user}\r\n\r\n")
    };
    let mut by_user = pair(&by("requestHeaderName: X-User"));
    passed(&mut by_user, &from("a", "one"));
    passed(&mut by_user, &from("a", "two"));
    assert!(by_user.answer(&from("b", "one")).starts_with("HTTP/1.1 429 "));
    by_user.nothing_more();
    let mut by_host = pair(&by("requestHost: true"));
    passed(&mut by_host, &from("a", "one"));
    passed(&mut by_host, &from("b", "one"));
    assert!(by_host.answer(&from("A:80", "two")).starts_with("HTTP/1.1 429 "));
    by_host.nothing_more();
}

#[test]
fn counts_survive_a_reload_that_leaves_their_middleware_alone() {
    let mut site = Site::new(ENTRY);
    let limit = "a: {rateLimit: {average: 1, period: 1m}}";
    let mut pair = Pair::of(site.view(limit), Limits::default());
    passed(&mut pair, GET);
    let more = format!("{limit}\nb: {{addPrefix: {{prefix: /x}}}}");
    pair.publish_view(site.view(&more));
    assert!(pair.answer(GET).starts_with("HTTP/1.1 429 "));
    pair.publish_view(site.view("a: {rateLimit: {average: 2, period: 1m}}"));
    assert_eq!(site.report(), ["reset: counts of middleware a@file: its definition changed"]);
    passed(&mut pair, GET);
    pair.publish_view(site.view("c: {addPrefix: {prefix: /x}}"));
    assert_eq!(site.report(), ["dropped: counts of middleware a@file: it is gone"]);
    pair.nothing_more();
}

#[test]
fn each_router_counts_its_own_requests() {
    let document = document("a: {rateLimit: {average: 1, period: 1m}}").replace(
        "  routers:\n",
        "  routers:\n    q: {rule: 'PathPrefix(`/q`)', service: s, middlewares: [a]}\n",
    );
    let mut site = Site::new(ENTRY);
    let mut pair = Pair::of(site.view_of(&document), Limits::default());
    passed(&mut pair, GET);
    passed(&mut pair, &GET.replace("/ ", "/q "));
    assert!(pair.answer(GET).starts_with("HTTP/1.1 429 "));
    pair.nothing_more();
}

const FULL: &str = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 17\r\n\r\nToo Many Requests";

#[test]
fn no_more_requests_than_allowed_are_in_flight() {
    let mut pair = pair("a: {inFlightReq: {amount: 2}}");
    let clients = [pair.open(), pair.open()];
    let origins = clients.map(|client| {
        pair.send(client, GET);
        pair.dialed()
    });
    assert_eq!(pair.answer(GET), FULL);
    pair.send(origins[0], OK);
    assert_eq!(pair.got(clients[0]), OK);
    pair.send(clients[0], GET);
    pair.no_dial();
    assert_eq!(pair.answer(GET), FULL);
    // Whoever leaves makes room, too.
    pair.reset(clients[1]);
    passed(&mut pair, GET);
    assert_eq!(pair.count(Mark::GaugeFull), 2);
    pair.send(origins[0], OK);
    assert_eq!(pair.got(clients[0]), OK);
    pair.nothing_more();
}

#[test]
fn requests_in_flight_are_counted_across_a_reload() {
    let mut site = Site::new(ENTRY);
    let mut pair = Pair::of(site.view("a: {inFlightReq: {amount: 2}}"), Limits::default());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.publish_view(site.view("a: {inFlightReq: {amount: 1}}"));
    assert_eq!(pair.answer(GET), FULL);
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.send(client, GET);
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_request_that_is_refused_further_in_is_not_in_flight() {
    let steps = "a: {inFlightReq: {amount: 1}}\nb: {ipAllowList: {sourceRange: [10.0.0.1]}}";
    let mut pair = pair(steps);
    for _ in 0..3 {
        assert!(pair.answer(GET).starts_with("HTTP/1.1 403 "));
    }
    pair.nothing_more();
}

#[test]
fn too_many_gauges_in_a_row_are_refused() {
    let list: Vec<String> =
        (0..5).map(|at| format!("a{at}: {{inFlightReq: {{amount: 1}}}}")).collect();
    let mut pair = pair(&list.join("\n"));
    assert!(pair.answer(GET).starts_with("HTTP/1.1 503 "));
    pair.nothing_more();
}
